"""Graphs of service ports: their chains, and what packets that are sent through them show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compiler.analysis.graph.making import Structure
from compiler.analysis.graph.model import Edge, Graph, Node
from compiler.analysis.graph.overlay import add_ends, narrow
from compiler.analysis.graph.structure import read_structure
from compiler.analysis.graph.traffic import Sent, Traffic
from compiler.analysis.node_view import NodeView
from compiler.kube_rules.senders import Sender
from compiler.kube_rules.service_port import Key

_ORDER = ("sender", "entry", "firewall", "external", "cluster", "local", "endpoint", "other")
HAIRPIN = "connections of an endpoint to itself are masqueraded (hairpin)"


def draw(
    view: NodeView,
    key: Key,
    names: Mapping[str, str] | None = None,
    *,
    wanted: str = "",
    sender: Sender | None = None,
) -> Graph:
    """Draw a service port on a node.

    `names` are what is known of endpoints (`web-1 on worker-1`), by address without port. `wanted`
    is the kind of sender whose way is drawn, empty for all; with `sender` it is that one's name.
    """
    made = read_structure(view.rules, key, names or {})
    traffic = Traffic(view, made, names or {})
    if wanted:
        sent = list(traffic.one_sender(wanted, sender))
        addresses = dict.fromkeys(one.address for one in sent if one.address)
        shown = ", ".join(one for one in addresses if one != wanted)
        narrow(made, sent, Node(f"sender:{wanted}", "sender", f"from {wanted}", shown))
        if not sent:
            made.notes[f"no entry point that {wanted} sends to"] = None
    else:
        sent = list(traffic.every_sender())
        add_ends(made, sent)
        made.notes |= dict.fromkeys(_not_sent(made, sent))
        made.notes |= dict.fromkeys(_hairpin(view, made))
    made.notes |= traffic.notes
    made.notes |= dict.fromkeys(view.limits())
    return _finished(view, made, wanted)


def _not_sent(made: Structure, sent: Iterable[Sent]) -> Iterable[str]:
    """Say from whom and to which entry points no packet was sent."""
    pairs = {(one.sender, one.entry): one.why_not for one in sent}
    for why in dict.fromkeys(filter(None, pairs.values())):
        missing = [pair for pair, reason in pairs.items() if reason == why]
        words: dict[str, None] = {}
        for sender, entry in missing:
            via = made.nodes[entry].words
            if all(pair in missing for pair in pairs if pair[0] == sender):
                words[f"from {sender}"] = None
            elif all(pair in missing for pair in pairs if pair[1] == entry):
                words[via] = None
            else:
                words[f"from {sender} {via}"] = None
        yield f"not tried: {', '.join(words)}: {why}"


def _hairpin(view: NodeView, made: Structure) -> Iterable[str]:
    """Say whether endpoints' connections to themselves are masqueraded."""
    port = view.rules.service_port(made.key)
    all_ = [one for some in (port.cluster, port.local) if some for one in some.endpoints]
    shown = [one for one in all_ if f"endpoint:{one.address}" in made.nodes]
    if any(one.hairpin for one in shown):
        yield HAIRPIN
    for address in dict.fromkeys(one.address for one in shown if not one.hairpin):
        yield f"connections of {address} to itself are not masqueraded"


def _finished(view: NodeView, made: Structure, wanted: str) -> Graph:
    """Put nodes and edges in the order in which they are drawn, without what nothing leads to."""
    linked = {key for edge in made.edges.values() for key in (edge.source, edge.target)}
    nodes = [one for key, one in made.nodes.items() if key in linked]
    order = {kind: place for place, kind in enumerate(_ORDER)}
    nodes.sort(key=lambda one: order.get(one.kind, len(order)))
    places = {one.key: place for place, one in enumerate(nodes)}
    edges = sorted(made.edges.values(), key=lambda one: _place(one, places))
    return Graph(made.key, view.name, tuple(nodes), tuple(edges), wanted, tuple(made.notes))


def _place(edge: Edge, places: Mapping[str, int]) -> tuple[bool, int]:
    return edge.kind == "return", places[edge.source]
