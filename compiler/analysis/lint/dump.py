"""A node's rules that were dumped, for the rules of `lint` that look at what a node has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler.family import IPV4, IPV6, Family
from compiler.kube_rules.chains import holds_kube_proxy_rules, table_hint
from compiler.kube_rules.jumps import with_jumps
from compiler.kube_rules.log import is_log, last_restore_input
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.backend import Backend
from compiler.netfilter.dumps import Dump, split_dumps
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset


@dataclass(frozen=True, eq=False)
class NodeDump:
    """What a file of rules has of one IP family and backend.

    `beside` are the other dumps of the same file and family: of the other backend. `text` has the
    lines of other dumps blank, so that its line numbers are those of the file.
    """

    name: str
    text: str
    family: Family
    backend: Backend | None
    beside: tuple[NodeDump, ...] = ()

    def line(self, number: int) -> str:
        """Return a line, counted from 1; empty where there is none."""
        lines = self._lines
        return lines[number - 1] if 0 < number <= len(lines) else ""

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def ruleset(self) -> Ruleset:
        """The rules as values, as they were dumped. Raises `InputError`."""
        return parse_rules(self.text, self.name, family=self.family, table_hint=table_hint)

    @cached_property
    def complete(self) -> Ruleset:
        """The rules with kube-proxy's jumps where the dump has no built-in chains: to evaluate."""
        return with_jumps(self.ruleset)

    @cached_property
    def rules(self) -> NodeRules:
        """What kube-proxy's rules in it mean."""
        return NodeRules(self.ruleset)


def log_dumps(name: str, log: str) -> list[NodeDump]:
    """Return the rules that kube-proxy last wrote according to its log, of each family.

    Raises `InputError` where they can't be read.
    """
    texts = {family: last_restore_input(log, family) for family in Family}
    if texts[IPV6] == texts[IPV4]:  # it names no family
        texts[IPV6] = None
    return [NodeDump(name, text, family, None) for family, text in texts.items() if text]


def text_dumps(name: str, text: str) -> list[NodeDump]:
    """Return the dumps of a text: rules, or a log. Raises `InputError`."""
    return log_dumps(name, text) if is_log(text) else node_dumps(name, split_dumps(text))


def node_dumps(name: str, dumps: Sequence[Dump]) -> list[NodeDump]:
    """Return the dumps of one file; of two backends the one with kube-proxy's rules is first.

    Raises `InputError` where one can't be read.
    """
    found: list[NodeDump] = []
    for family in dict.fromkeys(dump.family or IPV4 for dump in dumps):
        some = [
            NodeDump(name, dump.text, family, dump.backend)
            for dump in dumps
            if (dump.family or IPV4) is family
        ]
        some.sort(key=lambda one: holds_kube_proxy_rules(one.ruleset), reverse=True)
        found += [
            NodeDump(name, one.text, family, one.backend, tuple(o for o in some if o is not one))
            for one in some
        ]
    return found
