"""Measures `proxyrules verify` of 1,000,000 lines of iptables-save.

    python -m tests.benchmarks.verify_million

Prints the time and the memory of the whole command (compiling the manifests included), and fails
where it takes more than a minute or 2 GB. One endpoint's destination is wrong in the dump, so that
there is something to find.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compiler.api import compile_rules
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.printing import print_rules
from tests.benchmarks.clusters import write_manifests
from tests.cases import node_text

SERVICES, ENDPOINTS = 5_000, 50
SECONDS, GIGABYTES = 60.0, 2.0


def main() -> int:
    """Make the manifests and the dump, verify one against the other, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        source = write_manifests(Path(folder, "cluster.json"), SERVICES, ENDPOINTS)
        text = compile_rules([source]).text
        # what the kernel prints for these rules, without waiting for it to load a million
        saved = print_rules(parse_rules(node_text(text)))
        message = saved.replace(
            "--to-destination 10.128.0.77:8080", "--to-destination 10.128.0.78:8080"
        )
        dump = Path(folder, "node.save")
        dump.write_text(message)
        lines = message.count("\n")
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "compiler", "verify", str(source), "--against", str(dump)],
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.monotonic() - began
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    sys.stdout.write(done.stdout + done.stderr)
    sys.stdout.write(f"verify of {lines:,} lines: {took:.1f} s, {gigabytes:.2f} GB\n")
    good = done.returncode == 1 and "10.128.0.78:8080, should be 10.128.0.77:8080" in done.stdout
    return 0 if good and took < SECONDS and gigabytes < GIGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
