"""Which rule, or which chain's policy, ended a packet's way."""

from __future__ import annotations

from compiler.netfilter.outcome import Outcome, Step
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS


def decision(outcome: Outcome) -> tuple[Step | None, str]:
    """Return the rule that ended the packet's way, or else the chain whose policy did."""
    last = outcome.path[-1] if outcome.path else None
    if outcome.verdict == "rejected":
        return last, ""
    if outcome.verdict != "dropped":
        return None, ""
    if last is not None and is_target(last.rule, "DROP"):
        return last, ""
    passed = ((table, name) for table, name in reversed(outcome.visited))
    table, chain = next(
        ((table, name) for table, name in passed if name in BUILTIN_CHAINS.get(table, ())),
        outcome.visited[-1],
    )
    return None, f"{table} {chain}"


def is_target(rule: Rule, name: str) -> bool:
    """Say whether a rule's target has a name."""
    return rule.target is not None and rule.target.name == name
