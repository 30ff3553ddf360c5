"""The rules of one state, each once, with what every word of them does."""

from __future__ import annotations

from compiler.analysis.explore.knowledge import Knowledge
from compiler.analysis.explore.rule_words import Context, rule_words
from compiler.analysis.explore.values import Value
from compiler.analysis.node_view import NodeView
from compiler.kube_rules.rule_line import chain_group
from compiler.netfilter.rule import Rule


class RuleTable:
    """The rules of one state, each once, with their explanations."""

    def __init__(self, view: NodeView, knowledge: Knowledge) -> None:
        self._view, self._knowledge = view, knowledge
        self._places: dict[tuple[str, str, str], int] = {}
        self.values: list[Value] = []
        self._known: dict[tuple[str, str, str], Value] = {}
        self._contexts: dict[str, Context] = {}

    def start(self) -> None:
        """Begin with no rules; what is known of the whole node's is kept."""
        self._places, self.values, self._contexts = {}, [], {}

    def place(self, table: str, rule: Rule) -> int:
        """Return the place of a rule, which is added where it is new."""
        key = table, rule.chain, rule.text
        if (found := self._places.get(key)) is None:
            found = self._places[key] = len(self.values)
            self.values.append(self._value(key, rule))
        return found

    def _value(self, key: tuple[str, str, str], rule: Rule) -> Value:
        if (known := self._known.get(key)) is not None:
            return known
        text = str(rule)
        why, origin = self._knowledge.why(text)
        value: Value = {
            "table": key[0],
            "chain": rule.chain,
            "text": text,
            "words": [list(one) for one in rule_words(rule, self._context(key[0], rule.chain))],
            "why": why,
            "from": origin,
        }
        if chain_group(rule.chain) == rule.chain and rule.jumps_to == chain_group(rule.jumps_to):
            self._known[key] = value
        return value

    def _context(self, table: str, chain: str) -> Context:
        if (found := self._contexts.get(chain)) is None:
            around = self._view.around
            own = table == "nat" and chain.startswith(("KUBE-SVC-", "KUBE-SVL-"))
            found = self._contexts[chain] = Context(
                self._view.ruleset.rules(table, chain) if own else (),
                self._knowledge.names,
                around.pod_network,
                around.pod_interface,
                self._view.rules.masquerade_mark(),
            )
        return found
