"""How kube-proxy's chains on a node differ from the expected ones, as findings."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial

from compiler.analysis.findings import Finding, rules_in_words
from compiler.analysis.mismatch import Explained
from compiler.analysis.random_fully import why_left_out
from compiler.analysis.rule_diff import changed_fields, diff_chain, uncounted
from compiler.kube_rules.chains import PORTAL_CHAINS, SHARED_CHAINS, is_service_chain
from compiler.kube_rules.entry_points import counts_only
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.chain import Chain
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.rule import Rule


class ChainFindings:
    """Compares chains; what is `explained` by a cause on a higher level is left out.

    `changed` gathers the rules that differ in a field or two, expected and found.
    """

    def __init__(self, wanted: NodeRules, there: NodeRules, explained: Explained) -> None:
        self.wanted = wanted
        self.there = there
        self.explained = explained
        self.changed: list[tuple[Rule, Rule]] = []

    def of_table(
        self, table: str, different: Sequence[str], missing: Sequence[str]
    ) -> Iterator[Finding]:
        """Give the findings of the chains of a table that differ or are missing."""
        chains, held = self.wanted.ruleset.tables[table], self.there.ruleset.tables[table]
        hidden = self.explained.chains if table == "nat" else frozenset()
        gone = [chains[name] for name in missing if name not in hidden]
        yield from self._missing_chains(table, gone)
        commented = counted = 0
        for name in different:
            if name in hidden:
                continue
            wanted, there = chains[name], held[name]
            silent = _silent(wanted, there)
            if silent:
                commented += silent == "comments"
                counted += silent == "nfacct"
            elif self._emptied(table, wanted, there):
                message = f"{name} is empty: {rules_in_words(len(wanted))} missing"
                service = self._service(name)
                yield Finding("empty-chain", message, table, name, service, line=there.line)
            else:
                yield from self._rules(table, wanted, there)
        if commented:
            message = f"{commented} chains of {table} differ only in comments"
            yield Finding("comments", message + ", which large clusters leave out", table)
        if counted:
            yield Finding("nfacct", f"{counted} chains of {table} differ only in nfacct", table)

    def _missing_chains(self, table: str, chains: Sequence[Chain]) -> Iterator[Finding]:
        if not chains:
            return
        used: dict[str, int] = {chain.name: 0 for chain in chains}
        for there in self.there.ruleset.tables[table].values():
            for target in there.targets():
                if target in used:
                    used[target] += 1
        for chain in chains:
            message = f"{chain.name} is missing, with its {rules_in_words(len(chain))}"
            if jumps := used[chain.name]:
                verb = "jumps" if jumps == 1 else "jump"
                message += f"; {rules_in_words(jumps)} of the dump {verb} to it"
            service = self._service(chain.name)
            yield Finding("missing-chain", message, table, chain.name, service)

    def _emptied(self, table: str, wanted: Chain, there: Chain) -> bool:
        """Say whether a chain has none of its rules, for no reason that was reported already."""
        return not len(there) and any(
            (table, wanted.name, text) not in self.explained.missing for text in wanted.texts()
        )

    def _rules(self, table: str, wanted: Chain, there: Chain) -> Iterator[Finding]:
        """Compare the rules of a chain that both sides have."""
        name = wanted.name
        known = [rule for rule in wanted.rules if not counts_only(rule)]
        held = [rule for rule in there.rules if not counts_only(rule)]
        order = None
        if name in PORTAL_CHAINS:
            owners = {uncounted(rule): self.wanted.owner(table, rule) for rule in known}
            order = partial(_order_key, owners=owners)
        diff = diff_chain(known, held, order)
        for rule in diff.missing:
            if (table, name, rule.text) not in self.explained.missing:
                yield self._missing_rule(table, rule)
        for rule in diff.extra:
            # what of kubelet's takes traffic is found by `foreign`
            shared = name in SHARED_CHAINS.get(table, ())
            if not shared and (table, name, rule.text) not in self.explained.extra:
                message = f"{name} has a rule that the manifests do not give"
                yield self._found("extra-rule", message, table, rule)
        for rule in diff.duplicate:
            message = f"{name} has a duplicate rule"
            yield self._found("duplicate-rule", message, table, rule)
        for before, after in diff.changed:
            yield self._changed(table, before, after)
        for rule in diff.moved:
            message = f"a rule of {name} is in the wrong position"
            yield self._found("wrong-order", message, table, rule)

    def _missing_rule(self, table: str, rule: Rule) -> Finding:
        key = self.wanted.owner(table, rule)
        message = f"{rule.chain} lacks a rule"
        service = str(key or "")
        return Finding("missing-rule", message, table, rule.chain, service, str(rule))

    def _found(self, kind: str, message: str, table: str, rule: Rule) -> Finding:
        """Report a rule of the dump; the manifests' service port comes first as its owner."""
        key = self.wanted.owner(table, rule) or self.there.owner(table, rule)
        service = str(key or "")
        return Finding(kind, message, table, rule.chain, service, "", str(rule), rule.line)

    def _changed(self, table: str, before: Rule, after: Rule) -> Finding:
        self.changed.append((before, after))
        kind = "changed-rule"
        message = f"{before.chain}: " + "; ".join(
            _change_in_words(field, old, new) for field, old, new in changed_fields(before, after)
        )
        if why := why_left_out(before, after, self.there.ruleset.version):
            kind = "no-random-fully"
            message += f": {why}"
        service = str(self.wanted.owner(table, before) or "")
        return Finding(
            kind, message, table, before.chain, service, str(before), str(after), after.line
        )

    def _service(self, chain: str) -> str:
        """Name the service port that a chain belongs to, empty where it belongs to none."""
        return str(self.wanted.chain_owner(chain) or "")


def _change_in_words(field: str, old: str | None, new: str | None) -> str:
    """Say how a field differs; an option without a value (`--random-fully`) has an empty one."""
    if new is None:
        return f"{field} is missing, should be {old}" if old else f"{field} is missing"
    if old is None:
        return f"{field} is {new}, should not be there" if new else f"{field} should not be there"
    return f"{field} is {new}, should be {old}"


def _silent(wanted: Chain, there: Chain) -> str:
    """Name what two chains differ in where no packet notices it, else nothing."""
    sides = [
        [uncounted(rule) for rule in chain.rules if not counts_only(rule)]
        for chain in (wanted, there)
    ]
    if sides[0] == sides[1]:
        return "nfacct"
    if len(wanted) != len(there) or not is_service_chain(wanted.name):
        return ""
    return "comments" if wanted.effects() == there.effects() else ""


def _order_key(rule: Rule, owners: Mapping[str, object]) -> Hashable | None:
    """Return what traffic a rule of a service port takes.

    None for a rule that takes any service's traffic, against which the place of others counts.
    """
    if owners.get(uncounted(rule)) is None:
        return None
    header = rule.header
    ports = [match.destination_ports for match in rule.matches if isinstance(match, PortMatch)]
    return (header.destination, header.protocol, *ports)
