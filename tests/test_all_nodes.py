"""The rules of all nodes at once are those of each node alone, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compiler.compilation import compile_inputs, read_inputs
from compiler.errors import InputError
from compiler.family import Family
from compiler.fleet.all_nodes import (
    PIECES_AT_ONCE,
    AllNodes,
    compile_all_nodes,
    compile_inputs_for_all,
)
from compiler.manifests.source import Source
from compiler.proxy.own_settings import for_each_node
from tests.benchmarks.generate import Shape, objects
from tests.cases import ALL_CASES, FIXTURES, Case, case_id
from tests.generated_clusters import clusters
from tests.options_of import options_of
from tests.run import Runner

PART = 20
NODES = 30
Object = dict[str, Any]


def assert_each_alone(every: AllNodes, name: str, **options: Any) -> int:
    """Compare every node's text with its own compile; return how many were compared.

    Settings that are one node's own are left out of it.
    """
    texts = set()
    several = len(every.nodes) > 1
    config, _ = for_each_node(every.inputs.config, every.inputs.family, several=several)
    for node in every.nodes:
        alone = compile_inputs(replace(every.inputs, config=config), node, **options)
        assert every.text(node) == alone.text, f"{name}, {node}"
        texts.add(alone.text)
    assert len(every.groups) == len(texts), f"{name}: equal texts in several groups"
    assert sorted(node for group in every.groups for node in group.nodes) == sorted(every.nodes)
    return len(every.nodes)


@pytest.mark.parametrize("start", range(0, len(clusters()), PART))
def test_odd_clusters(start: int) -> None:
    """Few nodes each, full of odd combinations."""
    compared = 0
    for cluster in clusters()[start : start + PART]:
        if not cluster.of("Node"):
            continue
        options = {k: one for k, one in cluster.options.items() if k in {"kube_version", "flags"}}
        for family in Family:
            every = compile_all_nodes(
                cluster.sources, config=cluster.config_source, ip_family=family, **options
            )
            assert list(every.nodes) == sorted(cluster.node_names)
            compared += assert_each_alone(every, f"cluster {cluster.seed}")
    assert compared > PART


def several_nodes(case: Case) -> bool:
    """Say whether a case has more than one Node."""
    text = case.manifest.read_text()
    return text.count("kind: Node\n") + text.count('"kind": "Node"') > 1


@pytest.mark.parametrize("case", [case for case in ALL_CASES if several_nodes(case)], ids=case_id)
def test_cases(case: Case) -> None:
    manifests, options = options_of(case.arguments)
    inputs = replace(options, node=None, node_addresses=()).read(manifests).inputs
    own = options.node or inputs.config.hostname_override
    given = {"nfacct": options.nfacct, "random_fully": options.random_fully}
    every = compile_inputs_for_all(inputs, **given)
    assert assert_each_alone(every, case.name, **given) > 1
    is_bound = any("each node has its own address" in one.message for one in every.warnings)
    if own and not options.node_addresses and not is_bound:
        assert every.text(str(own)) == case.expected


def _both_families(one: Object, place: int) -> list[Object]:
    """Give a Service and its slices IPv6 as well, a Node an IPv6 address."""
    if one["kind"] == "Service":
        ips = [one["spec"]["clusterIP"], f"fd00:10:96::{place + 1:x}"]
        one["spec"] |= {"clusterIPs": ips, "ipFamilies": ["IPv4", "IPv6"]}
        one["spec"]["ipFamilyPolicy"] = "RequireDualStack"
        if place % 7 == 0:
            one["spec"]["internalTrafficPolicy"] = "Local"
        return [one]
    if one["kind"] == "Node":
        one["status"]["addresses"].append({"type": "InternalIP", "address": f"fd00::{place:x}"})
        one["spec"]["podCIDRs"].append(f"fd00:10:244:{place:x}::/64")
        return [one]
    endpoints = [
        {**endpoint, "addresses": [f"fd00:10:244::{place:x}:{number:x}"]}
        for number, endpoint in enumerate(one["endpoints"])
    ]
    metadata = {**one["metadata"], "name": f"{one['metadata']['name']}-6"}
    return [one, {**one, "addressType": "IPv6", "endpoints": endpoints, "metadata": metadata}]


@cache
def thirty_nodes() -> Source:
    """Local policies, hints for zones, node ports, both families."""
    shape = Shape(120, 6, node_ports=0.4, zone_hints=0.4, on_nodes=NODES)
    items = [one for place, o in enumerate(objects(shape)) for one in _both_families(o, place)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    return Source("cluster.json", text.encode())


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(
    "flags",
    [
        {"cluster_cidr": "10.128.0.0/9,fd00:10:244::/48"},
        {"detect_local_mode": "NodeCIDR"},
        {"nodeport_addresses": ["172.16.0.0/12", "fd00::/120"], "masquerade_all": True},
        {"nodeport_addresses": ["primary"], "iptables_localhost_nodeports": False},
    ],
)
@pytest.mark.parametrize("standalone", [False, True], ids=["restore", "standalone"])
def test_thirty_nodes(family: Family, flags: dict[str, Any], standalone: bool) -> None:
    inputs = read_inputs([thirty_nodes()], flags=flags, ip_family=family)
    every = compile_inputs_for_all(inputs, standalone=standalone)
    if not standalone:
        assert assert_each_alone(every, "thirty") == NODES
    for node in every.nodes:
        alone = compile_inputs(inputs, node)
        assert every.text(node) == (alone.standalone if standalone else alone.text)
    assert len(every.groups) > NODES / 2


def test_nodes_of_a_zone_are_one_group() -> None:
    """Without Local policies the rules differ by zone alone."""
    items = list(objects(Shape(40, 6, node_ports=0, zone_hints=0.5, on_nodes=NODES)))
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    every = compile_all_nodes([Source("cluster.json", text)])
    zones = {
        node["metadata"]["name"]: node["metadata"]["labels"]["topology.kubernetes.io/zone"]
        for node in items
        if node["kind"] == "Node"
    }
    assert [{zones[node] for node in group.nodes} for group in every.groups] == [
        {"eu-central-1a"},
        {"eu-central-1b"},
        {"eu-central-1c"},
    ]


def test_many_service_ports() -> None:
    """More than are joined at once, most of them without a rule in the filter table."""
    items = list(objects(Shape(2 * PIECES_AT_ONCE + 1, 1, on_nodes=3)))
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    every = compile_all_nodes([Source("cluster.json", text)], flags={"cluster_cidr": "10.0.0.0/8"})
    assert_each_alone(every, "many")
    assert "" not in every.groups[0].text.splitlines()
    assert len(list(every.groups[0].chunks())) > 3


def test_order_of_nodes() -> None:
    """`worker-2` is before `worker-10`, however the manifests have them."""
    names = ["worker-10", "worker-2", "worker-1", "a.b"]
    items = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": one}} for one in names]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    every = compile_all_nodes([Source("nodes.json", text)])
    assert every.nodes == ("a.b", "worker-1", "worker-2", "worker-10")
    assert [group.nodes for group in every.groups] == [every.nodes]


def test_problems() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {}}
    source = Source("a.json", json.dumps(service).encode())
    with pytest.raises(InputError) as raised:
        compile_all_nodes([source], kube_version="1.30", nfacct=True)
    assert str(raised.value).splitlines() == [
        "nfacct: kube-proxy 1.30 does not use nfacct; use Kubernetes 1.31 or later",
        "all_nodes: there are no Nodes in the manifests; add the output of kubectl get nodes -o yaml",
    ]


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        (("all", "NodeCIDR"), [1, 2, 3, 4, 5]),
        (("all", "ClusterCIDR"), [1, 2, 3, 4, 5]),
        (("one of each kind", "NodeCIDR"), [1, 2, 3, 4, 5]),
        (("one of each kind", "ClusterCIDR"), [1, 2, 3, 5]),
    ],
)
@pytest.mark.parametrize("override", ["", "worker-1"])
def test_snapshots(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxyrules: Runner,
    settings: tuple[str, str],
    files: list[int],
    override: str,
) -> None:
    """A snapshot's files are those of `compile --node`; a hostname override is one node's own."""
    nodes, mode = settings
    manifests = (FIXTURES / "local-policy-on-five-nodes" / "input.yaml").read_text()
    (tmp_path / "cluster.yaml").write_text(manifests)
    (tmp_path / "config.yaml").write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        f'detectLocalMode: {mode}\nhostnameOverride: "{override}"\n'
    )
    (tmp_path / "proxyrules.yaml").write_text(
        "snapshots:\n- name: shop\n  manifests: [cluster.yaml]\n  config: config.yaml\n"
        f"  nodes: {nodes}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert proxyrules("snapshot", "update").code == 0
    assert proxyrules("snapshot", "check").code == 0
    written = {path.name: path.read_text() for path in (tmp_path / "rules").glob("*.rules")}
    assert sorted(written) == [f"shop.worker-{number}.rules" for number in files]
    for number in files:
        alone = proxyrules(
            "compile", "cluster.yaml", "-c", "config.yaml", "--node", f"worker-{number}"
        )
        assert written[f"shop.worker-{number}.rules"] == alone.out
