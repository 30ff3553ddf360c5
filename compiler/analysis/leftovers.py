"""Chains that nobody should have, and jumps to chains that nobody has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.analysis.findings import Finding, rules_in_words
from compiler.analysis.mismatch import Explained
from compiler.kube_rules.chains import KUBE_PREFIX
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import Table, differing


def dangling_jumps(
    expected: Ruleset, found: Ruleset, table: str, explained: Explained
) -> Iterator[Finding]:
    """Find jumps to chains that are missing (a dump that was cut, or edited).

    Chains that the manifests give are reported as missing themselves; so a chain that is as it
    should be has no such jump.
    """
    chains, wanted = found.tables[table], expected.tables[table]
    for _, same, chain in differing(wanted, chains):
        if chain is None or (same is not None and same.content is chain.content):
            continue
        for place, target in enumerate(chain.targets()):
            if not target.startswith(KUBE_PREFIX) or target in chains or target in wanted:
                continue
            rule = chain.rules[place]
            if rule.jumps_to == target and (table, chain.name, rule.text) not in explained.extra:
                message = f"{chain.name} jumps to {target}, which is missing"
                yield Finding(
                    "dangling-jump", message, table, chain.name, "", "", str(rule), rule.line
                )


def extra_chains(found: Ruleset, extra: Sequence[str], explained: Explained) -> Iterator[Finding]:
    """Report nat's chains that the manifests do not give: in use, or left behind."""
    table = found.table("nat")
    candidates = [name for name in extra if name not in explained.chains]
    if not candidates:
        return
    used_by = _used_by(table, candidates)
    for name in candidates:
        chain = table[name]
        count = rules_in_words(len(chain))
        if user := used_by.get(name):
            message = f"{name} ({count}) is not in the manifests; {user} jumps to it"
            yield Finding("extra-chain", message, "nat", name, line=chain.line)
        else:
            message = f"{name} is left over ({count}): nothing that is in use jumps to it"
            yield Finding("stale-chain", message, "nat", name, line=chain.line)


def _used_by(table: Table, candidates: Sequence[str]) -> dict[str, str]:
    """Map those of some chains that are in use to a chain in use that jumps to each."""
    names = frozenset(candidates)
    used_by: dict[str, str] = {}
    for chain in table.values():
        if chain.name not in names:
            for target in chain.targets():
                if target in names:
                    used_by.setdefault(target, chain.name)
    # what a chain in use jumps to is in use, too
    waiting = list(used_by)
    while waiting:
        name = waiting.pop()
        for target in table[name].targets():
            if target in names and target not in used_by:
                used_by[target] = name
                waiting.append(target)
    return used_by
