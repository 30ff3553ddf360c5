"""Names of nodes for Mermaid and DOT: the same node has the same name in another graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from compiler.analysis.graph.model import Graph

_OTHER = re.compile(r"[^A-Za-z0-9]+")
# Longer names are cut, and told apart by a number.
_LONGEST = 60


class Style(NamedTuple):
    """How nodes of a kind are drawn: an Okabe-Ito colour and a tint of it, dark text on both."""

    stroke: str
    fill: str


# Okabe and Ito, "Color Universal Design": told apart by colour-blind readers.
BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE = (
    "#0072B2",
    "#56B4E9",
    "#009E73",
    "#E69F00",
    "#D55E00",
    "#CC79A7",
)
TEXT = "#1A1A1A"
STYLES = {
    "sender": Style("#595959", "#F2F2F2"),
    "entry": Style(BLUE, "#DCEBF7"),
    "chain": Style(ORANGE, "#FDF1D8"),
    "endpoint": Style(GREEN, "#DBF1E9"),
    "stop": Style(VERMILION, "#FBE5D8"),
    "unclear": Style(PURPLE, "#F8E8F0"),
}
_KINDS = {
    "sender": "sender",
    "entry": "entry",
    "firewall": "chain",
    "external": "chain",
    "cluster": "chain",
    "local": "chain",
    "endpoint": "endpoint",
    "rejected": "stop",
    "dropped": "stop",
}


def style_of(kind: str) -> str:
    """Return the name of the style of a kind of node."""
    return _KINDS.get(kind, "unclear")


def ids_of(graph: Graph, number: int = 0) -> dict[str, str]:
    """Return a name for each node by its key; `number` tells several graphs apart, 0 for one.

    It begins with the kind of node, so that it is no keyword (`end`).
    """
    prefix = f"p{number}_" if number else ""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for node in graph.nodes:
        base = prefix + _OTHER.sub("_", f"n_{node.key}")[:_LONGEST].strip("_")
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        found[node.key] = name
    return found


def numbered(graphs: Sequence[Graph]) -> list[tuple[int, Graph]]:
    """Return graphs with their numbers, 0 for one that is alone."""
    return list(enumerate(graphs, 1)) if len(graphs) > 1 else [(0, one) for one in graphs]
