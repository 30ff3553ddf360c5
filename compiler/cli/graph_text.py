"""A graph as a tree for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from compiler.analysis.graph.model import Edge, Graph, Node
from compiler.cli.colour import Paint, shown
from compiler.cli.graph_words import node_words, parts_of

_COLOURS = {"dropped": "red", "rejected": "red", "undecided": "yellow", "other": "yellow"}


def as_text(graphs: Sequence[Graph], paint: Paint, *, chains: bool, width: int) -> Iterator[str]:
    """Give the lines: a tree for each service port, and below it what a reader must know."""
    for place, graph in enumerate(graphs):
        if place:
            yield ""
        yield from _Tree(graph, paint, width, chains=chains).lines()


class _Tree:
    """Writes one graph; what was written already is referred to."""

    def __init__(self, graph: Graph, paint: Paint, width: int, *, chains: bool) -> None:
        self.graph, self.paint, self.width, self.chains = graph, paint, width, chains
        self.leaving: dict[str, list[Edge]] = {}
        self.returning: dict[tuple[str, str], Edge] = {}
        for edge in graph.edges:
            if edge.kind == "way":
                self.leaving.setdefault(edge.source, []).append(edge)
            else:
                self.returning[edge.source, edge.target] = edge
        self.nodes = {node.key: node for node in graph.nodes}
        self.done: set[str] = set()

    def lines(self) -> Iterator[str]:
        """Give the lines."""
        for line in self._wrapped(self.graph.title, "", ""):
            yield self.paint(line, "bold")
        reached = {edge.target for edge in self.graph.edges if edge.kind == "way"}
        roots = [node for node in self.graph.nodes if node.key not in reached]
        for place, node in enumerate(roots):
            yield from self._node(node, None, "", last=place == len(roots) - 1)
        if not roots:
            yield "no entry points"
        for note in self.graph.notes:
            yield from self._wrapped(note, "", "  ")

    def _node(self, node: Node, edge: Edge | None, indent: str, *, last: bool) -> Iterator[str]:
        branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        words = self._words(node, edge)
        edges = self.leaving.get(node.key, [])
        again = bool(edges) and node.key in self.done
        if again:
            words += " (above)"
        bar = "│  " if edges and not again else "   "
        colour = _COLOURS.get(node.kind, "")
        for line in self._wrapped(words, indent + branch, indent + below + bar):
            yield self.paint(line, colour) if colour else line
        if again:
            return
        self.done.add(node.key)
        for place, one in enumerate(edges):
            ends = place == len(edges) - 1
            yield from self._node(self.nodes[one.target], one, indent + below, last=ends)

    def _words(self, node: Node, edge: Edge | None) -> str:
        first, *rest = node_words(node, chains=self.chains)
        words = f"{first} ({', '.join(rest)})" if rest else first
        if edge is None:
            return words
        condition, share, masquerade = parts_of(self.graph, edge)
        if share:
            words = f"{share}  {words}" if node.count == 1 else f"{words}, {share}"
        if condition:
            words = f"{condition} → {words}"
        back = self.returning.get((edge.source, node.key))
        more = [masquerade] if masquerade else []
        more += filter(None, parts_of(self.graph, back)) if back is not None else ()
        return ", ".join([words, *more])

    def _wrapped(self, words: str, indent: str, below: str) -> list[str]:
        return textwrap.wrap(
            shown(words),
            self.width,
            initial_indent=indent,
            subsequent_indent=below,
            break_long_words=False,
            break_on_hyphens=False,
        )
