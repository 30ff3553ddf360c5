"""Facts of the node, and what to do where the node is not named.

A fact that is the same on every Node that may be meant needs no name. Where it differs, the compile
must not guess: the name becomes required, and the message says for what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

from compiler.errors import ARGUMENT, Problem
from compiler.family import Family
from compiler.manifests.reader import Manifests
from compiler.manifests.schema import Node
from compiler.proxy.configuration import ProxyConfig
from compiler.proxy.node import LocalNode, list_nodes, local_node, node_name

F = TypeVar("F")


class NodeFacts:
    """The node that rules are for: `node`, or any of `candidates` where none is named.

    `found` is its Node, if the caller has looked for it. `problems` gathers what can't be answered
    without knowing more about the node.
    """

    def __init__(
        self,
        manifests: Manifests,
        config: ProxyConfig,
        family: Family,
        *,
        name: str | None,
        addresses: Sequence[str],
        found: Node | None = None,
    ) -> None:
        self._manifests, self._config, self._family = manifests, config, family
        self._addresses = addresses
        found = found or next((one for one in manifests.nodes if node_name(one) == name), None)
        self.node = local_node(name, found, config, family, addresses)
        self.problems: list[Problem] = []

    @cached_property
    def candidates(self) -> list[LocalNode]:
        """The Nodes that may be meant where none is named."""
        if self.node.name is not None:
            return []
        return [
            local_node(node_name(node), node, self._config, self._family, self._addresses)
            for node in self._manifests.nodes
        ]

    @property
    def has_node_objects(self) -> bool:
        """Whether the manifests have any Node."""
        return bool(self._manifests.nodes)

    def common(self, fact: Callable[[LocalNode], F], *, reason: str, service_port: str = "") -> F:
        """Return a fact of the node, or of all candidates; require the name if they differ."""
        if not self.candidates:
            return fact(self.node)
        facts = {fact(node) for node in self.candidates}
        if len(facts) > 1:
            self.require_name(reason=reason, service_port=service_port)
        return facts.pop()

    def require_name(self, *, reason: str, service_port: str = "") -> None:
        """Note that the node must be named; `reason` is the field that makes rules depend on it."""
        message = f"{ARGUMENT} is required: the rules{_of(service_port)} depend on it ({reason})"
        self.problems.append(Problem.of_argument("node", message, list_nodes(self._names)))

    def require_object(self, *, reason: str, service_port: str = "") -> None:
        """Note that the Node itself must be among the manifests, not only its name."""
        name = self.node.name
        missing = f"the Node {name} is" if name else "Nodes are"
        rules = f"the rules{_of(service_port)} depend on {'it' if name else 'them'}"
        message = f"{missing} not in the manifests, and {rules} ({reason})"
        hint = "add the output of kubectl get nodes -o yaml"
        self.problems.append(Problem.of_argument("node", message, hint))

    @cached_property
    def _names(self) -> list[str]:
        """The names that may be meant: of Nodes, or of the endpoints' nodes if there is no Node."""
        return [node_name(node) for node in self._manifests.nodes] or [
            endpoint.node_name
            for endpoint_slice in self._manifests.endpoint_slices
            for endpoint in endpoint_slice.endpoints or ()
            if endpoint.node_name
        ]


def _of(service_port: str) -> str:
    return f" of Service {service_port}" if service_port else ""
