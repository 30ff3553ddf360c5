"""The words of a graph that all formats share."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.analysis.graph.model import Edge, Graph, Node
from compiler.analysis.packet_words import percent

SIGNS = {"added": "+", "removed": "\N{MINUS SIGN}"}
ARROW = " → "


def edge_words(graph: Graph, edge: Edge) -> list[str]:
    """Write what an edge asks and does, one line each; a changed edge with what it was."""
    if edge.kind == "return" and edge.affinity is not None and edge.before is None:
        # in two lines: many such edges lie beside one another
        return ["returning", f"within {edge.affinity} s"]
    now = parts_of(graph, edge)
    was = parts_of(graph, edge.before) if edge.before is not None else now
    return [
        new if new == old else f"{old or 'none'}{ARROW}{new or 'none'}"
        for old, new in zip(was, now, strict=True)
        if old or new
    ]


def parts_of(graph: Graph, edge: Edge) -> tuple[str, str, str]:
    """Return an edge's condition, share and masquerade in words, each empty where it has none."""
    if edge.kind == "return":
        within = f"returning within {edge.affinity} s" if edge.affinity is not None else ""
        return within or edge.condition, "", ""
    return edge.condition, share_words(graph, edge), ", ".join(edge.masquerade)


def share_words(graph: Graph, edge: Edge) -> str:
    """Write an edge's share; that of endpoints that were folded is the share of each."""
    if edge.share is None:
        return ""
    count = graph.node(edge.target).count
    return percent(edge.share) if count == 1 else f"{percent(edge.share / count)} each"


def node_words(node: Node, *, chains: bool) -> list[str]:
    """Write a node, one text for each line of its box."""
    lines = [node.words]
    if node.detail:
        lines.append(node.detail)
    if chains and node.chain and node.chain not in node.words:
        lines += node.chain.split(", ")
    return lines


def description(graph: Graph) -> str:
    """Describe a graph for those who don't see it."""
    entries = [node.words.removeprefix("via ") for node in graph.nodes if node.kind == "entry"]
    endpoints = sum(node.count for node in graph.nodes if node.kind == "endpoint")
    ends = dict.fromkeys(node.words for node in graph.nodes if node.ends)
    parts = [f"From {_listed(entries) or 'no entry point'}"]
    parts.append("to 1 endpoint" if endpoints == 1 else f"to {endpoints} endpoints")
    text = " ".join(parts)
    text = f"{text}; ends: {', '.join(ends)}." if ends else f"{text}."
    return f"{text} {_changes(graph)}" if graph.changes else text


def _changes(graph: Graph) -> str:
    """Name what was added and removed, and count the lines that changed."""
    parts = [
        f"{change} {_listed(words)}"
        for change in ("added", "removed")
        if (words := [node.words for node in graph.nodes if node.change == change])
    ]
    lines = sum(bool(edge.change) for edge in graph.edges)
    return f"Changes: {', '.join([*parts, '1 line' if lines == 1 else f'{lines} lines'])}."


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")
