"""Many endpoints as one node, so that a graph of a large Service can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from compiler.analysis.graph.model import Edge, Graph, Node

# So many endpoints that are treated alike are drawn one by one.
SHOWN = 10
# Shares that the kernel's 31-bit thresholds make unlike are one share.
_ROUNDING = 1_000_000
_MORE = "more:"

Sign = tuple[object, ...]


def folded(graph: Graph, shown: int = SHOWN) -> Graph:
    """Return the graph with endpoints beyond the first `shown` of a kind as one node.

    Endpoints are of a kind where all edges to and from them are alike, and what changed of them.
    """
    groups: dict[tuple[str, ...], list[Node]] = {}
    signs = _signs(graph)
    for node in graph.nodes:
        if node.kind == "endpoint":
            groups.setdefault(signs[node.key], []).append(node)
    into: dict[str, Node] = {}
    for number, nodes in enumerate(groups.values(), 1):
        if len(nodes) > shown:
            rest = nodes[shown - 1 :]
            words, change = f"and {len(rest)} more", rest[0].change
            more = Node(f"{_MORE}{number}", "endpoint", words, count=len(rest), change=change)
            into |= {node.key: more for node in rest}
    if not into:
        return graph
    nodes_ = dict.fromkeys(into.get(node.key, node) for node in graph.nodes)
    edges: dict[Sign, Edge] = {}
    for edge in graph.edges:
        moved = _moved(edge, into)
        sign = _rest(moved, 0, 0), moved.source, moved.target, moved.change
        edges[sign] = _summed(edges[sign], moved) if sign in edges else moved
    # what is left comes behind the endpoints that are drawn
    ways = sorted(edges.values(), key=lambda edge: edge.target.startswith(_MORE))
    return replace(graph, nodes=tuple(nodes_), edges=tuple(ways))


def _moved(edge: Edge, into: Mapping[str, Node]) -> Edge:
    """Return an edge that leads to where its endpoint was folded."""
    source = into[edge.source].key if edge.source in into else edge.source
    target = into[edge.target].key if edge.target in into else edge.target
    before = None if edge.before is None else _moved(edge.before, into)
    return replace(edge, source=source, target=target, before=before)


def _summed(one: Edge, other: Edge) -> Edge:
    before = one.before
    if before is not None and other.before is not None:
        before = replace(before, share=_added(before.share, other.before.share))
    return replace(one, share=_added(one.share, other.share), before=before)


def _added(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    return None if one is None or other is None else one + other


def _signs(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return what endpoints are told apart by but for their addresses."""
    found: dict[str, list[str]] = {
        node.key: [node.change] for node in graph.nodes if node.kind == "endpoint"
    }
    for edge in graph.edges:
        shares = (_rounded(edge), _rounded(edge.before))
        for mine, other in ((edge.target, edge.source), (edge.source, edge.target)):
            if mine in found:
                sign = (mine == edge.target, other, edge.change, _rest(edge, *shares))
                found[mine].append(repr(sign))
    return {key: tuple(sorted(signs)) for key, signs in found.items()}


def _rest(edge: Edge, *shares: int | None) -> Sign:
    """Return what an edge is but for where it leads, with these shares."""
    before = edge.before
    was = before and (before.condition, before.masquerade, before.affinity)
    return (edge.kind, edge.condition, edge.masquerade, edge.affinity, was, *shares)


def _rounded(edge: Edge | None) -> int | None:
    return None if edge is None or edge.share is None else round(edge.share * _ROUNDING)
