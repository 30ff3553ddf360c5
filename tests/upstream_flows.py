"""The packets of kube-proxy's own tests, as the evaluator takes them."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from tests.cases import CONFORMANCE_CASES

# In kube-proxy's tests, only these are local addresses (and ::1).
HOST = Host(addresses=frozenset(("192.168.0.2", "127.0.0.1", "::1")))
FLOWS = [case for case in CONFORMANCE_CASES if case.flows]


def packet_of(flow: Mapping[str, object]) -> Packet:
    """Return the packet of an entry of `flows.json`."""
    source = str(flow["sourceIP"])
    return Packet(
        source=source,
        destination=str(flow["destIP"]),
        protocol=str(flow["protocol"]) or "tcp",
        destination_port=int(str(flow["destPort"])),
        local=source in (HOST.addresses or ()),
        interface="eth0",
    )
