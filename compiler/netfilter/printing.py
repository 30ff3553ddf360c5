"""Rulesets as text that iptables-restore takes and people can read."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.netfilter.chain import Chain
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset

# The order in which a reader looks for them; iptables-restore takes any.
_TABLE_ORDER = ("raw", "mangle", "filter", "nat", "security")


def print_rules(ruleset: Ruleset) -> str:
    """Write restore text: parsing it again gives an equal ruleset."""
    return "\n".join(lines(ruleset)) + "\n" if ruleset.tables else ""


def lines(ruleset: Ruleset) -> Iterator[str]:
    """Give the lines of the restore text, one after another."""
    for name in table_names(ruleset):
        yield f"*{name}"
        table = ruleset.tables[name]
        chains = [table[chain] for chain in chain_names(name, table)]
        for chain in chains:
            yield declaration(chain)
        for chain in chains:
            for rule in chain.rules:
                yield print_rule(rule)
        yield "COMMIT"


def table_names(*rulesets: Ruleset) -> list[str]:
    """Return the tables that any of the rulesets has, in the order of print."""
    named = {name for ruleset in rulesets for name in ruleset.tables}
    known = [name for name in _TABLE_ORDER if name in named]
    return known + sorted(named.difference(known))


def chain_names(table: str, *tables: object) -> list[str]:
    """Return the chains of a table (or of several versions of it): built-in ones first."""
    named = {name for chains in tables for name in chains}  # type: ignore[attr-defined]
    known = [name for name in BUILTIN_CHAINS.get(table, ()) if name in named]
    return known + sorted(named.difference(known))


def declaration(chain: Chain) -> str:
    """Write a chain's line."""
    packets, octets = chain.counters or (0, 0)
    return f":{chain.name} {chain.policy or '-'} [{packets}:{octets}]"


def print_rule(rule: Rule) -> str:
    """Write a rule's line, with its counters where it has them."""
    if rule.counters is None:
        return str(rule)
    return f"[{rule.counters[0]}:{rule.counters[1]}] {rule}"
