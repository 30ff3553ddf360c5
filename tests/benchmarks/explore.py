"""Times `explore`: `python -m tests.benchmarks.explore`.

Makes the page of one node for clusters of 1,000 and 10,000 Services with 10 endpoints each. Every
page is made by a process of its own, from its start to its exit. Fails where the page of 1,000
Services has more than 5 MB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.benchmarks.__main__ import PROXYRULES, Dump, machine
from tests.benchmarks.measure import peak_memory

ENDPOINTS = 10
LIMIT_BYTES = 5_000_000
LIMITED_SERVICES = 1_000


def first_node(manifests: Path) -> str:
    """Return the name of the first Node."""
    items = json.loads(manifests.read_bytes())["items"]
    return next(str(one["metadata"]["name"]) for one in items if one["kind"] == "Node")


def _elsewhere(manifests: Path) -> str:
    """Look in another process: the kernel counts this one's memory as that of its children."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return processes.submit(first_node, manifests).result()


def measured(folder: Path, services: int) -> tuple[float, float, int]:
    """Return the seconds, the MiB of memory and the bytes of a page."""
    manifests, page = Dump(services, ENDPOINTS, "json").make(folder), folder / "page.html"
    command = (
        *(str(PROXYRULES), "explore", str(manifests), "--cluster-cidr", "10.128.0.0/9"),
        *("--node", _elsewhere(manifests), "-o", str(page)),
    )
    start = time.perf_counter()
    memory = peak_memory(command)
    seconds, size = time.perf_counter() - start, page.stat().st_size
    page.unlink()
    return seconds, memory, size


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.explore", description=__doc__)
    parser.add_argument(
        "--services", type=int, nargs="+", default=[1_000, 10_000], help="Services (1,000 10,000)"
    )
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    print(machine())  # noqa: T201
    large = False
    for services in options.services:
        seconds, memory, size = measured(folder, services)
        row = f"{services:,} Services: {seconds:.0f} s, {memory:,.0f} MiB, {size / 1e6:.1f} MB"
        print(row)  # noqa: T201
        large = large or (services <= LIMITED_SERVICES and size > LIMIT_BYTES)
    sys.exit(large)


if __name__ == "__main__":
    main()
