"""Many endpoints as one node, so that a graph of a large Service can be read."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from compiler.analysis.graph.model import Edge, Graph, Node

# So many endpoints that are treated alike are drawn one by one.
SHOWN = 10
# Shares that the kernel's 31-bit thresholds make unlike are one share.
_ROUNDING = 1_000_000

Sign = tuple[object, ...]


def folded(graph: Graph, shown: int = SHOWN) -> Graph:
    """Return the graph with endpoints beyond the first `shown` of a kind as one node.

    Endpoints are of a kind where all edges to and from them are alike. Those that changed are never
    folded.
    """
    signs = _signs(graph)
    groups: dict[Sign, list[Node]] = {}
    for node in graph.nodes:
        if node.kind == "endpoint" and (sign := signs.get(node.key)) is not None:
            groups.setdefault(sign, []).append(node)
    into: dict[str, Node] = {}
    for number, nodes in enumerate(groups.values(), 1):
        if len(nodes) > shown:
            rest = nodes[shown - 1 :]
            words = f"and {len(rest)} more" if shown > 1 else f"{len(rest)} endpoints"
            more = Node(f"more:{number}", "endpoint", words, count=len(rest))
            into |= {node.key: more for node in rest}
    if not into:
        return graph
    nodes_ = dict.fromkeys(into.get(node.key, node) for node in graph.nodes)
    edges: dict[Sign, Edge] = {}
    for edge in graph.edges:
        source = into[edge.source].key if edge.source in into else edge.source
        target = into[edge.target].key if edge.target in into else edge.target
        moved = replace(edge, source=source, target=target)
        sign = (source, target, edge.kind, edge.condition, edge.masquerade, edge.affinity)
        if (other := edges.get(sign)) is not None and other.share is not None:
            moved = replace(other, share=other.share + (edge.share or Fraction(0)))
        edges[sign] = moved
    return replace(graph, nodes=tuple(nodes_), edges=tuple(edges.values()))


def _signs(graph: Graph) -> dict[str, Sign | None]:
    """Return what endpoints are told apart by but for their addresses; None for changed ones."""
    endpoints = {node.key: node for node in graph.nodes if node.kind == "endpoint"}
    found: dict[str, list[Sign]] = {key: [] for key in endpoints}
    changed = {key for key, node in endpoints.items() if node.change}
    for edge in graph.edges:
        share = None if edge.share is None else round(edge.share * _ROUNDING)
        for mine, other in ((edge.target, edge.source), (edge.source, edge.target)):
            if mine in found:
                side = mine == edge.target
                rest = (edge.kind, edge.condition, share, edge.masquerade, edge.affinity)
                found[mine].append((side, other, *rest))
                if edge.change:
                    changed.add(mine)
    return {
        key: None if key in changed else tuple(sorted(map(repr, signs)))
        for key, signs in found.items()
    }
