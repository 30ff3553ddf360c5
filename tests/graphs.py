"""Graphs for the tests: of a case's expected rules, and what is in them."""

from __future__ import annotations

from fractions import Fraction

from compiler.analysis.graph.draw import draw
from compiler.analysis.graph.model import Edge, Graph
from compiler.analysis.node_view import Column, NodeView
from compiler.family import IPV6, Family
from compiler.kube_rules.service_port import Key
from compiler.netfilter.parse import parse_rules
from tests.cases import GOLDEN, node_text

NODE = "192.168.0.11"
NODE_6 = "fd00:1::11"


def golden_text(name: str) -> str:
    return (GOLDEN / f"{name}.rules").read_text()


def view_of(text: str, family: Family | None = None, addresses: tuple[str, ...] = ()) -> NodeView:
    ruleset = parse_rules(text, "node.save", family=family)
    own = NODE_6 if ruleset.family == IPV6 else NODE
    return NodeView(Column("worker-1", ruleset, addresses or (own,)))


def only_graph(text: str, wanted: str = "") -> Graph:
    view = view_of(text)
    (key,) = view.rules.keys
    return draw(view, key, wanted=wanted)


def changed(name: str, *edits: tuple[str, str]) -> str:
    """Return what a node has of a golden's rules, with texts replaced."""
    text = node_text(golden_text(name))
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def edge(graph: Graph, source: str, target: str) -> Edge:
    """Return the one edge between nodes whose words begin like this."""
    names = {node.key: node.words for node in graph.nodes}
    (found,) = [
        one
        for one in graph.edges
        if names[one.source].startswith(source)
        and names[one.target].startswith(target)
        and one.kind == "way"
    ]
    return found


def ends_from(graph: Graph, start: str) -> dict[tuple[str, str], Fraction]:
    """Return the shares with which packets from a node end, by kind and words of the last node."""
    found: dict[tuple[str, str], Fraction] = {}
    waiting = [(start, Fraction(1))]
    while waiting:
        key, part = waiting.pop()
        node = graph.node(key)
        ways = [one for one in graph.edges if one.source == key and one.kind == "way"]
        shares = [Fraction(1) if one.share is None else one.share for one in ways]
        if rest := part * (1 - sum(shares)):
            end = node.kind, node.words if node.kind == "endpoint" else ""
            found[end] = found.get(end, Fraction(0)) + rest
        waiting += [(one.target, part * share) for one, share in zip(ways, shares, strict=True)]
    return found


def key_named(name: str, protocol: str = "tcp") -> Key:
    return Key(name, protocol)
