"""A cluster that changes, compiled: what `sticky` plays in, for one node or several."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compiler.analysis.sticky.run import NodeState, choose_service
from compiler.analysis.sticky.timeline import Step
from compiler.analysis.sticky.world import World
from compiler.compilation import Compilation, compile_rules, complete_manifests
from compiler.errors import InputError, Problem
from compiler.kube_rules.chains import table_hint
from compiler.kube_rules.jumps import as_loaded
from compiler.manifests.source import Source, read_source
from compiler.netfilter.index import index_rules
from compiler.netfilter.parse import decode, parse_rules
from compiler.netfilter.ruleset import Ruleset

Manifest = str | os.PathLike[str] | Source


@dataclass
class ChangingCluster:
    """Manifests with what the control plane adds, and their rules on each of some nodes.

    `options` are those of `compile_rules` but for the node. `nodes` are the names of the nodes that
    clients come in by; without any it is the only one, as `compile_rules` chooses it. `cluster` has
    facts of a real cluster (`complete_manifests`). `notes` and `warnings` are about the manifests
    as they were read.
    """

    options: Mapping[str, object]
    nodes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    cluster: Sequence[Manifest] = ()
    warnings: dict[Problem, None] = field(default_factory=dict)
    compiled: Compilation | None = None
    made: dict[bytes, tuple[NodeState, ...]] = field(default_factory=dict)

    def read(self, manifests: Sequence[Manifest]) -> World:
        """Read manifests as the cluster that they describe. Raises `InputError`."""
        named = {name: self.options[name] for name in ("config", "flags") if name in self.options}
        completed = complete_manifests(manifests, cluster=self.cluster, **named)  # type: ignore[arg-type]
        self.notes += completed.notes
        self.warnings |= dict.fromkeys(completed.warnings)
        return World(list(completed.objects))

    def states(self, step: Step) -> tuple[NodeState, ...]:
        """Compile a step for every node. Raises `InputError`."""
        if step.source is None:
            message = f"{step.path} is no manifest"
            raise InputError(Problem(step.path, message))
        text = step.source.text
        if text not in self.made:
            nodes = self.nodes or (None,)
            self.made[text] = tuple(self._state(step.source, node) for node in nodes)
        return self.made[text]

    def service(self, world: World, name: str) -> str:
        """Return the Service (`namespace/name`) that a name means, or the only one.

        Raises StickyError where that is not clear.
        """
        first = self.states(Step(0.0, source=world.source()))
        return choose_service(first[0].ruleset, name).name.partition(":")[0]

    def _state(self, source: Source, node: str | None) -> NodeState:
        compiled = compile_rules([source], node=node, **self.options)  # type: ignore[arg-type]
        if self.compiled is None:
            self.compiled = compiled
            repeated = (one for one in compiled.warnings if one.file != source.name)
            self.warnings |= dict.fromkeys(repeated)
        ruleset = index_rules(compiled.chunks(), compiled.plan.family)
        return NodeState(as_loaded(ruleset), _addresses(compiled, node))


def _addresses(compiled: Compilation, name: str | None) -> frozenset[str] | None:
    """Return the addresses of a Node, None where it is not there."""
    nodes = [
        node
        for node in compiled.manifests.nodes
        if name is None or (node.metadata is not None and node.metadata.name == name)
    ]
    if len(nodes) != 1:
        return None
    status = nodes[0].status
    entries = (status.addresses or ()) if status else ()
    kinds = ("InternalIP", "ExternalIP")
    return frozenset(one.address for one in entries if one.type in kinds and one.address)


@dataclass(frozen=True)
class ReadRules:
    """Rules that were read instead of compiled: one node's, and others that replace them later.

    `first` are the rules of the beginning; a step that changes them names a file.
    """

    first: Ruleset
    addresses: tuple[str, ...] = ()

    def states(self, step: Step) -> tuple[NodeState, ...]:
        """Return the rules of a step. Raises `InputError`."""
        ruleset = self.first
        if step.path != "-":
            source = read_source(step.path)
            family = self.first.family
            ruleset = parse_rules(
                decode(source.text), source.name, family=family, table_hint=table_hint
            )
        addresses = frozenset(self.addresses) if self.addresses else None
        # a policy that iptables-save shows stays; kube-proxy's own text has none
        return (NodeState(as_loaded(ruleset), addresses),)
