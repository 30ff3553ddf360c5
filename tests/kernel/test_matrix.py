"""Cells of small matrices against the kernel: the packets are sent, several for each cell."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from compiler.analysis.cells import Cell
from compiler.analysis.matrix import make_matrix
from compiler.analysis.node_view import Column, NodeView
from compiler.cluster import Cluster
from compiler.compilation import read_inputs
from compiler.netfilter.evaluate import Packet
from tests.cases import FIXTURES, node_text
from tests.kernel.agreement import load
from tests.kernel.wire import NODE, NODE6, Fate, Wire

pytestmark = pytest.mark.kernel

# With so many packets an endpoint of four is missed once in a billion runs.
PACKETS = 72
CASES = (
    "local-policy-on-five-nodes",
    "loadbalancer-source-ranges",
    "no-endpoints",
    "external-ips",
    "internal-local-without-local-endpoints",
    "dual-stack-ipv6",
)


@pytest.mark.parametrize("case", CASES)
def test_cells_are_what_the_kernel_does(wire: Wire, backend: str, case: str) -> None:
    """On every node: the endpoints of a cell are those that packets come to, and no others."""
    config = FIXTURES / case / "kube-proxy.yaml"
    family = "ipv6" if case.endswith("ipv6") else "ipv4"
    manifests = next((FIXTURES / case).glob("input.*"))
    cluster = Cluster(read_inputs([manifests], config=config, ip_family=family))
    own = NODE6[0] if family == "ipv6" else NODE[0]
    nodes = [cluster.node(name) for name in cluster.choose_nodes(())]
    # every node has its turn as the one node that the wire is
    columns = [Column(one.name, one.ruleset, [own], one.pod_cidr) for one in nodes]
    matrix = make_matrix(columns)
    views = [NodeView(column) for column in columns]
    tried = 0
    for place, node in enumerate(nodes):
        text = node_text(node.compilation.text)
        loaded = load(wire, backend, cluster.inputs.family, text)
        for row in matrix.rows:
            sender = views[place].around.from_address(row.sources[place])
            interface = None if sender.local else "eth0"
            packet = Packet(
                source=sender.address,
                destination=row.entry.address or own,
                protocol=row.entry.key.protocol,
                destination_port=row.entry.port,
                local=sender.local,
                interface=interface,
            )
            cell = row.cells[place]
            count = PACKETS if len(cell) > 1 else 2
            packets = [replace(packet, source_port=wire.next_port()) for _ in range(count)]
            gone = {one.kind for one in cell} == {"dropped"}
            fates = loaded.wire.send(packets, lambda _, gone=gone: not gone)  # type: ignore[misc]
            seen = {_seen(*pair) for pair in zip(packets, fates, strict=True)}
            said = _said(cell, packet)
            # a client that is remembered goes to one endpoint alone
            assert seen <= said, (node.name, row.entry, row.sender)
            assert seen == said or loaded.remembers, (node.name, row.entry, row.sender)
            tried += 1
    assert tried >= 2 * len(nodes)


def _said(cell: Cell, packet: Packet) -> set[tuple[str, str, bool]]:
    """Return what a cell says of packets, as it is seen on the wire."""
    return {(one.kind, one.to, _shows(packet) and one.source == "masquerade") for one in cell}


def _seen(packet: Packet, fate: Fate) -> tuple[str, str, bool]:
    if fate.kind == "gone":
        return "dropped", "", False
    if fate.kind == "answer":
        return "rejected", fate.answer, False
    same = (fate.destination, fate.destination_port) == (
        packet.destination,
        packet.destination_port,
    )
    host = f"[{fate.destination}]" if ":" in fate.destination else fate.destination
    masqueraded = _shows(packet) and fate.source != packet.source
    if same:
        return "nothing", "", masqueraded
    return "endpoint", f"{host}:{fate.destination_port}", masqueraded


def _shows(packet: Packet) -> bool:
    """Say whether masquerading shows: the node's own packets have its address in any case."""
    return packet.source not in (*NODE, *NODE6)
