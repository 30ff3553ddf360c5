"""`diff --all-nodes` where Services, endpoints and nodes share addresses and ports.

What it leaves out of the comparison must not change the answer: each case is compared with the
differences of every node's whole text.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from compiler.cluster import Cluster
from compiler.compilation import read_inputs
from compiler.netfilter import compare
from compiler.snapshots import nodes_diff
from compiler.snapshots.changes import Changes, Placed
from compiler.snapshots.nodes_diff import NodesDiff, diff_nodes
from tests.shared_addresses import Object, endpoints, node, pair, service
from tests.test_nodes_diff import node_by_node, text_of

NODES = [node(0), node(1)]
FLAGS = {"cluster_cidr": "10.244.0.0/16"}
CLUSTERS = 20

Pair = tuple[list[Object], list[Object]]


def sides_of(
    old: list[Object],
    new: list[Object],
    before: Object,
    after: Object,
    *,
    family: str | None = None,
) -> list[Cluster]:
    return [
        Cluster(read_inputs([text_of(items)], flags=flags, ip_family=family))
        for items, flags in ((old, before), (new, after))
    ]


def without_examples(changes: Changes) -> Changes:
    """Leave out the packets that a change is shown by: any that are treated so will do."""

    def plain(placed: tuple[Placed, ...]) -> tuple[Placed, ...]:
        return tuple(
            replace(one, change=replace(one.change, item=""))
            if one.change.what == "packets" and one.change.before
            else one
            for one in placed
        )

    ports = tuple(replace(port, changes=plain(port.changes)) for port in changes.ports)
    return replace(changes, ports=ports, node=plain(changes.node))


def difference(
    monkeypatch: pytest.MonkeyPatch, old: list[Object], new: list[Object], **flags: Any
) -> tuple[NodesDiff, set[str]]:
    """Compare all nodes of two clusters, and check it against every node's own comparison.

    Return the result, and the names of the service ports that were compared.
    """
    compared: set[str] = set()
    real = nodes_diff._reduced

    def noting(*arguments: Any) -> Any:
        some = real(*arguments)
        compared.update(key.name for side in some for key in side.keys)
        return some

    monkeypatch.setattr(nodes_diff, "_reduced", noting)
    family = flags.pop("ip_family", None)
    given = {**FLAGS, **flags}
    sides = sides_of(old, new, given, given, family=family)
    found = diff_nodes(*sides)
    assert without_examples(found.changes) == without_examples(node_by_node(*sides))
    return found, compared


def losing_endpoints(changing: Object, *others: Object) -> Pair:
    """Make a Service lose its only endpoint beside others, and one that meets none of them."""
    apart = service("apart", "10.96.0.9", 8443, node_port=30443, externalIPs=["198.51.100.9"])
    around = [*NODES, *others, apart, endpoints(apart, "10.244.0.9", port=8443), changing]
    return (
        [*around, endpoints(changing, "10.244.0.6", port=8080)],
        [*around, endpoints(changing)],
    )


def with_pods(of: Object, **options: Any) -> tuple[Object, Object]:
    """Return a Service and a slice of it, its endpoint by default at an address of Pods."""
    address = options.pop("at", "10.244.1.7")
    return of, endpoints(of, address, **{"port": 8080, "on": "node-2", **options})


Spec = dict[str, Any]

LB = "192.0.2.1"
NODE = "10.0.0.1"
FIREWALL: Spec = {"ingress": [LB], "loadBalancerSourceRanges": ["192.0.2.128/25"]}
HEALTH: Spec = {"ingress": [LB], "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}

# What shares an address and port: the Service that loses its endpoint, and the other one.
SHARING: dict[str, tuple[Object, tuple[Object, Object]]] = {
    "two Services have an external IP": (
        service("b", "10.96.0.2", externalIPs=[LB]),
        with_pods(service("c", "10.96.0.3", externalIPs=[LB])),
    ),
    "the first of two": (
        service("d", "10.96.0.2", externalIPs=[LB]),
        with_pods(service("c", "10.96.0.3", externalIPs=[LB])),
    ),
    "an external IP is a load balancer's": (
        service("b", "10.96.0.2", externalIPs=[LB]),
        with_pods(service("c", "10.96.0.3", ingress=[LB])),
    ),
    "a firewall is at an external IP": (
        service("d", "10.96.0.2", externalIPs=[LB]),
        with_pods(service("c", "10.96.0.3", **FIREWALL)),
    ),
    "the firewall's Service changes": (
        service("b", "10.96.0.2", **FIREWALL),
        with_pods(service("c", "10.96.0.3", externalIPs=[LB])),
    ),
    "two firewalls": (
        service("b", "10.96.0.2", **FIREWALL),
        with_pods(
            service("c", "10.96.0.3", ingress=[LB], loadBalancerSourceRanges=["203.0.113.0/24"])
        ),
    ),
    "an external IP is a cluster IP": (
        service("b", "10.96.0.2"),
        with_pods(service("c", "10.96.0.3", externalIPs=["10.96.0.2"])),
    ),
    "a cluster IP is an external IP": (
        service("b", "10.96.0.2", externalIPs=["10.96.0.3"]),
        with_pods(service("c", "10.96.0.3")),
    ),
    "an external IP is a node's, with a node port": (
        service("b", "10.96.0.2", 30080, externalIPs=[NODE]),
        with_pods(service("c", "10.96.0.3", node_port=30080)),
    ),
    "a node port, with an external IP at a node's address": (
        service("d", "10.96.0.2", node_port=30080),
        with_pods(service("c", "10.96.0.3", 30080, externalIPs=[NODE])),
    ),
    "a node port is a health check's": (
        service("b", "10.96.0.2", node_port=31000),
        with_pods(service("c", "10.96.0.3", **HEALTH)),
    ),
    "a health check's port is a node port": (
        service("b", "10.96.0.2", **HEALTH),
        with_pods(service("c", "10.96.0.3", node_port=31000)),
    ),
    "an endpoint is at the cluster IP": (
        service("b", "10.96.0.2"),
        with_pods(service("c", "10.96.0.3"), at="10.96.0.2", port=80),
    ),
    "an endpoint is at the external IP": (
        service("b", "10.96.0.2", externalIPs=[LB]),
        with_pods(service("c", "10.96.0.3"), at=LB, port=80),
    ),
    "an endpoint is at the load-balancer IP": (
        service("b", "10.96.0.2", **FIREWALL),
        with_pods(service("c", "10.96.0.3"), at=LB, port=80),
    ),
    "an endpoint is at the node port": (
        service("b", "10.96.0.2", node_port=30080),
        with_pods(service("c", "10.96.0.3"), at="10.0.0.2", port=30080),
    ),
    "an endpoint of a Local Service is at the node port": (
        service("b", "10.96.0.2", node_port=30080, externalTrafficPolicy="Local"),
        with_pods(service("c", "10.96.0.3"), at="10.0.0.2", port=30080),
    ),
    "an endpoint is at the health check's port": (
        service("b", "10.96.0.2", **HEALTH),
        with_pods(service("c", "10.96.0.3"), at="10.0.0.2", port=31000),
    ),
    "its endpoint is at an address of another": (
        service("b", "10.96.0.2"),
        with_pods(service("c", "10.244.0.6", 8080)),
    ),
    "its endpoint is at an address of one without endpoints": (
        service("b", "10.96.0.2"),
        (EMPTY := service("c", "10.244.0.6", 8080), endpoints(EMPTY)),
    ),
    "its endpoint is at a node port of one without endpoints": (
        service("b", "10.96.0.2"),
        (EMPTY_AT_NODES := service("c", "10.96.0.3", node_port=8080), endpoints(EMPTY_AT_NODES)),
    ),
}


@pytest.mark.parametrize("case", SHARING)
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"masquerade_all": True, "iptables_localhost_nodeports": False},
        {"nodeport_addresses": ["10.0.0.1/32"], "detect_local_mode": "NodeCIDR"},
    ],
    ids=["plain", "masqueradeAll", "nodePortAddresses"],
)
def test_shared(monkeypatch: pytest.MonkeyPatch, case: str, flags: dict[str, Any]) -> None:
    changing, others = SHARING[case]
    found, compared = difference(monkeypatch, *losing_endpoints(changing, *others), **flags)
    assert not found.same
    assert compared == {f"a/{changing['metadata']['name']}", "a/c"}


def test_protocols_and_ports_of_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one load-balancer IP, other ports are apart, other protocols are compared in any case."""
    changing = service("b", "10.96.0.2", ingress=[LB])
    udp = with_pods(service("u", "10.96.0.3", protocol="UDP", ingress=[LB]))
    other = with_pods(service("o", "10.96.0.4", 443, ingress=[LB]))
    _, compared = difference(monkeypatch, *losing_endpoints(changing, *udp, *other))
    assert compared == {"a/b", "a/u"}


def test_a_silent_change_is_none_for_others_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that admits everyone drops what comes translated to its address."""
    open_, closed = (
        service("b", "10.96.0.2", ingress=[LB], loadBalancerSourceRanges=ranges)
        for ranges in ([], ["0.0.0.0/0"])
    )
    others = with_pods(service("c", "10.96.0.3"), at=LB, port=80)
    pods = endpoints(open_, "10.244.0.6", port=8080)
    old, new = ([*NODES, *others, side, pods] for side in (open_, closed))
    found, _ = difference(monkeypatch, old, new)
    assert not found.same
    assert {one.change.after for one in found.changes.node} == {"dropped"}


def test_an_address_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the new side's rules meet is compared as well."""
    old, new = (service("b", "10.96.0.2", externalIPs=ips) for ips in ([], [LB]))
    others = with_pods(service("c", "10.96.0.3"), at=LB, port=80)
    sides = ([*NODES, *others, side] for side in (old, new))
    found, compared = difference(monkeypatch, *sides)
    assert compared == {"a/b", "a/c"}
    assert found.changes.node


def test_ipv6_is_compared_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address can be written in many ways."""
    changing = service("b", "fd00:96::2", externalIPs=["2001:db8::1"])
    other = service("c", "fd00:96::3")
    at = endpoints(other, "2001:DB8:0::0001")
    pods = endpoints(changing, "fd00:244::6")
    for one in (changing, other):
        one["spec"]["clusterIPs"] = [one["spec"]["clusterIP"]]
    for slice_ in (at, pods):
        slice_["addressType"] = "IPv6"
    old = [*NODES, changing, other, at, pods]
    found, _ = difference(monkeypatch, old, old[:-1], ip_family="ipv6")
    assert found.changes.node
    found, _ = difference(monkeypatch, old, old[:-1], ip_family="ipv4")
    assert found.other_family_service_ports == (2, 2)


@pytest.mark.parametrize("part", range(2))
def test_tiny_clusters(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """Random ones: any number of them can be tried by raising CLUSTERS."""
    # of each chain and destination all differences count, not the first that are found
    monkeypatch.setattr(compare, "MAX_DIFFERENCES", 50)
    differing = 0
    for seed in range(part, CLUSTERS, 2):
        old, new, before, after = pair(random.Random(f"shared {seed}"))
        sides = sides_of(old, new, before, after)
        found = diff_nodes(*sides)
        wanted = node_by_node(*sides)
        assert without_examples(found.changes) == without_examples(wanted), f"cluster {seed}"
        differing += not found.changes.same
    assert differing > CLUSTERS / 8


def test_equal_texts_of_nodes_with_other_pod_networks() -> None:
    """A node whose text stays is the same, however the other nodes change."""
    one = service("b", "10.96.0.2")
    old = [*NODES, one, endpoints(one, "10.244.0.6")]
    new = [item for item in old if item["metadata"]["name"] != "node-2"]
    flags = {"detect_local_mode": "NodeCIDR"}
    found = diff_nodes(*sides_of(old, new, flags, flags))
    assert found.removed == ("node-2",)
    assert found.differing == ()
    assert found.changes.silent == ()
