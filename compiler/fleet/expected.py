"""The rules that each node of a cluster should have, as rulesets to compare dumps with."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property

from compiler.compilation import Inputs, check_nfacct, compile_inputs
from compiler.errors import InputError, Problem
from compiler.netfilter.index import index_rules
from compiler.netfilter.ruleset import Ruleset
from compiler.proxy.cluster_plan import ClusterPlan
from compiler.proxy.iptables_plan import project
from compiler.proxy.node import check_node_port_addresses
from compiler.render import render_chunks

# Rulesets that are kept, by their text: each is as large as a dump.
_KEPT = 2


class Expected:
    """Compiles the rules of the nodes that are asked for; what they have in common only once.

    Every worker has one, and it is pickled for that: it then has the inputs alone.
    """

    def __init__(self, inputs: Inputs, *, nfacct: bool, random_fully: bool) -> None:
        self.inputs = inputs
        self.nfacct, self.random_fully = nfacct, random_fully
        self._kept: OrderedDict[str, Ruleset] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return {
            "inputs": self.inputs,
            "nfacct": self.nfacct,
            "random_fully": self.random_fully,
            "_kept": OrderedDict(),
        }

    @cached_property
    def _plan(self) -> ClusterPlan:
        inputs = self.inputs
        return ClusterPlan(inputs.manifests, inputs.config, inputs.family, inputs.release)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of the cluster; none where the manifests have no Nodes."""
        return tuple(name for name in self._plan.all_nodes if name and self.inputs.manifests.nodes)

    def prepare(self) -> None:
        """Check what is the same for all nodes, and decide what they have in common.

        Processes that are forked afterwards have the decisions. Raises `InputError`.
        """
        problems = [
            *self._one_node_alone(),
            *check_node_port_addresses(self.inputs.config, self.inputs.release),
            *check_nfacct(self.inputs.release, wanted=self.nfacct),
        ]
        if problems:
            raise InputError(problems)
        for node in self.nodes[:1]:
            self.ruleset(node)

    def ruleset(self, node: str) -> Ruleset:
        """Return a node's rules. Raises `InputError` where the manifests lack what they depend on.

        Nodes with the same text have the same ruleset, as long as it is kept.
        """
        text = self.text(node)
        found = self._kept.pop(text, None)
        if found is None:
            found = index_rules([text], self.inputs.family)
        self._kept[text] = found
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found

    def text(self, node: str) -> str:
        """Return the text of a node's rules. Raises `InputError`."""
        if not self.nodes:  # of each name by itself: the rules of one may lack what others do not
            return compile_inputs(
                self.inputs, node, nfacct=self.nfacct, random_fully=self.random_fully
            ).text
        plan = self._plan.plan(node)
        if self._plan.problems:
            raise InputError(self._plan.problems)
        projected = project(plan, nfacct=self.nfacct, random_fully=self.random_fully)
        return "".join(render_chunks(projected))

    def _one_node_alone(self) -> list[Problem]:
        config = self.inputs.config
        if not config.hostname_override:
            return []
        message = f"is the name of one node ({config.hostname_override}), but dumps are of several"
        return [config.tell("hostname_override", message, "leave it out")]
