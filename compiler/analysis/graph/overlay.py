"""What packets that were sent add to a graph of chains, or leave of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from compiler.analysis.graph.making import Structure
from compiler.analysis.graph.model import Edge, Node
from compiler.analysis.graph.traffic import Sent, Way
from compiler.analysis.packet_words import percent

Place = tuple[str, str]
"""An entry point's node, and its address on the node."""


def add_ends(made: Structure, sent: Sequence[Sent]) -> None:
    """Add where packets ended beyond what the chains show, with who sent them."""
    passing: dict[tuple[str, str], dict[Place, None]] = {}
    ending: dict[tuple[str, str], dict[str, list[Place]]] = {}
    for one in sent:
        place = one.entry, one.destination
        for way in one.ways:
            passing.setdefault((way.at, one.sender), {})[place] = None
            if way.end is not None:
                ends = ending.setdefault((way.at, made.add(way.end)), {})
                ends.setdefault(one.sender, []).append(place)
    for (at, key), senders in ending.items():
        words = []
        for sender, places in senders.items():
            some = len(set(places)) < len(passing[at, sender])
            own = [one for one in sent if one.sender == sender]
            words.append(f"{sender} {_vias(made, places, own)}" if some else sender)
        made.link(Edge(at, key, condition=f"from {', '.join(words)}"))


def _vias(made: Structure, places: Iterable[Place], sent: Sequence[Sent]) -> str:
    """Name entry points, with their addresses where others of them are not meant."""
    found: dict[str, dict[str, None]] = {}
    for entry, destination in places:
        found.setdefault(entry, {})[destination] = None
    words = []
    for entry, destinations in found.items():
        every = {one.destination for one in sent if one.entry == entry and one.ways}
        at = "" if every == set(destinations) else f" at {', '.join(destinations)}"
        words.append(f"{made.nodes[entry].words}{at}")
    return " or ".join(words)


@dataclass
class _Flow:
    """What part of the packets to each entry point takes an edge, and is masqueraded by it.

    `accepted` is the part of those that come to where that is done.
    """

    edge: Edge
    parts: dict[Place, Fraction] = field(default_factory=dict)
    accepted: Fraction = Fraction(0)
    marked: Fraction = Fraction(0)

    def add(self, place: Place, way: Way, *, marked: bool) -> None:
        self.parts[place] = self.parts.get(place, Fraction(0)) + way.share
        self.accepted += way.share if way.accepted else 0
        self.marked += way.share if marked else 0

    @property
    def masquerade(self) -> tuple[str, ...]:
        if not self.marked:
            return ()
        return ("masqueraded",) if self.marked == self.accepted else ("partly masqueraded",)


def narrow(made: Structure, sent: Sequence[Sent], sender: Node) -> None:
    """Leave of a graph what one sender's packets pass, with their shares."""
    flows = _flows(made, sent)
    # what comes to each node: it goes on, or ends there
    coming: dict[str, dict[Place, Fraction]] = {}
    parts = [(flow.edge.source, place, p) for flow in flows for place, p in flow.parts.items()]
    parts += [
        (way.at, (one.entry, one.destination), way.share)
        for one in sent
        for way in one.ways
        if way.end is None
    ]
    for key, place, part in parts:
        some = coming.setdefault(key, {})
        some[place] = some.get(place, Fraction(0)) + part
    kept: list[Edge] = []
    for flow in flows:
        edge, every = flow.edge, coming[flow.edge.source]
        shares = {place: flow.parts.get(place, Fraction(0)) / part for place, part in every.items()}
        if len(set(shares.values())) == 1:
            share: Fraction | None = next(iter(shares.values()))
            share = share if share != 1 or edge.share is not None else None
            kept.append(replace(edge, share=share, masquerade=flow.masquerade))
            continue
        # packets to one entry point are treated unlike those to another
        for share in dict.fromkeys(one for one in shares.values() if one):
            words = _vias(made, [at for at, one in shares.items() if one == share], sent)
            words = words if share == 1 else f"{percent(share)} of those {words}"
            condition = ", ".join(filter(None, [edge.condition, words]))
            one = replace(edge, share=None, condition=condition, masquerade=flow.masquerade)
            kept.append(one)
    _keep(made, sent, sender, kept)


def _flows(made: Structure, sent: Sequence[Sent]) -> list[_Flow]:
    """Follow what was sent along the edges, in the order of first use."""
    flows: dict[int | tuple[str, str], _Flow] = {}
    for one in sent:
        place = one.entry, one.destination
        for way in one.ways:
            for at, number in enumerate(way.edges):
                flow = flows.setdefault(number, _Flow(made.edges[number]))
                flow.add(place, way, marked=at in way.masqueraded)
            if way.end is not None:
                pair = way.at, made.add(way.end)
                flow = flows.setdefault(pair, _Flow(Edge(*pair)))
                flow.add(place, way, marked=False)
    return list(flows.values())


def _keep(made: Structure, sent: Sequence[Sent], sender: Node, kept: list[Edge]) -> None:
    """Make a graph of the edges that are left."""
    start: list[Edge] = []
    for one in sent:
        edge = Edge(sender.key, one.entry)
        if edge not in start:
            start.append(edge)
        if one.why_not:
            unknown = Node(f"other:{one.why_not}", "other", f"not known: {one.why_not}")
            kept.append(Edge(one.entry, made.add(unknown)))
    reached = {key for edge in (*start, *kept) for key in (edge.source, edge.target)}
    back = [edge for edge in made.edges.values() if edge.kind == "return"]
    back = [edge for edge in back if edge.source in reached and edge.target in reached]
    made.nodes = {sender.key: sender, **{k: n for k, n in made.nodes.items() if k in reached}}
    made.edges = dict(enumerate([*start, *kept, *back]))
