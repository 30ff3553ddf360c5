"""What the rules of `lint` about exposure warn of happens to real packets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from compiler.api import compile_rules
from compiler.family import IPV4, IPV6, Family
from compiler.manifests.source import Source
from compiler.netfilter.evaluate import Packet
from compiler.questions import lint
from tests.cases import node_text
from tests.kernel.box import BACKENDS
from tests.kernel.manifests import Object
from tests.kernel.wire import GONE, NODE, NODE6, Fate, Wire, fresh_wire, program

pytestmark = pytest.mark.kernel

FLAGS: dict[str, Any] = {"cluster_cidr": "10.88.0.0/15,fd00:88::/47"}
POD, HERE, THERE, OTHER = "10.88.0.5", "10.88.0.9", "10.89.0.9", "10.89.0.10"
THERE6, CLUSTER_IP6 = "fd00:89::9", "fd00:200::10"
ADMITTED, STRANGER = "198.51.100.5", "203.0.113.99"
BALANCED, EXTERNAL = "203.0.113.10", "192.0.2.53"
NODE_PORT = 30080


@pytest.fixture(scope="module", params=BACKENDS)
def wire(request: pytest.FixtureRequest) -> Iterator[tuple[Wire, str]]:
    with fresh_wire() as made:
        yield made, request.param


def service(
    name: str, endpoint: str, *, number: int = 10, node_port: int = 0, **spec: Any
) -> list[Object]:
    """Return a Service with one port and its slice; no slice without an endpoint."""
    port: Object = {"name": "http", "port": 80} | ({"nodePort": node_port} if node_port else {})
    ingress = [{"ip": BALANCED}] if spec.get("type") == "LoadBalancer" else []
    made: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"clusterIP": f"10.200.1.{number}", "ports": [port], **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }
    return [made, *([slice_of(name, endpoint)] if endpoint else [])]


def slice_of(name: str, endpoint: str) -> Object:
    version = "IPv6" if ":" in endpoint else "IPv4"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{version.lower()}",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": version,
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [endpoint], "nodeName": "there"}],
    }


def sources(*objects: Object) -> list[Source]:
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": ip} for ip in ips]},
        }
        for name, ips in (("here", (NODE[0], NODE6[0])), ("there", ("192.168.0.77",)))
    ]
    value = {"apiVersion": "v1", "kind": "List", "items": [*nodes, *objects]}
    return [Source("cluster.json", json.dumps(value).encode())]


def load(
    wire: tuple[Wire, str], objects: list[Source], family: Family = IPV4, **flags: Any
) -> None:
    """Replace a family's rules by those of the node `here`."""
    made, backend = wire
    rules = compile_rules(
        objects, node="here", flags=FLAGS | flags, ip_family=family.api_name.lower()
    )
    made.shell(f"{program(backend, family)}-restore", node_text(rules.text))


def send(
    wire: tuple[Wire, str], *packets: tuple[str, str, int], lost: Sequence[int] = ()
) -> list[Fate]:
    """Send packets of a source to a destination and port; those in `lost` are not waited for."""
    made, _ = wire
    built = [
        Packet(
            source=source,
            destination=destination,
            destination_port=port,
            source_port=made.next_port(),
            interface="cni0" if source == POD else "eth0",
        )
        for source, destination, port in packets
    ]
    return made.send(built, lambda place: place not in lost)


def reported(rule: str, objects: list[Source], **flags: Any) -> list[str]:
    found = lint(objects, select=[rule], flags=FLAGS | flags).findings
    return [one.message for one in found]


def test_a_node_port_bypasses_source_ranges(wire: tuple[Wire, str]) -> None:
    """PR301, also by the external IP."""
    balanced: Object = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["198.51.100.0/24"]}
    objects = sources(
        *service("web", THERE, node_port=NODE_PORT, externalIPs=[EXTERNAL], **balanced)
    )
    load(wire, objects)
    admitted, node_port, external, refused = send(
        wire,
        (ADMITTED, BALANCED, 80),
        (STRANGER, NODE[0], NODE_PORT),
        (STRANGER, EXTERNAL, 80),
        (STRANGER, BALANCED, 80),
        lost=[3],
    )
    assert [one.destination for one in (admitted, node_port, external)] == [THERE] * 3
    assert refused == GONE
    (message,) = reported("PR301", objects)
    assert f"node port {NODE_PORT}, external IP {EXTERNAL}" in message
    assert not reported("PR301", sources(*service("web", THERE, **balanced)))


def test_an_external_ip_takes_traffic_of_pods(wire: tuple[Wire, str]) -> None:
    """PR302: of an address that is somebody else's."""
    objects = sources(*service("web", THERE, externalIPs=[EXTERNAL]))
    load(wire, sources(*service("web", THERE)))
    (before,) = send(wire, (POD, EXTERNAL, 80))
    load(wire, objects)
    (after,) = send(wire, (POD, EXTERNAL, 80))
    assert (before.destination, after.destination) == (EXTERNAL, THERE)
    assert len(reported("PR302", objects)) == 1


@pytest.mark.parametrize(
    ("blue", "policy", "by_chance"),
    [(THERE, "Cluster", True), ("", "Cluster", False), (THERE, "Local", False)],
)
def test_the_first_rule_wins(
    wire: tuple[Wire, str], blue: str, policy: str, by_chance: bool
) -> None:
    """PR303: in either order, unless one has no endpoint to use on this node."""
    found = []
    for names in ("ab", "ba"):
        objects = sources(
            *service(names[0], blue, externalIPs=[EXTERNAL], externalTrafficPolicy=policy),
            *service(names[1], OTHER, number=11, externalIPs=[EXTERNAL]),
        )
        load(wire, objects)
        (fate,) = send(wire, (STRANGER, EXTERNAL, 80))
        found.append(fate.destination)
        (message,) = reported("PR303", objects, hostname_override="here")
        assert ("random" in message) == by_chance
    assert set(found) == ({THERE, OTHER} if by_chance else {OTHER})


def test_source_ranges_divide_clients(wire: tuple[Wire, str]) -> None:
    """PR303: of two Services with one load-balancer IP each serves its own clients."""
    ranges = {address: [f"{address}/32"] for address in (ADMITTED, STRANGER)}

    def objects(mine: list[str], yours: list[str]) -> list[Source]:
        return sources(
            *service("a", THERE, type="LoadBalancer", loadBalancerSourceRanges=mine),
            *service("b", OTHER, number=11, type="LoadBalancer", loadBalancerSourceRanges=yours),
        )

    divided = objects(ranges[ADMITTED], ranges[STRANGER])
    load(wire, divided)
    fates = send(wire, (ADMITTED, BALANCED, 80), (STRANGER, BALANCED, 80))
    assert [one.destination for one in fates] == [THERE, OTHER]
    assert "divides the clients" in reported("PR303", divided)[0]
    shared = objects(ranges[ADMITTED], [*ranges[ADMITTED], *ranges[STRANGER]])
    assert "random" in reported("PR303", shared)[0]


def test_node_ports_are_open_on_every_address(wire: tuple[Wire, str]) -> None:
    """PR304: without networks, and on IPv6 with networks of IPv4 alone."""
    families: Object = {
        "type": "NodePort",
        "clusterIPs": ["10.200.1.10", CLUSTER_IP6],
        "ipFamilies": ["IPv4", "IPv6"],
    }
    web = service("web", THERE, node_port=NODE_PORT, **families)
    objects = sources(*web, slice_of("web", THERE6))
    load(wire, objects)
    fates = send(wire, *((STRANGER, address, NODE_PORT) for address in NODE))
    assert {one.destination for one in fates} == {THERE}
    limited: dict[str, Any] = {"nodeport_addresses": [f"{NODE[0]}/32"]}
    load(wire, objects, **limited)
    load(wire, objects, IPV6, **limited)
    first, other = send(wire, *((STRANGER, address, NODE_PORT) for address in NODE[:2]))
    assert first.destination == THERE
    assert other.destination != THERE
    fates = send(wire, *(("2001:db8::99", address, NODE_PORT) for address in NODE6))
    assert {one.destination for one in fates} == {THERE6}
    assert "IPv4 and IPv6" in reported("PR304", objects)[0]
    assert "has no IPv6 network" in reported("PR304", objects, **limited)[0]
    assert not reported("PR304", objects, nodeport_addresses=["primary"])


def test_neighbours_reach_node_ports_of_localhost(wire: tuple[Wire, str]) -> None:
    """PR305: even where they are open on loopback addresses alone; nothing else is there."""
    objects = sources(*service("web", THERE, node_port=NODE_PORT, type="NodePort"))
    alone: dict[str, Any] = {"nodeport_addresses": ["127.0.0.0/8"]}
    load(wire, objects, **alone)
    served, other = send(
        wire, (STRANGER, "127.0.0.1", NODE_PORT), (STRANGER, "127.0.0.1", 9), lost=[1]
    )
    assert served.destination == THERE
    assert other == GONE
    assert "only there" in reported("PR305", objects, **alone)[0]
    off: dict[str, Any] = {"iptables_localhost_nodeports": False}
    load(wire, objects, **off)
    (fate,) = send(wire, (STRANGER, "127.0.0.1", NODE_PORT))
    assert fate.destination != THERE
    assert not reported("PR305", objects, **off)


def test_a_load_balancer_ip_needs_no_node_port(wire: tuple[Wire, str]) -> None:
    """PR306: where packets come with the load-balancer IP; the node port is open beside it."""
    balanced: Object = {"type": "LoadBalancer"}
    web = service("web", THERE, node_port=NODE_PORT, **balanced)
    web[0]["metadata"]["annotations"] = {"metallb.io/ip-allocated-from-pool": "public"}
    packets = (STRANGER, BALANCED, 80), (STRANGER, NODE[0], NODE_PORT)
    load(wire, sources(*web))
    assert [one.destination for one in send(wire, *packets)] == [THERE, THERE]
    assert len(reported("PR306", sources(*web))) == 1
    off = service("web", THERE, allocateLoadBalancerNodePorts=False, **balanced)
    load(wire, sources(*off))
    served, not_there = send(wire, *packets)
    assert served.destination == THERE
    assert not_there.destination != THERE
    assert not reported("PR306", sources(*off))
