"""The rules that each node of a cluster should have, as rulesets to compare dumps with."""

from __future__ import annotations

from collections import OrderedDict

from compiler.compilation import Inputs, check_nfacct, compile_inputs
from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.fleet.all_nodes import AllNodes, compile_inputs_for_all
from compiler.manifests.convert import shorten
from compiler.netfilter.index import index_rules
from compiler.netfilter.ruleset import Ruleset

# Rulesets that are kept, by their text: each is as large as a dump.
_KEPT = 2


class Expected:
    """The rules of all nodes, compiled together; without Nodes in the manifests one by one.

    Every worker has one, and its own rulesets, of which few are kept. Raises `InputError` where
    the manifests, or what they lack, leave any node's rules undecided.
    """

    def __init__(self, inputs: Inputs, *, nfacct: bool = False, random_fully: bool = True) -> None:
        self.inputs = inputs
        self.nfacct, self.random_fully = nfacct, random_fully
        self.all_nodes: AllNodes | None = None
        if inputs.manifests.nodes:
            self.all_nodes = compile_inputs_for_all(
                inputs, nfacct=nfacct, random_fully=random_fully
            )
        elif problems := [*check_nfacct(inputs.release, wanted=nfacct), *_of_one_node(inputs)]:
            raise InputError(problems)
        self.nodes = self.all_nodes.nodes if self.all_nodes else ()
        self._kept: OrderedDict[str, Ruleset] = OrderedDict()

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What of the configuration is not that of all nodes, and was ignored."""
        config = self.inputs.config
        if not config.hostname_override:
            return ()
        name = shorten(config.hostname_override)
        message = f"hostname override {name} is ignored: each node has its own name"
        return (config.tell("hostname_override", message, ""),)

    @property
    def family(self) -> Family:
        """The IP family of the rules."""
        return self.inputs.family

    def ruleset(self, node: str) -> Ruleset:
        """Return a node's rules; nodes with the same text have the same, as long as it is kept.

        Raises `InputError` where there are no Nodes and the node's rules depend on its own.
        """
        group = self.all_nodes.group(node).nodes[0] if self.all_nodes else node
        found = self._kept.pop(group, None)
        if found is None:
            found = index_rules([self.text(node)], self.family)
        self._kept[group] = found
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found

    def text(self, node: str) -> str:
        """Return the text of a node's rules. Raises `InputError` as `ruleset` does."""
        if self.all_nodes is not None:
            return self.all_nodes.text(node)
        nfacct, random_fully = self.nfacct, self.random_fully
        return compile_inputs(self.inputs, node, nfacct=nfacct, random_fully=random_fully).text


def _of_one_node(inputs: Inputs) -> list[Problem]:
    config = inputs.config
    if not config.hostname_override:
        return []
    message = f"{shorten(config.hostname_override)} is one node's name, but dumps are of several"
    return [config.tell("hostname_override", message, "leave it out")]
