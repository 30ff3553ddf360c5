"""A graph as a Mermaid flowchart, as GitHub and others render it in Markdown.

Only the oldest parts of the syntax are used: `flowchart LR`, quoted labels, `classDef`,
`linkStyle`, `subgraph`, `accTitle` and `accDescr`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.analysis.graph.model import Edge, Graph, Node
from compiler.cli.colour import shown
from compiler.cli.graph_ids import (
    BLUE,
    GREEN,
    STYLES,
    TEXT,
    VERMILION,
    ids_of,
    numbered,
    style_of,
)
from compiler.cli.graph_words import SIGNS, description, edge_words, node_words

# What a label could be ended or changed by: Mermaid writes them as entities of their numbers.
_SPECIAL = frozenset('"#;<>&[]{}|`\\$*_~')
# Each kind of style has a shape of its own, so that nothing is said by colour alone.
_SHAPES = {
    "sender": ("[/", "/]"),
    "entry": ("([", "])"),
    "chain": ("[", "]"),
    "endpoint": ("(", ")"),
    "stop": ("{{", "}}"),
    "unclear": (">", "]"),
}
_CHANGED = {"added": GREEN, "removed": VERMILION, "changed": BLUE}


def as_mermaid(graphs: Sequence[Graph], *, chains: bool) -> Iterator[str]:
    """Give the lines of one flowchart; several service ports are subgraphs of it."""
    yield "flowchart LR"
    yield f"  accTitle: {_plain('; '.join(one.title for one in graphs))}"
    yield f"  accDescr: {_plain(' '.join(map(description, graphs)))}"
    links: list[str] = []
    number = 0
    for place, graph in numbered(graphs):
        indent = "    " if place else "  "
        if place:
            yield f'  subgraph p{place}["{escaped(graph.title)}"]'
            yield "    direction LR"
        ids = ids_of(graph, place)
        for node in graph.nodes:
            yield indent + _node(node, ids[node.key], chains=chains)
        if graph.notes:
            name = f"p{place}_notes" if place else "notes"
            words = "<br/>".join(map(escaped, graph.notes))
            yield f'{indent}{name}["{words}"]:::note'
        for edge in graph.edges:
            yield indent + _edge(graph, edge, ids)
            if edge.change:
                links.append(f"  linkStyle {number} stroke:{_CHANGED[edge.change]}")
            number += 1
        if place:
            yield "  end"
    yield from _styles(graphs)
    yield from links


def _node(node: Node, name: str, *, chains: bool) -> str:
    style = style_of(node.kind)
    begin, end = _SHAPES[style]
    words = "<br/>".join(map(escaped, node_words(node, chains=chains)))
    classes = f"{style}_{node.change}" if node.change else style
    sign = f"{SIGNS[node.change]} " if node.change in SIGNS else ""
    return f'{name}{begin}"{sign}{words}"{end}:::{classes}'


def _edge(graph: Graph, edge: Edge, ids: dict[str, str]) -> str:
    dotted = edge.kind == "return" or edge.change == "removed"
    arrow = "-.->" if dotted else "==>" if edge.change in ("added", "changed") else "-->"
    words = "<br/>".join(map(escaped, edge_words(graph, edge)))
    sign = SIGNS.get(edge.change, "")
    label = " ".join(filter(None, [sign, words]))
    middle = f'{arrow}|"{label}"|' if label else arrow
    return f"{ids[edge.source]} {middle} {ids[edge.target]}"


def _styles(graphs: Sequence[Graph]) -> Iterator[str]:
    """Give the classes that occur."""
    used = {(style_of(n.kind), n.change) for graph in graphs for n in graph.nodes}
    for name, style in STYLES.items():
        for change in ("", "added", "removed", "changed"):
            if (name, change) in used:
                label = f"{name}_{change}" if change else name
                look = f"fill:{style.fill},stroke:{style.stroke},color:{TEXT}"
                wide = {"added": ",stroke-width:4px", "removed": ",stroke-dasharray:6 4"}
                yield f"  classDef {label} {look}{wide.get(change, '')}"
    if any(graph.notes for graph in graphs):
        yield f"  classDef note fill:#FFFFFF,stroke:#8C8C8C,color:{TEXT},stroke-dasharray:2 2"


def escaped(text: str) -> str:
    """Write a text for a quoted label: nothing in it ends the label or is markup."""
    safe = "".join(f"#{ord(char)};" if char in _SPECIAL else char for char in shown(text))
    # a comment, and an icon of Font Awesome where a Service is called fa
    return safe.replace("%%", "#37;#37;").replace(":fa-", "#58;fa-")


def _plain(text: str) -> str:
    """Write a text for accTitle and accDescr, which take all of a line as it is."""
    return "".join(" " if char in "#%{}<>" else char for char in shown(text)).strip()
