"""Times `verify --fleet`: `python -m tests.benchmarks.fleet`.

Makes a cluster of 200 nodes in 3 zones and the dump of each, about 20,000 lines, 20 of them with
one fault each. Every run is a process of its own, from its start to its exit, and its report must
have every fault on its node and no other. The table shows the best time of all rounds, in brackets
the median, and the most memory that one process of a run had for itself (RSS, what it shares with
the others counted as well).

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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

from compiler.fleet.check import check_dump
from compiler.fleet.dumps import Dump
from tests.benchmarks.__main__ import PROXYRULES, machine, table
from tests.benchmarks.generate import Shape, objects, write_json
from tests.benchmarks.measure import MIB
from tests.fleets import ARGUMENTS, Fleet, expected_of, inputs_of, make_fleet, saved

NODES, FAULTY = 200, 20
SHAPE = Shape(services=520, endpoints=9, zone_hints=0.1, on_nodes=NODES)
# What two cores must at least gain.
GAIN = 1.8
# Seconds between two looks at the memory of processes.
LOOK_EVERY = 0.02


def check(fleet: Fleet, *words: str) -> tuple[float, float]:
    """Check a fleet once; return the seconds, and the most MiB that any of its processes had."""
    command = [str(PROXYRULES), "verify", str(fleet.manifests), *ARGUMENTS]
    command += ["--fleet", str(fleet.dumps), "--format", "json", *words]
    most = 0
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                most = max([most, *map(_resident, [process.pid, *_children(process.pid)])])
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
    return took, most / MIB


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
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(rounds):
        for jobs, samples in found.items():
            samples.append(check(fleet, "--jobs", str(jobs)))
    for jobs, samples in found.items():
        times = [took for took, _ in samples]
        peak = max(most for _, most in samples)
        seconds = f"{min(times):.2f} ({statistics.median(times):.2f})"
        gain = min(took for took, _ in found[1]) / min(times)
        yield [f"`--jobs {jobs}`", seconds, f"{gain:.2f}", f"{peak:.0f}"]


def large(services: int, nodes: int) -> list[list[str]]:
    """Measure what the parts of a check cost where the cluster is large."""
    with tempfile.TemporaryDirectory(prefix="proxyrules-") as made:
        manifests = Path(made, "cluster.json")
        shape = Shape(services=services, endpoints=10, zone_hints=0.1, on_nodes=nodes)
        write_json(objects(shape), manifests, indent=None)
        found: list[list[str]] = [["manifests, MiB", f"{manifests.stat().st_size / MIB:.0f}"]]
        start = time.perf_counter()
        inputs = inputs_of(manifests)
        found.append(["read the manifests, s", f"{time.perf_counter() - start:.2f}"])
        del inputs
        start = time.perf_counter()
        expected = expected_of(manifests)
        found.append([f"read and compile all {nodes:,} nodes, s", _since(start)])
        assert expected.all_nodes is not None
        found.append(["distinct texts", f"{len(expected.all_nodes.groups):,}"])
        found.append(["its memory, MiB", f"{_peak():.0f}"])
        sent = len(pickle.dumps(expected))
        found.append(["what a Dask worker is sent, MiB", f"{sent / MIB:.0f}"])
        clean = Path(made, "node.save")
        text = saved(expected, expected.nodes[0])
        clean.write_text(text)
        found.append(["one dump, MiB", f"{len(text) / MIB:.0f}"])
        found.append(["one dump, lines", f"{text.count(chr(10)):,}"])
        faulty = text.replace("--to-destination 10.128.0.77:", "--to-destination 10.128.0.78:", 1)
        for name, content in (("clean", text), ("faulty", faulty)):
            clean.write_text(content)
            one, times = Dump("node.save", expected.nodes[0], place=str(clean)), []
            for _ in range(5):
                expected.ruleset(expected.nodes[1])  # so that the node's own are made each time
                expected.ruleset(expected.nodes[2])
                start = time.perf_counter()
                check_dump(expected, one)
                times.append(time.perf_counter() - start)
            found.append([f"check a dump that is {name}, s", f"{min(times):.2f}"])
        found.append(["memory with one dump, MiB", f"{_peak():.0f}"])
        return found


def _since(start: float) -> str:
    return f"{time.perf_counter() - start:.2f}"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Print the tables; 1 where two processes gain too little."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    parser.add_argument("--services", type=int, default=10_000, help="of the large cluster")
    parser.add_argument("--nodes", type=int, default=5_000, help="of the large cluster")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="proxyrules-") as made:
        # in a process of its own: the kernel would count its memory as that of the others
        with ProcessPoolExecutor(1, mp_context=context) as processes:
            fleet = processes.submit(make_fleet, Path(made), SHAPE, FAULTY).result()
        lines = [path.read_bytes().count(b"\n") for path in fleet.dumps.iterdir()]
        print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201
        what = f"{len(lines)} dumps of {sum(lines) // len(lines):,} lines, {FAULTY} faults"
        heads = (what, "s", "gain", "MiB of the largest process")
        found = list(rows(fleet, options.rounds))
        table(heads, iter(found))
    print()  # noqa: T201
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        parts = processes.submit(large, options.services, options.nodes).result()
    large_heads = (f"{options.nodes:,} nodes, {options.services:,} Services with 10 endpoints", "")
    table(large_heads, iter(parts))
    return 0 if float(found[1][2]) >= GAIN or (os.cpu_count() or 1) < 2 else 1


if __name__ == "__main__":
    sys.exit(main())
