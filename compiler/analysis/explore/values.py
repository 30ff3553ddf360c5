"""Shares and graphs as values of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from compiler.analysis.graph.model import Graph

Value = dict[str, object]

# Packets from the endpoints of larger service ports are not looked at: each has a cell of its own,
# in which every endpoint has a way.
MAX_ENDPOINTS = 50
_EXACT = 1 << 53
# One more endpoint is 31 more bits in the denominator of its share.
_MOST_BITS = 31 * MAX_ENDPOINTS


def share_value(share: Fraction) -> list[int | str]:
    """Write an exact share; numbers that JavaScript has no exact ones for are texts.

    Those of hundreds of endpoints, which have thousands of digits, are rounded to 52 bits.
    """
    if share.denominator.bit_length() > _MOST_BITS:
        share = Fraction(round(share * (1 << 52)), 1 << 52)
    return [one if one <= _EXACT else str(one) for one in (share.numerator, share.denominator)]


def graph_value(graph: Graph, rules: Sequence[Sequence[int]]) -> Value:
    """Return a graph as a value; `rules` are those of each edge."""
    nodes = [
        {
            "key": one.key,
            "kind": one.kind,
            "words": one.words,
            "detail": one.detail,
            "chain": one.chain,
            "count": one.count,
            "change": one.change,
        }
        for one in graph.nodes
    ]
    edges = [
        {
            "source": one.source,
            "target": one.target,
            "kind": one.kind,
            "condition": one.condition,
            "share": None if one.share is None else share_value(one.share),
            "masquerade": list(one.masquerade),
            "affinity": one.affinity,
            "change": one.change,
            "rules": list(places),
        }
        for one, places in zip(graph.edges, rules, strict=True)
    ]
    return {"nodes": nodes, "edges": edges, "notes": list(graph.notes)}
