"""Times `verify --fleet`: `python -m tests.benchmarks.fleet`.

Makes a cluster of 200 nodes in 3 zones and the dump of each, about 20,000 lines, 20 of them with
one fault each. Every run is a process of its own, from its start to its exit, and its report must
have every fault on its node and no other. The table shows the best time of all rounds, in brackets
the median; the processor time of the command and its longest worker, which is what counts where the
machine has other work; and the most memory that one process of a run had (RSS: what it shares with
the others is counted for each).

Below it is what one dump costs in a cluster of 10,000 Services with 10 endpoints each, which
docs/fleet.md takes for its plan.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import zstandard

from compiler.fleet.check import check_dump
from compiler.fleet.dumps import Dump
from compiler.fleet.expected import Expected
from tests.benchmarks.__main__ import PROXYRULES, machine, table
from tests.benchmarks.generate import Shape, objects, write_json
from tests.benchmarks.measure import MIB
from tests.fleets import ARGUMENTS, Fleet, expected_of, make_fleet, saved

R = TypeVar("R")

NODES, FAULTY = 200, 20
SHAPE = Shape(services=520, endpoints=9, zone_hints=0.1, on_nodes=NODES)
# What two cores must at least gain.
GAIN = 1.8
# USD for a core and an hour, as clouds ask for machines on demand.
PRICE = 0.05
# Seconds between two looks at the memory of processes.
LOOK_EVERY = 0.02


class Run(NamedTuple):
    """What a run took: seconds, and the most MiB that any of its processes had.

    `path` is the processor time of the command and of its longest worker, in seconds: what the run
    takes where every process has a core for itself, whatever else the machine does.
    """

    seconds: float
    path: float
    memory: float


def check(fleet: Fleet, *words: str) -> Run:
    """Check a fleet once. Raises `RuntimeError` where the report has other faults than it."""
    command = [str(PROXYRULES), "verify", str(fleet.manifests), *ARGUMENTS]
    command += ["--fleet", str(fleet.dumps), "--format", "json", *words]
    most, times = 0, dict[int, float]()
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                for pid in (process.pid, *_children(process.pid)):
                    most = max(most, _resident(pid))
                    times[pid] = max(times.get(pid, 0.0), _processor_time(pid))
                time.sleep(LOOK_EVERY)
        took = time.perf_counter() - start
        output.seek(0)
        report = json.load(output)
    found = {
        node: one["kind"]
        for one in report["findings"]
        if one["severity"] == "error"
        for node in one["nodes"]
    }
    if found != fleet.faults:
        raise RuntimeError(f"found {found}, not {fleet.faults}")
    path = times.pop(process.pid) + max(times.values(), default=0.0)
    return Run(took, path, most / MIB)


def _processor_time(pid: int) -> float:
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def rows(fleet: Fleet, rounds: int) -> Iterator[list[str]]:
    """Time one process and two in turns."""
    found: dict[int, list[Run]] = {1: [], 2: []}
    for _ in range(rounds):
        for jobs, runs in found.items():
            runs.append(check(fleet, "--jobs", str(jobs)))
    for jobs, runs in found.items():
        times = [run.seconds for run in runs]
        yield [
            f"`--jobs {jobs}`",
            f"{min(times):.2f} ({statistics.median(times):.2f})",
            f"{min(run.seconds for run in found[1]) / min(times):.2f}",
            f"{min(run.path for run in runs):.2f}",
            f"{min(run.path for run in found[1]) / min(run.path for run in runs):.2f}",
            f"{max(run.memory for run in runs):.0f}",
        ]


def make_large(manifests: Path, services: int, nodes: int) -> None:
    """Write the manifests of the large cluster."""
    shape = Shape(services=services, endpoints=10, zone_hints=0.1, on_nodes=nodes)
    write_json(objects(shape), manifests, indent=None)


def large(manifests: Path, nodes: int) -> list[list[str]]:
    """Measure what the parts of a check cost where the cluster is large."""
    found: list[list[str]] = [["manifests, MiB", f"{manifests.stat().st_size / MIB:.0f}"]]
    start = time.process_time()
    expected = expected_of(manifests)
    found.append([f"read and compile all {nodes:,} nodes, CPU s", _since(start)])
    assert expected.all_nodes is not None
    found.append(["distinct texts", f"{len(expected.all_nodes.groups):,}"])
    found.append(["memory then, MiB", f"{_peak():.0f}"])
    text = saved(expected, expected.nodes[0])
    found.append(["one dump, lines", f"{text.count(chr(10)):,}"])
    found.append(["one dump, MiB", f"{len(text) / MIB:.0f}"])
    packed = zstandard.ZstdCompressor().compress(text.encode())
    found.append(["one dump by zstd, MiB", f"{len(packed) / MIB:.1f}"])
    faulty = text.replace("--to-destination 10.128.0.77:", "--to-destination 10.128.0.78:", 1)
    times = [_check_time(expected, content.encode()) for content in (text, faulty)]
    for name, seconds in zip(("clean", "faulty"), times, strict=True):
        found.append([f"check a {name} dump, CPU s", f"{seconds:.2f}"])
    sent = len(pickle.dumps(expected))
    found.append(["sent to a Dask worker once, MiB", f"{sent / MIB:.0f}"])
    found += plan(nodes, len(text), len(packed), max(times))
    return found


def plan(nodes: int, size: int, packed: int, seconds: float) -> Iterator[list[str]]:
    """Work out what all nodes cost; `seconds` of CPU time is one dump."""
    hours = nodes * seconds / 3600
    yield [f"read {nodes:,} dumps, GiB", f"{nodes * size / MIB / 1024:.0f}"]
    yield [f"read {nodes:,} dumps by zstd, GiB", f"{nodes * packed / MIB / 1024:.0f}"]
    yield [f"check {nodes:,} dumps, CPU hours", f"{hours:.1f}"]
    for cores in (2, 16, 64):
        yield [f"the same with {cores} cores, minutes", f"{hours * 60 / cores:.0f}"]
    rate = nodes * packed / MIB / (hours * 3600 / 16)
    yield ["read by 16 cores, by zstd, MiB/s", f"{rate:.0f}"]
    yield [f"cost at {PRICE} USD per core and hour, USD", f"{hours * PRICE:.2f}"]


def worker_memory(manifests: Path) -> list[list[str]]:
    """Measure what a worker needs at most, that has all nodes and one dump after the other."""
    expected = expected_of(manifests)
    text = saved(expected, expected.nodes[0]).encode()
    for node in expected.nodes[:6]:
        check_dump(expected, Dump("node.save", node, data=text))
    return [["memory of a worker, MiB", f"{_peak():.0f}"]]


def _check_time(expected: Expected, content: bytes) -> float:
    one, times = Dump("node.save", expected.nodes[0], data=content), []
    for _ in range(5):
        for node in expected.nodes[1:3]:
            expected.ruleset(node)  # so that the node's own are made each time
        start = time.process_time()
        check_dump(expected, one)
        times.append(time.process_time() - start)
    return min(times)


def _since(start: float) -> str:
    return f"{time.process_time() - start:.2f}"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _elsewhere(work: Callable[..., R], *arguments: object) -> R:
    """Work in a process of its own, whose memory is counted by itself."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return processes.submit(work, *arguments).result()


def main() -> int:
    """Print the tables; return 1 where two processes gain too little."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    parser.add_argument("--services", type=int, default=10_000, help="of the large cluster")
    parser.add_argument("--nodes", type=int, default=5_000, help="of the large cluster")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proxyrules-") as made:
        fleet = _elsewhere(make_fleet, Path(made), SHAPE, FAULTY)
        lines = [path.read_bytes().count(b"\n") for path in fleet.dumps.iterdir()]
        print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201
        what = f"{len(lines)} dumps of {sum(lines) // len(lines):,} lines, {FAULTY} faults"
        heads = (what, "s", "gain", "longest path, CPU s", "gain", "MiB of the largest process")
        found = list(rows(fleet, options.rounds))
        table(heads, iter(found))
    with tempfile.TemporaryDirectory(prefix="proxyrules-") as made:
        manifests = Path(made, "cluster.json")
        parts: list[list[str]] = []
        _elsewhere(make_large, manifests, options.services, options.nodes)
        parts += _elsewhere(large, manifests, options.nodes)
        parts += _elsewhere(worker_memory, manifests)
    head = f"{options.nodes:,} nodes, {options.services:,} Services with 10 endpoints"
    table((head, ""), iter(parts))
    return 0 if max(float(found[1][2]), float(found[1][4])) >= GAIN else 1


if __name__ == "__main__":
    sys.exit(main())
