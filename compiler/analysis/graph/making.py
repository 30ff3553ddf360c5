"""A graph that is being made, and the nodes at which packets end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from compiler.analysis.graph.model import Edge, Node
from compiler.kube_rules.service_port import EntryPoint, Key
from compiler.netfilter.rule import Rule
from compiler.netfilter.target import Reject, Target

NOT_TRANSLATED = Node("end:passed", "passed", "not translated: goes on as it came")


@dataclass
class Structure:
    """A graph that is being made.

    `entries` are the entry points by the key of their node. `ways` are the edges by the rules that
    they are made of (chain and text), and `chains` the nodes by their chains.
    """

    key: Key
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[int, Edge] = field(default_factory=dict)
    entries: dict[str, EntryPoint] = field(default_factory=dict)
    ways: dict[tuple[str, str], int] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    _known: dict[tuple[object, ...], int] = field(default_factory=dict)
    _leaving: dict[str, list[int]] = field(default_factory=dict)

    def add(self, node: Node) -> str:
        """Add a node unless it is there; return its key."""
        self.nodes.setdefault(node.key, node)
        return node.key

    def link(self, edge: Edge, rules: Iterable[Rule] = ()) -> int:
        """Add an edge; those of one condition from one node to another are one, their share summed.

        Return its number.
        """
        way = (edge.source, edge.target, edge.kind, edge.condition, edge.masquerade, edge.affinity)
        number = self._known.setdefault(way, len(self.edges))
        if (other := self.edges.get(number)) is not None:
            share = (other.share or Fraction(0)) + (edge.share or Fraction(0))
            edge = replace(other, share=share or None)
        elif edge.kind == "way":
            self._leaving.setdefault(edge.source, []).append(number)
        self.edges[number] = edge
        for rule in rules:
            self.ways[rule.chain, rule.text] = number
        return number

    def leaving(self, key: str) -> list[int]:
        """Return the numbers of the edges that leave a node, but for those of affinity."""
        return self._leaving.get(key, [])


def target_node(target: Target) -> Node:
    """Return where a target that is no jump and translates nothing takes packets."""
    if isinstance(target, Reject):
        answer = target.answer
        return Node(f"end:rejected:{answer}", "rejected", f"rejected ({answer})")
    if target.name == "DROP":
        return Node("end:dropped:", "dropped", "dropped")
    if target.name in ("ACCEPT", "RETURN"):
        return NOT_TRANSLATED
    return Node(f"other:{target}", "other", str(target))


def end_node(entry: EntryPoint, rule: Rule, key: Key) -> Node:
    """Return where a rule of filter for an entry point ends packets."""
    reason = rule.comment.removeprefix(key.name).strip()
    reason = reason.removeprefix("has ").replace("no local endpoints", "no endpoint on this node")
    if entry.verdict == "rejected":
        answer = rule.target.answer if isinstance(rule.target, Reject) else ""
        return Node(f"end:rejected:{reason}", "rejected", f"rejected: {reason}", answer)
    if entry.verdict in ("dropped", "firewalled"):
        if entry.verdict == "firewalled":
            reason = "from none of the source ranges"
        return Node(f"end:dropped:{reason}", "dropped", f"dropped: {reason}")
    if entry.verdict == "accepted":
        return Node("end:passed:accepted", "passed", "accepted: goes to the node itself")
    return Node(f"other:{entry.verdict}", "other", entry.verdict)
