"""Graphs say what the evaluator says, and leave nothing of the chains out."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from compiler.analysis.cells import Cell
from compiler.analysis.graph.draw import HAIRPIN, draw
from compiler.analysis.graph.folding import folded
from compiler.analysis.graph.model import Graph
from compiler.analysis.graph.traffic import Traffic
from compiler.analysis.node_view import NodeView
from compiler.api import Column, RequestError, graph, read_columns
from compiler.kube_rules.senders import SENDER_KINDS, Sender
from compiler.netfilter.parse import parse_rules
from tests.cases import CONFORMANCE_CASES, FIXTURE_CASES, FIXTURES, Case, case_id, node_text
from tests.graphs import (
    NODE,
    NODE_6,
    changed,
    edge,
    ends_from,
    golden_text,
    only_graph,
    view_of,
)

LARGE = 100_000
SMALL = [case for case in FIXTURE_CASES if len(case.expected) < LARGE]
LOCAL = "nodeport-affinity-local"
ENDS = {"nothing": "passed", "endpoint": "endpoint"}


def expected_ends(cell: Cell) -> dict[tuple[str, str], Fraction]:
    found: dict[tuple[str, str], Fraction] = {}
    for one in cell:
        kind = ENDS.get(one.kind, one.kind)
        end = kind, one.to if kind == "endpoint" else ""
        found[end] = found.get(end, Fraction(0)) + one.share
    return found


@pytest.mark.parametrize("case", [*SMALL, *CONFORMANCE_CASES[::4]], ids=case_id)
def test_every_way_of_every_case_ends_as_the_matrix_says(case: Case) -> None:
    """From every sender through every entry point: all ends with exactly their shares."""
    tried = 0
    view = view_of(case.expected, case.ip_family)
    for key in view.rules.keys:
        whole = draw(view, key)
        for kind in ("pod", "node", "outside"):
            drawn = draw(view, key, wanted=kind)
            tried += check_ways(view, drawn, kind)
            check_shares(whole, drawn)
    assert tried or not view.rules.keys


def check_ways(view: NodeView, drawn: Graph, kind: str) -> int:
    traffic = Traffic(view, _structure(view, drawn), {})
    count = 0
    for one in drawn.nodes:
        if one.kind != "entry" or (entry := traffic._entry(one.key)) is None:
            continue
        sender = view.senders_to(entry, view.source_ranges(entry)).get(kind)  # type: ignore[call-overload]
        if isinstance(sender, Sender):
            cell = view.cell(entry, sender)
            assert ends_from(drawn, one.key) == expected_ends(cell), (one.words, kind)
            assert sum(ends_from(drawn, one.key).values()) == 1
            masked = any(result.source == "masquerade" for result in cell)
            assert any("masqueraded" in e.masquerade for e in reachable(drawn, one.key)) == masked
            count += 1
    return count


def _structure(view: NodeView, drawn: Graph):  # type: ignore[no-untyped-def]
    from compiler.analysis.graph.structure import read_structure

    return read_structure(view.rules, drawn.key, {})


def reachable(drawn: Graph, start: str) -> list[object]:
    found, waiting = [], [start]
    while waiting:
        key = waiting.pop()
        for one in drawn.edges:
            if one.source == key and one.kind == "way":
                found.append(one)
                waiting.append(one.target)
    return found


def check_shares(whole: Graph, drawn: Graph) -> None:
    """The shares of the rules' values are those of the packets that were sent."""
    known = {(e.source, e.target, e.kind, e.condition): e.share for e in whole.edges}
    for one in drawn.edges:
        place = one.source, one.target, one.kind, one.condition
        if known.get(place) is not None:
            assert one.share == known[place]
