"""Two graphs of a service port as one, with what was added, removed or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from compiler.analysis.graph.model import Change, Edge, Graph, Node


def compare_graphs(before: Graph | None, after: Graph | None) -> Graph:
    """Return one graph of both sides; a side without the service port is None.

    Edges that differ in what they ask or do are one changed edge, where each side has one. Raises
    ValueError where both sides are None.
    """
    if before is None or after is None:
        one = after or before
        if one is None:
            raise ValueError("no graph on either side")
        change: Change = "added" if before is None else "removed"
        return _all(one, change)
    old = {node.key: node for node in before.nodes}
    new = {node.key: node for node in after.nodes}
    nodes = [node if node.key in old else replace(node, change="added") for node in after.nodes] + [
        replace(node, change="removed") for key, node in old.items() if key not in new
    ]
    on = after.on if after.on == before.on else f"{before.on} and {after.on}"
    return replace(
        after,
        on=on,
        nodes=tuple(_in_order(nodes)),
        edges=tuple(_edges(before.edges, after.edges)),
        notes=tuple(_notes(before.notes, after.notes)),
    )


def _all(graph: Graph, change: Change) -> Graph:
    return replace(
        graph,
        nodes=tuple(replace(node, change=change) for node in graph.nodes),
        edges=tuple(replace(edge, change=change) for edge in graph.edges),
    )


def _in_order(nodes: Sequence[Node]) -> list[Node]:
    """Put nodes of a kind together, those that are there first."""
    kinds = list(dict.fromkeys(node.kind for node in nodes))
    return sorted(nodes, key=lambda node: (node.ends, kinds.index(node.kind)))


def _edges(before: Sequence[Edge], after: Sequence[Edge]) -> Iterator[Edge]:
    """Give the edges of both sides, paired by where they lead and what they ask."""
    places: dict[tuple[str, str, str], tuple[list[Edge], list[Edge]]] = {}
    for side, edges in enumerate((before, after)):
        for edge in edges:
            place = edge.source, edge.target, edge.kind
            places.setdefault(place, ([], []))[side].append(edge)
    for sides in places.values():
        same = [edge for edge in sides[1] if edge in sides[0]]
        yield from same
        old, new = ([edge for edge in side if edge not in same] for side in sides)
        asked = {edge.condition: edge for edge in old}
        for edge in list(new):
            if (was := asked.get(edge.condition)) is not None:
                yield replace(edge, change="changed", before=was)
                new.remove(edge)
                old.remove(was)
        if len(old) == len(new) == 1:
            yield replace(new[0], change="changed", before=old[0])
            continue
        yield from (replace(edge, change="removed") for edge in old)
        yield from (replace(edge, change="added") for edge in new)


def _notes(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Give the notes of both sides, with the side of those that only one has."""
    marked = [(note, note in before, note in after) for note in dict.fromkeys((*before, *after))]
    for (was, is_), some in groupby(marked, key=lambda one: one[1:]):
        side = "" if was and is_ else "before: " if was else "after: "
        yield from (f"{side}{note}" for note, _, _ in some)
