"""A graph in graphviz' language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.analysis.graph.model import Edge, Graph, Node
from compiler.cli.colour import shown
from compiler.cli.graph_ids import STYLES, TEXT, ids_of, numbered, style_of
from compiler.cli.graph_words import edge_words, node_words

# Each kind of style has a shape of its own, so that nothing is said by colour alone.
_SHAPES = {
    "sender": "parallelogram",
    "entry": "box",
    "chain": "box",
    "endpoint": "box",
    "stop": "hexagon",
    "unclear": "note",
}
_LOOKS = {"entry": "rounded,filled", "endpoint": "rounded,filled"}
_GREY = "#7A7A7A"


def as_dot(graphs: Sequence[Graph], *, chains: bool) -> Iterator[str]:
    """Give the lines of one digraph; several service ports are clusters of it."""
    yield "digraph proxyrules {"
    yield '  graph [rankdir=LR, fontname="Helvetica", labelloc=t, labeljust=l]'
    yield f'  node [fontname="Helvetica", fontsize=11, fontcolor="{TEXT}", style=filled]'
    yield f'  edge [fontname="Helvetica", fontsize=10, color="{_GREY}", fontcolor="#404040"]'
    for place, graph in numbered(graphs):
        indent = "    " if place else "  "
        label = "\\l".join(map(escaped, (graph.title, *graph.notes))) + "\\l"
        if place:
            yield f"  subgraph cluster_{place} {{"
        yield f'{indent}label="{label}"'
        ids = ids_of(graph, place)
        for node in graph.nodes:
            yield indent + _node(node, ids[node.key], chains=chains)
        for edge in graph.edges:
            yield indent + _edge(graph, edge, ids)
        if place:
            yield "  }"
    yield "}"


def _node(node: Node, name: str, *, chains: bool) -> str:
    style = style_of(node.kind)
    look = STYLES[style]
    words = "\\n".join(map(escaped, node_words(node, chains=chains)))
    shape = f'shape={_SHAPES[style]}, style="{_LOOKS.get(style, "filled")}"'
    colours = f'fillcolor="{look.fill}", color="{look.stroke}"'
    return f'{name} [label="{words}", {shape}, {colours}]'


def _edge(graph: Graph, edge: Edge, ids: dict[str, str]) -> str:
    words = "\\n".join(map(escaped, edge_words(graph, edge)))
    options = [f'label="{words}"'] if words else []
    if edge.kind == "return":
        options.append("style=dashed")
    rest = f" [{', '.join(options)}]" if options else ""
    return f"{ids[edge.source]} -> {ids[edge.target]}{rest}"


def escaped(text: str) -> str:
    """Write a text for a quoted label: no quote ends it, no backslash or entity is read."""
    safe = shown(text).replace("\\", "\\\\").replace('"', '\\"')
    return safe.replace("&", "&amp;")
