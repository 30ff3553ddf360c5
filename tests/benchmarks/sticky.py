"""Measures `proxyrules sticky` with a million connections of 100,000 clients.

    python -m tests.benchmarks.sticky

Prints the time and the memory of the whole command, for clients that come at fixed intervals and
at random ones, and for lists that hold all of them: the best of two runs. Fails where one takes
more than 10 s or 500 MB.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import MIB, Samples, peak_memory
from tests.kernel.manifests import endpoint, endpoint_slice, service, write

SECONDS, MEGABYTES = 10.0, 500.0
ENDPOINTS = 20
CASES = {
    "fixed intervals": [],
    "random intervals": ["--exponential"],
    "lists that hold all": ["--ip-list-tot", "10000"],
}


def main() -> int:
    """Play, and print the figures."""
    good = True
    with tempfile.TemporaryDirectory() as folder:
        pods = [endpoint(f"web-{n}", f"10.10.1.{n}", ready=True) for n in range(1, ENDPOINTS + 1)]
        web = service("web", ["10.200.1.1"], sessionAffinity="ClientIP")
        path = write(Path(folder), web, endpoint_slice("web", pods))
        for name, options in CASES.items():
            output = Path(folder, "answer.json")
            command = [sys.executable, "-m", "compiler", "sticky", str(path), "--node", "node-a"]
            command += ["--clients", "100000", "--every", "60s", "--for", "10m", "-q"]
            command += ["--at", "5m=scale:web=25", *options, "--format", "json", "-o", str(output)]
            samples = Samples()
            for _ in range(2):
                samples.run(command)
            megabytes = peak_memory(command) * MIB / 1e6
            (variant,) = json.loads(output.read_text())["variants"]
            connections = variant["figures"]["lost"]["of"]
            words = (
                f"{connections:,} connections, {samples.best:.1f} s ({min(samples.cpu):.1f} s of "
            )
            words += f"a processor), {megabytes:.0f} MB"
            sys.stdout.write(f"{name}: {words}\n")
            good &= connections > 990_000
            good &= samples.best < SECONDS and megabytes < MEGABYTES
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
