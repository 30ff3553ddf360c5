"""Rules of a few objects in the kernel, and where single packets go under them."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from compiler.compilation import compile_rules
from compiler.family import IPV4
from compiler.manifests.source import Source
from compiler.netfilter.evaluate import Packet
from tests.cases import node_text
from tests.kernel.agreement import load
from tests.kernel.manifests import CLUSTER_CIDR, THIS_NODE, Object, nodes
from tests.kernel.wire import Fate, Wire


def rules_of(*objects: Object, **options: Any) -> str:
    """Compile the IPv4 rules of a node for these objects, with the jumps to them."""
    items = [*nodes(), *objects]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    flags = {"cluster_cidr": CLUSTER_CIDR, **options.pop("flags", {})}
    sources = [Source("objects.json", text.encode())]
    return node_text(compile_rules(sources, node=THIS_NODE, flags=flags, **options).text)


def install(wire: Wire, backend: str, text: str) -> None:
    """Put IPv4 rules into the kernel in place of all others."""
    load(wire, backend, IPV4, text)


def sent(wire: Wire, packet: Packet, *, lost: bool = False) -> Fate:
    """Send a packet from a new port, and return what became of it.

    Who expects it to get `lost` waits for another packet behind it.
    """
    behind = Packet(source="203.0.113.99", destination="192.0.2.99", destination_port=9)
    packets = [
        replace(
            one,
            interface=None if one.local else one.interface or "eth0",
            source_port=wire.next_port(),
        )
        for one in ([packet, behind] if lost else [packet])
    ]
    return wire.send(packets, lambda place: place == len(packets) - 1)[0]


def went(wire: Wire, packet: Packet, *, lost: bool = False) -> str:
    """Send a packet; return where it went: an address and port, `answered: …`, or `gone`."""
    fate = sent(wire, packet, lost=lost)
    if fate.kind == "answer":
        return f"answered: {fate.answer}"
    return fate.kind if fate.kind == "gone" else f"{fate.destination}:{fate.destination_port}"
