"""What the rules about endpoints warn of is what the kernel does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compiler.netfilter.evaluate import Packet
from tests.kernel.box import BACKENDS
from tests.kernel.manifests import (
    NODE_IP,
    OTHER_NODE,
    Object,
    endpoint,
    endpoint_slice,
    service,
)
from tests.kernel.passing import install, rules_of, sent, went
from tests.kernel.wire import Wire, fresh_wire

pytestmark = pytest.mark.kernel

CLUSTER_IP = "10.200.1.10"
REFUSED = "answered: icmp-port-unreachable"
POD = "10.10.2.1:8080"


@pytest.fixture(scope="module", params=BACKENDS)
def kernel(request: pytest.FixtureRequest) -> Iterator[tuple[Wire, str]]:
    with fresh_wire() as made:
        yield made, request.param


def from_pod(source: str = "10.10.1.9", destination: str = CLUSTER_IP) -> Packet:
    return Packet(source=source, destination=destination, destination_port=80, interface="cni0")


WEB = service("web", [CLUSTER_IP])


def slice_of(*endpoints: Object) -> Object:
    return endpoint_slice("web", endpoints or [endpoint("web-1", "10.10.2.1")])


def test_a_port_that_no_slice_has_is_refused(kernel: tuple[Wire, str]) -> None:
    """PR401."""
    wire, backend = kernel
    install(wire, backend, rules_of(WEB, slice_of()))
    assert went(wire, from_pod()) == POD
    for change in ({"name": "other"}, {"protocol": "UDP"}):
        one = slice_of()
        one["ports"][0].update(change)
        install(wire, backend, rules_of(WEB, one))
        assert went(wire, from_pod()) == REFUSED


def test_without_ready_endpoints_connections_are_refused(kernel: tuple[Wire, str]) -> None:
    """PR402."""
    wire, backend = kernel
    starting = endpoint("web-1", "10.10.2.1", OTHER_NODE, ready=False, serving=False)
    leaving = endpoint("web-1", "10.10.2.1", OTHER_NODE, ready=False, terminating=True)
    install(wire, backend, rules_of(WEB, slice_of(starting)))
    assert went(wire, from_pod()) == REFUSED
    install(wire, backend, rules_of(WEB, slice_of(leaving)))
    assert went(wire, from_pod()) == POD


def test_a_slice_without_the_label_is_ignored(kernel: tuple[Wire, str]) -> None:
    """PR403."""
    wire, backend = kernel
    one = slice_of()
    one["metadata"]["labels"] = {"kubernetes.io/service": "web"}
    install(wire, backend, rules_of(WEB, one))
    assert went(wire, from_pod()) == REFUSED


def test_an_address_outside_of_the_pod_networks(kernel: tuple[Wire, str]) -> None:
    """PR404: it gets its share, and as a client it is masqueraded."""
    wire, backend = kernel
    stale = "10.224.2.1"
    install(
        wire,
        backend,
        rules_of(WEB, slice_of(endpoint("web-1", "10.10.2.1"), endpoint("web-2", stale))),
    )
    # All forty go to one of the two once in 2^39 runs.
    assert {went(wire, from_pod()) for _ in range(40)} == {POD, f"{stale}:8080"}
    assert sent(wire, from_pod()).source == "10.10.1.9"
    assert sent(wire, from_pod(stale)).source not in {stale, ""}


def test_an_endpoint_of_two_services_gets_the_requests_of_both(kernel: tuple[Wire, str]) -> None:
    """PR405."""
    wire, backend = kernel
    other = service("other", ["10.200.1.11"])
    slices = [slice_of(), endpoint_slice("other", [endpoint("web-1", "10.10.2.1")])]
    install(wire, backend, rules_of(WEB, other, *slices))
    assert went(wire, from_pod()) == went(wire, from_pod(destination="10.200.1.11")) == POD


def test_a_node_port_takes_what_is_for_a_host_port(kernel: tuple[Wire, str]) -> None:
    """PR407: what listens on the node, as Pods with hostNetwork do, gets nothing."""
    wire, backend = kernel
    packet = Packet(source="8.8.8.8", destination=NODE_IP, destination_port=30080)
    install(wire, backend, rules_of(WEB, slice_of()))
    assert went(wire, packet) == f"{NODE_IP}:30080"
    web = service("web", [CLUSTER_IP], node_port=30080)
    install(wire, backend, rules_of(web, slice_of()))
    assert went(wire, packet) == POD
    # Without endpoints it is refused even.
    install(wire, backend, rules_of(web))
    assert went(wire, packet) == REFUSED
