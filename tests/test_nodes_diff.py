"""`diff --all-nodes`: each change once, with its nodes, as each node's own comparison has it."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from compiler.cluster import Cluster
from compiler.compilation import compile_inputs, read_inputs
from compiler.family import Family
from compiler.fleet.all_nodes import natural
from compiler.manifests.source import Source
from compiler.snapshots import nodes_diff
from compiler.snapshots.changes import Changes, Where, compare_texts, merge
from compiler.snapshots.nodes_diff import NodesDiff, diff_nodes
from tests.benchmarks.generate import Shape, objects
from tests.cases import FIXTURES
from tests.generated_clusters import Cluster as Made
from tests.generated_clusters import clusters
from tests.run import Runner

FIVE = FIXTURES / "local-policy-on-five-nodes" / "input.yaml"
Object = dict[str, Any]


def node_by_node(old: Cluster, new: Cluster) -> Changes:
    """Compare the whole text of every node on its own."""
    family = old.inputs.family
    nodes = sorted(set(old.node_names) & set(new.node_names), key=natural)
    found = []
    for node in nodes:
        texts = [compile_inputs(side.inputs, node).text for side in (old, new)]
        if texts[0] != texts[1]:
            where = Where("", family, (node,))
            found.append((where, compare_texts(texts[0], texts[1], node, family)))
    return merge(found, [Where("", family, tuple(nodes))] if nodes else [], 1)


def changed(made: Made, rng: random.Random) -> list[Object]:
    """Change some of what traffic depends on."""
    items = copy.deepcopy(list(made.objects))
    for one in items:
        if one["kind"] == "EndpointSlice" and one["endpoints"] and rng.random() < 0.3:
            one["endpoints"].pop(rng.randrange(len(one["endpoints"])))
        if one["kind"] == "Service" and rng.random() < 0.2:
            affinity = one["spec"].get("sessionAffinity") == "ClientIP"
            one["spec"]["sessionAffinity"] = "None" if affinity else "ClientIP"
            one["spec"].pop("sessionAffinityConfig", None)
        if one["kind"] == "Service" and rng.random() < 0.1:
            one["spec"]["internalTrafficPolicy"] = "Local"
    if rng.random() < 0.2:
        items = [one for one in items if one["kind"] != "Node"] + made.of("Node")[:-1]
    gone = rng.choice(made.of("Service")) if rng.random() < 0.2 else None
    return [one for one in items if gone is None or one["metadata"] != gone["metadata"]]


def text_of(items: list[Object]) -> Source:
    value = {"apiVersion": "v1", "kind": "List", "items": items}
    return Source("cluster.json", json.dumps(value).encode())


def is_small(made: Made) -> bool:
    """Say whether a comparison takes no time: where all share external IPs, it takes seconds."""
    services = made.of("Service")
    shared = any("externalIPs" in one["spec"] for one in services)
    return len(services) in {2, 3} and len(made.of("Node")) > 1 and not shared


def test_as_each_node_alone() -> None:
    """Leaving out what no change meets changes nothing of the answer."""
    differing = pairs = 0
    small = [one for one in clusters() if is_small(one)]
    for made in small[:3]:
        rng = random.Random(f"diff {made.seed}")
        new = changed(made, rng)
        options = {k: one for k, one in made.options.items() if k in {"kube_version", "flags"}}
        for family in Family:
            sides = [
                Cluster(
                    read_inputs(
                        [text_of(items)], config=made.config_source, ip_family=family, **options
                    )
                )
                for items in (list(made.objects), new)
            ]
            found = diff_nodes(*sides)
            assert found.changes == node_by_node(*sides), f"cluster {made.seed}, {family}"
            differing += len(found.differing)
            pairs += found.pairs
    assert 0 < pairs < differing


def two_clusters() -> tuple[list[Object], list[Object]]:
    """A cluster of 30 nodes, and the same with one endpoint fewer."""
    old = list(objects(Shape(60, 6, node_ports=0.2, on_nodes=30)))
    new = copy.deepcopy(old)
    services = [one for one in new if one["kind"] == "Service"]
    service = next(o for o in services if o["spec"].get("externalTrafficPolicy") == "Local")
    name = service["metadata"]["name"]
    slice_ = next(
        one
        for one in new
        if one["kind"] == "EndpointSlice"
        and one["metadata"]["labels"]["kubernetes.io/service-name"] == name
    )
    slice_["endpoints"].pop()
    return old, new


def diffed(old: list[Object], new: list[Object], **options: Any) -> NodesDiff:
    return diff_nodes(*(Cluster(read_inputs([text_of(one)], **options)) for one in (old, new)))


def test_equal_pairs_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = compare_texts

    def counting(old: str, new: str, *rest: Any) -> Any:
        compared.append((old, new))
        return real(old, new, *rest)

    monkeypatch.setattr(nodes_diff, "compare_texts", counting)
    found = diffed(*two_clusters())
    assert len(found.differing) == len(found.compared) == 30
    # the Service's own endpoints make few kinds of nodes, whatever other Services there are
    assert len(compared) == len(set(compared)) == found.pairs <= 7
    assert [len(port.where[0].nodes) for port in found.changes.ports] == [30]
    local = [one for one in found.changes.ports[0].changes if one.change.what == "local endpoint"]
    assert [len(one.where[0].nodes) for one in local] == [1]


def test_another_mark_is_compared_in_full() -> None:
    """Where more differs than service ports, none is left out."""
    old = list(objects(Shape(2, 2, node_ports=0, affinity=0, on_nodes=2)))
    sides = [
        Cluster(read_inputs([text_of(old)], flags={"iptables_masquerade_bit": bit}))
        for bit in (14, 15)
    ]
    found = diff_nodes(*sides)
    assert found.changes == node_by_node(*sides)
    assert [one.change.what for one in found.changes.node] == ["masquerade mark"]


def test_same(proxyrules: Runner) -> None:
    result = proxyrules("diff", FIVE, FIVE, "--all-nodes")
    assert (result.code, result.out) == (0, "No change for traffic on 5 nodes.\n")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """worker-5's endpoint is not ready any more, and worker-4 is another node."""
    text = FIVE.read_text().replace("name: worker-4\n", "name: worker-6\n")
    path = tmp_path / "new.yaml"
    path.write_text(text.replace("sessionAffinity: None", "sessionAffinity: ClientIP"))
    return path


def test_json(proxyrules: Runner, new: Path) -> None:
    result = proxyrules("diff", FIVE, new, "--all-nodes", "--format", "json")
    value = json.loads(result.out)
    assert result.code == 1
    assert value["same"] is False
    assert value["nodes"]["added"] == ["worker-6"]
    assert value["nodes"]["removed"] == ["worker-4"]
    assert value["nodes"]["compared"] == ["worker-1", "worker-2", "worker-3", "worker-5"]


@pytest.mark.parametrize("format_", ["text", "markdown"])
def test_nodes_of_one_side(proxyrules: Runner, new: Path, format_: str) -> None:
    result = proxyrules("diff", FIVE, new, "--all-nodes", "--format", format_)
    assert result.code == 1
    assert "node worker-6 is new: its rules were not compared" in result.out
    assert "node worker-4 is gone: its rules were not compared" in result.out
    last = "No change for traffic in what was compared on 4 nodes."
    assert last in result.out.splitlines()


def test_versions(proxyrules: Runner) -> None:
    hints = FIXTURES / "node-hints" / "input.yaml"
    versions = ("--from-version", "1.33", "--to-version", "1.35")
    result = proxyrules("diff", hints, "--all-nodes", *versions)
    assert result.code == 1, result.err
    assert " of 3 nodes." in result.out or " of 2 nodes." in result.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--node", "worker-1"), "Error: --node can't be combined with --all-nodes"),
        (
            ("--node-address", "192.0.2.1"),
            "Error: --node-address can't be combined with --all-nodes",
        ),
        (
            ("--format", "unified"),
            "Error: --all-nodes has no format unified; use text, json, markdown",
        ),
        (("--service", "a/b"), "Error: --nodes and --service are for --matrix"),
    ],
)
def test_usage(proxyrules: Runner, options: tuple[str, ...], message: str) -> None:
    result = proxyrules("diff", FIVE, FIVE, "--all-nodes", *options)
    assert (result.code, result.err.splitlines()[-1]) == (2, message)


def test_rules_are_no_clusters(proxyrules: Runner) -> None:
    rules = FIXTURES.parent / "golden" / "seed-affinity-none.rules"
    result = proxyrules("diff", rules, FIVE, "--all-nodes")
    assert result.code == 2
    assert result.err.splitlines()[-1] == (
        f"Error: --all-nodes is for manifests, but {rules} is rules"
    )


def test_no_nodes(proxyrules: Runner, tmp_path: Path) -> None:
    text = "---\n".join(p for p in FIVE.read_text().split("---\n") if "kind: Node\n" not in p)
    (tmp_path / "none.yaml").write_text(text)
    result = proxyrules("diff", FIVE, tmp_path / "none.yaml", "--all-nodes")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("--all-nodes: there are no Nodes in the manifests")
