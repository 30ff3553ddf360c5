"""What the rules do to real connections, over both backends."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from compiler.family import IPV4
from compiler.lab.loading import load
from compiler.netfilter.backend import Backend
from tests.kernel.box import BACKENDS, Box
from tests.kernel.manifests import (
    NODE_IP,
    NODE_IP6,
    OPTIONS,
    THIS_NODE,
    Object,
    endpoint,
    endpoint_slice,
    service,
    write,
)

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("backend", BACKENDS)]

# A right share fails a test once in a million runs; the wrong ones that are tried here are off by
# far more than that (see `test_a_wrong_probability_is_seen`).
FALSE_ALARM = 1e-6

CLUSTER_IP = "10.200.1.10"
CLUSTER_IP6 = "fd00:200::10"
BALANCER_IP = "192.0.2.10"
NODE_PORT = 30080


def up(
    box: Box, backend: str, folder: Path, *objects: Object, options: tuple[str, ...] = ()
) -> None:
    box("up", write(folder, *objects), *OPTIONS, "--backend", backend, *options)


def p_value(counts: list[int], n: int) -> float:
    """How often equal shares of n would come out as uneven as these counts, or more (chi-squared).

    For an odd n, since an even number of degrees of freedom has a closed form.
    """
    assert n % 2 == 1
    assert len(counts) <= n
    expected = sum(counts) / n
    x = sum((count - expected) ** 2 for count in [*counts, *[0] * (n - len(counts))]) / expected
    terms = ((x / 2) ** k / math.factorial(k) for k in range((n - 1) // 2))
    return math.exp(-x / 2) * sum(terms)


def many(n: int) -> list[Object]:
    return [
        service("web", [CLUSTER_IP]),
        endpoint_slice("web", [endpoint(f"web-{i}", f"10.10.2.{i}") for i in range(1, n + 1)]),
    ]


def shares(box: Box, count: int) -> list[int]:
    return list(box.tally("web", count=count).values())


@pytest.mark.parametrize("n", [3, 7])
def test_every_endpoint_gets_its_share(box: Box, backend: str, tmp_path: Path, n: int) -> None:
    up(box, backend, tmp_path, *many(n))
    assert p_value(shares(box, 1500), n) > FALSE_ALARM


def test_a_wrong_probability_is_seen(box: Box, backend: str, tmp_path: Path) -> None:
    """The test above could fail: 1/2 where 1/3 belongs shares 1/2, 1/4, 1/4."""
    up(box, backend, tmp_path, *many(3))
    text = box.state.texts[IPV4].replace("--probability 0.3333333333", "--probability 0.5")
    load(box.netns("node"), IPV4, Backend(backend), text, noflush=False)
    assert p_value(shares(box, 1500), 3) < FALSE_ALARM


def test_no_endpoints_is_refused_at_once(box: Box, backend: str, tmp_path: Path) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP], node_port=NODE_PORT),
        service("dns", ["10.200.1.11"], protocol="UDP"),
    )
    for arguments in (
        ("web", "--from", "client-1"),
        ("web", "--from", "node"),
        ("web", "--from", "outside-1"),
        ("web", "--from", "node", "--via", "node-port"),
        ("dns", "--from", "client-1"),
    ):
        begin = time.monotonic()
        # The timeout would show as `timed out`; refused has to come well before it.
        assert box.tally(*arguments, "--timeout", "5") == {"refused": 1}, arguments
        assert time.monotonic() - begin < 2.5


def test_a_local_policy_without_local_endpoints_drops(
    box: Box, backend: str, tmp_path: Path
) -> None:
    far = endpoint_slice("web", [endpoint("web-1", "10.10.2.1")])
    inside = endpoint_slice("inside", [endpoint("inside-1", "10.10.2.2")])
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP], node_port=NODE_PORT, externalTrafficPolicy="Local"),
        far,
        service("inside", ["10.200.1.11"], internalTrafficPolicy="Local"),
        inside,
    )
    assert box.answer("web", "--from", "outside-1") == "timed out"
    assert box.answer("inside") == "timed out"
    # Pods and the node are let through to the endpoints elsewhere.
    assert box.answer("web") == "web-1"
    assert box.answer("web", "--via", "node-port", "--from", "node") == "web-1"
    assert box.answer("web", "--via", "node-port", "--from", "client-1") == "web-1"


def test_hairpin_works_by_masquerade(box: Box, backend: str, tmp_path: Path) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP]),
        endpoint_slice("web", [endpoint("web-1", "10.10.1.1", THIS_NODE)]),
    )
    hairpin = ("--from", "web-1", "--source")
    assert box.tally("web", *hairpin) == {f"web-1  from {NODE_IP}": 1}
    # Without the rule that marks a pod's own packets, the answer would come from itself.
    (chain,) = [chain for chain in box.state.layout.targets[0].chains if "SEP" in chain]
    box("exec", "node", "--", f"iptables-{backend}", "-t", "nat", "-D", chain, "1")
    assert box.answer("web", *hairpin) == "timed out"


def test_source_ranges_let_in_and_keep_out(box: Box, backend: str, tmp_path: Path) -> None:
    ranges = ["203.0.113.0/24"]
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP], ingress=[BALANCER_IP], loadBalancerSourceRanges=ranges),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]),
        options=("--outside", "203.0.113.7", "--outside", "203.0.114.7"),
    )
    assert box.answer("web", "--from", "outside-2") == "web-1"
    assert box.answer("web", "--from", "outside-3") == "timed out"
    assert box.answer("web", "--from", "outside-1") == "timed out"
    # The cluster IP has no such limit.
    assert box.answer("web", "--from", "client-1") == "web-1"


def test_source_ip_is_kept_under_local_and_masqueraded_under_cluster(
    box: Box, backend: str, tmp_path: Path
) -> None:
    both = [endpoint("here", "10.10.1.1", THIS_NODE), endpoint("there", "10.10.2.1")]
    up(
        box,
        backend,
        tmp_path,
        service("local", [CLUSTER_IP], node_port=30081, externalTrafficPolicy="Local"),
        endpoint_slice("local", both),
        service("cluster", ["10.200.1.11"], node_port=30082),
        endpoint_slice("cluster", both),
        options=("--outside", "203.0.113.7"),
    )
    outside = ("--from", "outside-2", "--source")
    assert box.tally("local", *outside, count=50) == {"here  from 203.0.113.7": 50}
    # One of two misses out once in 2^49 runs.
    assert set(box.tally("cluster", *outside, count=50)) == {
        f"here  from {NODE_IP}",
        f"there  from {NODE_IP}",
    }
    # A pod keeps its address on the way to a cluster IP.
    (member,) = [one for one in box.state.layout.members if one.name == "client-1"]
    pod = member.addresses[0]
    assert set(box.tally("cluster", "--source", count=50)) == {
        f"here  from {pod}",
        f"there  from {pod}",
    }


def test_node_port_from_outside_the_node_and_localhost(
    box: Box, backend: str, tmp_path: Path
) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP], node_port=NODE_PORT),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]),
    )
    for client in ("outside-1", "client-1", "node"):
        arguments = ("--from", client, "--via", "node-port", "--source")
        assert box.tally("web", *arguments) == {f"web-1  from {NODE_IP}": 1}, client
    assert box.answer("web", "--from", "node", "--via", "localhost") == "web-1"


def test_localhost_node_ports_can_be_off(box: Box, backend: str, tmp_path: Path) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP], node_port=NODE_PORT),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]),
        options=("--iptables-localhost-nodeports", "false"),
    )
    # Nothing listens there, and no rule leads away.
    assert box.answer("web", "--from", "node", "--via", "localhost") == "refused"
    assert box.answer("web", "--from", "node", "--via", "node-port") == "web-1"


def test_external_and_load_balancer_ips(box: Box, backend: str, tmp_path: Path) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP], ingress=[BALANCER_IP], externalIPs=["192.0.2.20"]),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1")]),
    )
    for entry_point in ("load-balancer", "external-ip"):
        for client in ("outside-1", "client-1", "node"):
            assert box.answer("web", "--from", client, "--via", entry_point) == "web-1", (
                entry_point,
                client,
            )


@pytest.mark.kernel("conntrack")
def test_udp(box: Box, backend: str, tmp_path: Path) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("dns", [CLUSTER_IP], protocol="UDP", node_port=30053),
        endpoint_slice("dns", [endpoint("dns-1", "10.10.2.1"), endpoint("dns-2", "10.10.2.2")],
                       protocol="UDP"),
    )  # fmt: skip
    assert set(box.tally("dns", count=60)) == {"dns-1", "dns-2"}
    assert box.tally("dns", "--from", "outside-1", "--source", count=1).keys() <= {
        f"dns-1  from {NODE_IP}",
        f"dns-2  from {NODE_IP}",
    }
    # TCP to the same port is no Service: it goes where the default route leads, to nobody.
    assert "udp" in box("conntrack", "dns")


def test_ipv6_and_dual_stack(box: Box, backend: str, tmp_path: Path) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP, CLUSTER_IP6], node_port=NODE_PORT, sessionAffinity="ClientIP"),
        endpoint_slice("web", [endpoint("web-1", "10.10.2.1"), endpoint("web-2", "10.10.2.2")]),
        endpoint_slice(
            "web", [endpoint("web-1", "fd00:10::2:1"), endpoint("web-2", "fd00:10::2:2")]
        ),
        service("none", ["fd00:200::11"]),
        service("dns", ["fd00:200::12"], protocol="UDP"),
        endpoint_slice("dns", [endpoint("web-1", "fd00:10::2:1")], protocol="UDP"),
    )
    (six,) = box.tally("web", "--ip-family", "ipv6", count=40)
    (four,) = box.tally("web", "--ip-family", "ipv4", count=40)
    assert {six, four} <= {"web-1", "web-2"}
    outside = ("--from", "outside-1", "--ip-family", "ipv6", "--source")
    (seen,) = box.tally("web", *outside)
    assert seen.endswith(f"from {NODE_IP6}")
    # Over a veth the ICMPv6 error comes back while connect() still holds the socket; Linux then
    # takes it for a passing one and gives up when the first retry meets it again, a second later.
    assert box.tally("none", "--timeout", "5") == {"refused": 1}
    assert box.answer("dns") == "web-1"
    # One pod, one namespace, for both families.
    assert [one.addresses for one in box.state.layout.members if one.name == "web-1"] == [
        ("10.10.2.1", "fd00:10::2:1")
    ]
    pins = box("affinity", "web")
    assert f"[fd00:10::2:{six[-1]}]:8080 ({six})" in pins
    assert f"10.10.2.{four[-1]}:8080 ({four})" in pins


def test_hairpin_over_ipv6(box: Box, backend: str, tmp_path: Path) -> None:
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP6]),
        endpoint_slice("web", [endpoint("web-1", "fd00:10::1:1", THIS_NODE)]),
    )
    assert box.tally("web", "--from", "web-1", "--source") == {f"web-1  from {NODE_IP6}": 1}


def test_terminating_endpoints_serve_when_nothing_else_does(
    box: Box, backend: str, tmp_path: Path
) -> None:
    leaving = [
        endpoint("going", "10.10.2.1", ready=False, serving=True, terminating=True),
        endpoint("gone", "10.10.2.2", ready=False, serving=False, terminating=True),
    ]
    only = [service("web", [CLUSTER_IP]), endpoint_slice("web", leaving)]
    up(box, backend, tmp_path, *only)
    assert box.tally("web", count=40) == {"going": 40}
    more = endpoint_slice("web", [*leaving, endpoint("new", "10.10.2.3")])
    box("apply", write(tmp_path, only[0], more))
    assert box.tally("web", count=40) == {"new": 40}


BY_BRIDGE = ("--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cni0")
BY_PREFIX = ("--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "veth")


@pytest.mark.parametrize(("mode", "match"), [(BY_BRIDGE, "-i cni0"), (BY_PREFIX, "-i veth+")])
def test_pods_are_detected_by_interface(
    box: Box, backend: str, tmp_path: Path, mode: tuple[str, ...], match: str
) -> None:
    both = [endpoint("here", "10.10.1.1", THIS_NODE), endpoint("there", "10.10.2.1")]
    up(
        box,
        backend,
        tmp_path,
        service("web", [CLUSTER_IP], node_port=NODE_PORT),
        endpoint_slice("web", both),
        options=mode,
    )
    assert f"! {match} -j KUBE-MARK-MASQ" in box.state.texts[IPV4]
    (client,) = [one for one in box.state.layout.members if one.name == "client-1"]
    seen = box.tally("web", "--source", count=40)
    assert set(seen) == {f"{one}  from {client.addresses[0]}" for one in ("here", "there")}
    # What comes in by another interface is masqueraded, and so is a pod's call to itself.
    outside = box.tally("web", "--from", "outside-1", "--via", "cluster-ip", "--source", count=40)
    assert set(outside) == {f"{one}  from {NODE_IP}" for one in ("here", "there")}
    own = box.tally("web", "--from", "here", "--source", count=40)
    assert set(own) == {f"here  from {NODE_IP}", "there  from 10.10.1.1"}
