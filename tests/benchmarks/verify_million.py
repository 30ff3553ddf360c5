"""Measures `proxyrules verify` of 1,000,000 lines of iptables-save.

    python -m tests.benchmarks.verify_million

Prints the time and the memory of the whole command (compiling the manifests included), and fails
where it takes more than 12 s (the aim is 6) or 1 GB. One endpoint's destination is wrong in the
dump, so that there is something to find.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from compiler.api import compile_rules
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.printing import print_rules
from tests.benchmarks.clusters import write_manifests
from tests.benchmarks.measure import MIB, peak_memory
from tests.cases import node_text

SERVICES, ENDPOINTS = 5_000, 50
SECONDS, GIGABYTES = 12.0, 1.0


def make(source: Path, dump: Path) -> int:
    """Make the manifests and the dump, and return how many lines that has."""
    text = compile_rules([write_manifests(source, SERVICES, ENDPOINTS)]).text
    # what the kernel prints for these rules, without waiting for it to load a million
    saved = print_rules(parse_rules(node_text(text)))
    saved = saved.replace("--to-destination 10.128.0.77:8080", "--to-destination 10.128.0.78:8080")
    dump.write_text(saved)
    return saved.count("\n")


def main() -> int:
    """Verify a dump against manifests, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        source, dump = Path(folder, "cluster.json"), Path(folder, "node.save")
        # in a process of its own: the kernel counts this one's memory as that of its children
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as processes:
            lines = processes.submit(make, source, dump).result()
        command = [sys.executable, "-m", "compiler", "verify", str(source), "--against", str(dump)]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        gigabytes = peak_memory(command, exit_code=1) * MIB / 1e9
    sys.stdout.write(done.stdout + done.stderr)
    sys.stdout.write(f"verify of {lines:,} lines: {took:.1f} s, {gigabytes:.2f} GB\n")
    good = done.returncode == 1 and "10.128.0.78:8080, should be 10.128.0.77:8080" in done.stdout
    return 0 if good and took < SECONDS and gigabytes < GIGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
