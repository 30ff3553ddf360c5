"""Times `verify --metrics` of a fleet: `python -m tests.benchmarks.metrics`.

Makes a cluster of 10,000 Services with 10 endpoints each on 5,000 nodes, and what kube-proxy serves
on each of them: a folder with a text of 600 lines per node, and the same numbers as one answer of
Prometheus' API. Every hundredth node lacks some rules. Each run is a process of its own, from its
start to its exit, which reads the manifests too; `compile` of one node is what that costs alone.
The table shows the best time of all rounds, in brackets the median, the least processor time, and
the most memory needed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from compiler.compilation import read_inputs
from compiler.family import Family
from compiler.proxy.cluster_counts import ClusterCounts
from compiler.proxy.cluster_plan import ClusterPlan
from compiler.proxy.node import node_name as name_of
from tests.benchmarks.__main__ import machine, table
from tests.benchmarks.generate import Shape, node_name, objects, write_json
from tests.benchmarks.measure import Samples, peak_memory
from tests.proxy_metrics import NOW, Served

PODS = "10.128.0.0/9"
FAULTY = 100
LINES = 600
COMMAND = (sys.executable, "-m", "compiler")


def cluster(folder: Path, services: int, nodes: int) -> Path:
    """Write the manifests, unless they are there."""
    path = folder / f"fleet-{services}-{nodes}.json"
    if not path.exists():
        shape = Shape(services, 10)
        write_json(_with_nodes(shape, nodes), path)
    return path


def _with_nodes(shape: Shape, nodes: int) -> Iterator[dict[str, object]]:
    last = None
    for item in objects(shape):
        last = item if item["kind"] == "Node" else last
        yield item
    assert last is not None
    for index in range(shape.nodes, nodes):
        text = json.dumps(last).replace(node_name(shape.nodes - 1), node_name(index))
        item = json.loads(text)
        for address in item["status"]["addresses"]:
            if address["type"] == "InternalIP":
                address["address"] = f"172.31.{index // 256}.{index % 256}"
        yield item


def serve(manifests: Path, folder: Path) -> tuple[Path, Path]:
    """Write the metrics of all nodes, unless they are there: a folder, and an answer."""
    texts, answer = folder / manifests.stem, folder / f"{manifests.stem}.answer.json"
    if answer.exists():
        return texts, answer
    texts.mkdir(exist_ok=True)
    inputs = read_inputs([manifests], flags={"cluster_cidr": PODS})
    counts = {
        family.api_name: ClusterCounts(
            ClusterPlan(inputs.manifests, inputs.config, family, inputs.release)
        )
        for family in Family
    }
    others = [f'go_other{{le="{number}"}} {number}' for number in range(LINES - 40)]
    series: list[object] = []
    names = sorted(map(name_of, inputs.manifests.nodes))
    for place, node in enumerate(names):
        found = {family: one.on(node) for family, one in counts.items()}
        missing = 4 * (place % FAULTY == 0)
        served = Served(
            {name: (one.filter, one.nat - missing) for name, one in found.items()},
            {name: (one.no_local_external, one.no_local_internal) for name, one in found.items()},
            version="v1.37.1",
            extra=others,
        )
        text = served.text()
        (texts / f"{node}.metrics").write_text(text)
        series += _series(text, node)
    data = {"resultType": "vector", "result": series}
    answer.write_text(json.dumps({"status": "success", "data": data}))
    return texts, answer


def _series(text: str, node: str) -> Iterator[object]:
    for line in text.splitlines():
        if line.startswith(("kubeproxy_sync", "kubernetes_build")):
            name, _, value = line.rpartition(" ")
            bare, _, labels = name.rstrip("}").partition("{")
            parts = (label.partition("=") for label in labels.split(",") if label)
            metric: dict[str, str] = {key: quoted.strip('"') for key, _, quoted in parts}
            yield {"metric": metric | {"__name__": bare, "node": node}, "value": [NOW, value]}


def _elsewhere(folder: Path, services: int, nodes: int) -> tuple[Path, Path, Path]:
    """Make both in another process: the kernel counts this one's memory as its children's."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        manifests = processes.submit(cluster, folder, services, nodes).result()
        return manifests, *processes.submit(serve, manifests, folder).result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.metrics", description=__doc__)
    parser.add_argument("--services", type=int, default=10_000, help="Services, 10 endpoints each")
    parser.add_argument("--nodes", type=int, default=5_000, help="nodes (5,000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (3)")
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    manifests, texts, answer = _elsewhere(folder, options.services, options.nodes)
    given = (str(manifests), "--cluster-cidr", PODS)
    rows = (
        ("`compile` of one node", 0, ("compile", *given, "--node", node_name(0), "-o", os.devnull)),
        (f"a folder of {options.nodes:,} texts", 1, ("verify", *given, "--metrics", str(texts))),
        ("an answer of Prometheus", 1, ("verify", *given, "--metrics", str(answer))),
    )
    print(f"{machine()}; the best of {options.rounds} rounds (in brackets: the median)\n")  # noqa: T201

    def measured() -> Iterator[list[str]]:
        for name, code, command in rows:
            samples = Samples()
            for _ in range(options.rounds):
                samples.run((*COMMAND, *command), exit_code=code)
            peak = peak_memory((*COMMAND, *command), exit_code=code)
            wall = f"{samples.best:.2f} ({samples.typical:.2f})"
            yield [name, wall, f"{min(samples.cpu):.2f}", f"{peak:.0f}"]

    table(
        (f"{options.services:,} Services, {options.nodes:,} nodes", "s", "its CPU, s", "peak MiB"),
        measured(),
    )


if __name__ == "__main__":
    main()
