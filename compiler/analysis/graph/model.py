"""What a graph is made of, as values: every format draws the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from compiler.kube_rules.service_port import Key

NodeKind = Literal[
    "sender",
    "entry",
    "firewall",
    "external",
    "cluster",
    "local",
    "endpoint",
    "passed",
    "rejected",
    "dropped",
    "undecided",
    "other",
]
ENDS = frozenset({"passed", "rejected", "dropped", "undecided"})
Change = Literal["", "added", "removed", "changed"]
OTHERS = "all other"
"""The condition of an edge that takes what the rules before it leave."""


@dataclass(frozen=True, slots=True)
class Node:
    """A place that packets come to.

    `key` tells nodes of a graph apart, and is the same for the same place in another ruleset.
    `firewall`, `external`, `cluster` and `local` are the chains KUBE-FW, KUBE-EXT, KUBE-SVC and
    KUBE-SVL; `passed` is where packets go on without being translated. `detail` is what is known
    besides (the Pod and node of an endpoint), `chain` the chains that it is made of. `count` is how
    many endpoints were put together in it (1 for one that was not folded).
    """

    key: str
    kind: NodeKind
    words: str
    detail: str = ""
    chain: str = ""
    count: int = 1
    change: Change = ""

    @property
    def ends(self) -> bool:
        """Whether packets go no further."""
        return self.kind in ENDS


@dataclass(frozen=True, slots=True)
class Edge:
    """A step from one node to another.

    `condition` says in words which packets take it, empty for all. `share` is its exact part of new
    connections that leave `source`, None where no chance decides; where endpoints were folded it is
    that of all of them. `masquerade` says in words whose source is rewritten. A `return` edge is
    session affinity: the way by which clients come back to the endpoint that they had. `affinity`
    are its seconds, None where it does not hold, which `condition` explains. `before` is what a
    changed edge was.
    """

    source: str
    target: str
    kind: Literal["way", "return"] = "way"
    condition: str = ""
    share: Fraction | None = None
    masquerade: tuple[str, ...] = ()
    affinity: int | None = None
    change: Change = ""
    before: Edge | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """One service port on one node.

    `on` names the node or the file of rules, `sender` is who sends, empty for any sender. `notes`
    say what a reader must know besides.
    """

    key: Key
    on: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    sender: str = ""
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the graph shows."""
        words = f"{self.key} on {self.on}"
        return f"{words}, from {self.sender}" if self.sender else words

    def node(self, key: str) -> Node:
        """Return a node by its key. Raises KeyError."""
        for node in self.nodes:
            if node.key == key:
                return node
        raise KeyError(key)

    @property
    def changes(self) -> bool:
        """Whether anything of it is marked as added, removed or changed."""
        return any(node.change for node in self.nodes) or any(e.change for e in self.edges)
