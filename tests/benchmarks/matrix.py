"""Times `matrix`: `python -m tests.benchmarks.matrix`.

Makes a cluster of 10,000 Services with 10 endpoints each, and asks for one Service on 100 nodes:
one of type NodePort whose external traffic policy is Local, and one without a node port. In a
second cluster, of 1,000 Services, all of them are asked for on 10 nodes. Every question is a
process of its own, from its start to its exit; what it takes beyond reading is the difference to
`matrix` of one Service on one node. The table shows the best time of all rounds, in brackets the
median, and the most memory that a process needed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.benchmarks.__main__ import PROXYRULES, Dump, machine, table
from tests.benchmarks.measure import Samples, peak_memory

ENDPOINTS = 10
PODS = ("--cluster-cidr", "10.128.0.0/9")


def choose(manifests: Path) -> tuple[str, str, list[str]]:
    """Return a Local node-port Service, one without a node port, and all nodes' names."""
    items = json.loads(manifests.read_bytes())["items"]
    services = [item for item in items if item["kind"] == "Service"]
    local = next(s for s in services if s["spec"].get("externalTrafficPolicy") == "Local")
    plain = next(s for s in services if s["spec"].get("type") == "ClusterIP")
    nodes = [item["metadata"]["name"] for item in items if item["kind"] == "Node"]
    return _name(local), _name(plain), nodes


def _elsewhere(manifests: Path) -> tuple[str, str, list[str]]:
    """Choose in another process: the kernel counts this one's memory as that of its children."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return processes.submit(choose, manifests).result()


def _name(service: dict[str, dict[str, str]]) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def commands(folder: Path, services: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return the rows of the table: a name and a command each."""
    large = Dump(services, ENDPOINTS, "json").make(folder)
    local, plain, nodes = _elsewhere(large)
    matrix = (str(PROXYRULES), "matrix", str(large), *PODS)
    hundred = ",".join(nodes[:100])
    yield "one Service, 1 node", (*matrix, "--service", plain, "--nodes", nodes[0])
    yield "one Service, 100 nodes", (*matrix, "--service", plain, "--nodes", hundred)
    yield "a Local one, 100 nodes", (*matrix, "--service", local, "--nodes", hundred)
    yield (
        "a Local one, 100 nodes, JSON",
        (
            *(*matrix, "--service", local, "--nodes", hundred),
            *("--format", "json"),
        ),
    )
    small = Dump(services // 10, ENDPOINTS, "json").make(folder)
    _, _, nodes = _elsewhere(small)
    every = (str(PROXYRULES), "matrix", str(small), *PODS, "--nodes", ",".join(nodes[:10]))
    yield f"all of {services // 10:,} Services, 10 nodes", every


def rows(named: list[tuple[str, tuple[str, ...]]], rounds: int) -> Iterator[list[str]]:
    """Time the commands in turns."""
    samples = [Samples() for _ in named]
    for _ in range(rounds):
        for (_, command), sample in zip(named, samples, strict=True):
            sample.run(command)
    first = samples[0].best
    for (name, command), sample in zip(named, samples, strict=True):
        # another cluster has its own time of reading
        beyond = "" if name.startswith("all") else f"{sample.best - first:.2f}"
        peak = f"{peak_memory(command):.0f}"
        yield [name, f"{sample.best:.2f} ({sample.typical:.2f})", beyond, peak]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.matrix", description=__doc__)
    parser.add_argument("--services", type=int, default=10_000, help="Services, 10 endpoints each")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    parser.add_argument("--folder", type=Path, help="where the inputs are kept (a new one in /tmp)")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    named = list(commands(folder, options.services))

    print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201
    heads = (f"`matrix` of {options.services:,} Services", "s", "beyond the first", "peak MiB")
    table(heads, rows(named, options.rounds))


if __name__ == "__main__":
    main()
