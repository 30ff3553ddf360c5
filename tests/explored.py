"""Documents of `explore` as the tests look answers up in them: as the page does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from compiler.analysis.explore.cells import Cutter
from compiler.analysis.node_view import Column, NodeView
from compiler.analysis.trace import Trace, Way, trace_packet
from compiler.analysis.trace_words import details
from compiler.exploring import make_exploration, side_of_rules
from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.manifests.source import Source
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.outcome import Step
from compiler.questions import read_rules

Json = dict[str, Any]


def explored(text: str, addresses: Sequence[str] = ()) -> tuple[NodeView, Json]:
    """Return a node of a text of rules, and its document with all details."""
    column = Column("node", read_rules(Source("rules", text.encode())), addresses)
    document: Json = dict(
        make_exploration([side_of_rules("rules", [column])], ["rules"]).document()
    )
    document["details"] = list(document["details"])
    return NodeView(column), document


def entries(document: Json) -> Iterator[tuple[Json, Json]]:
    """Give the entry points that have answers, each with its state."""
    for detail in document["details"]:
        for state in detail["states"]:
            for entry in state["entries"]:
                if entry["cells"]:
                    yield state, entry


def holds(cell: Json, source: int) -> bool:
    """Say whether a cell has a source."""
    return any(int(low, 16) <= source <= int(high, 16) for low, high in cell["sources"])


def cells_of(entry: Json, packet: Packet, source: int) -> list[Json]:
    """Return the cells that a packet is in: exactly one, if all is well."""
    mine = [one for one in entry["cells"] if one["local"] is packet.local]
    by = packet.interface if any(one["interface"] == packet.interface for one in mine) else None
    return [
        one
        for one in mine
        if one["interface"] == by and packet.state in one["states"] and holds(one, source)
    ]


def shown(state: Json, case: Json) -> list[tuple[object, ...]]:
    """Return what the document says of a case, in the order of its ways."""
    return [
        (way_shown(state, state["ways"][way]), Fraction(int(numerator), int(denominator)))
        for way, numerator, denominator in case["ways"]
    ]


def way_shown(state: Json, way: Json) -> tuple[object, ...]:
    """Return what the document says of a way, with rules as texts."""

    def rule(place: int | None) -> str | None:
        return None if place is None else state["rules"][place]["text"]

    return (
        *(way[name] for name in ("outcome", "verdict", "answer", "translatedTo", "source")),
        way["delivered"],
        way["policy"],
        rule(way["decidedBy"]),
        rule(way["masqueradedBy"]),
        tuple(way["reasons"]),
        tuple(way["stamps"]),
        tuple(rule(place) for place in way["path"]),
    )


def traced(cutter: Cutter, packet: Packet) -> Trace:
    """Return what `trace` answers."""
    return trace_packet(cutter.rules, packet, cutter.host)


def expected(cutter: Cutter, packet: Packet, ways: Sequence[Way]) -> list[tuple[object, ...]]:
    """Return what `trace` says of a case, as `shown` does."""
    return [(way_expected(cutter, packet, way), way.share) for way in ways]


def way_expected(cutter: Cutter, packet: Packet, way: Way) -> tuple[object, ...]:
    """Return what `trace` says of a way, as `way_shown` does."""

    def rule(step: Step | None) -> str | None:
        return None if step is None else str(step.rule)

    reasons = details(way, packet, cutter.rules, masquerade=False)
    lists = way.outcome.lists
    return (
        *(way.outcome_name, way.verdict, way.answer, way.destination, way.source),
        way.delivery == "input",
        way.policy,
        rule(way.decided_by),
        rule(way.masquerade),
        tuple(reasons),
        tuple(one[1:] for one in lists if one.startswith(f"+{ENDPOINT_PREFIX}")),
        tuple(str(step.rule) for step in way.outcome.path),
    )
