"""Does a node hold the rules that its manifests give? What differs, by service port.

kube-proxy visits service ports in arbitrary order, so the order of top-level rules counts only
where two of them take the same traffic. Chains of others (canaries, kubelet, foreign ones) are left
alone, except for what takes kube-proxy's traffic. Chains that are equal are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.analysis.absent import absent_findings
from compiler.analysis.chain_findings import ChainFindings
from compiler.analysis.findings import Finding
from compiler.analysis.foreign import foreign_findings
from compiler.analysis.leftovers import dangling_jumps, extra_chains
from compiler.analysis.mismatch import Explained, explain_services
from compiler.analysis.old_dump import old_dump_findings
from compiler.kube_rules.chains import (
    JUMPS,
    TOP_LEVEL,
    holds_kube_proxy_rules,
    is_kube_proxy_chain,
    is_service_chain,
)
from compiler.kube_rules.jumps import has_builtin_chains
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.backend import tables_of
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import differing


@dataclass(frozen=True, slots=True)
class Survey:
    """Which of kube-proxy's chains differ and are missing, by table, and nat's extra ones."""

    different: dict[str, list[str]]
    missing: dict[str, list[str]]
    extra: list[str]

    @property
    def nat(self) -> list[str]:
        """All of nat's."""
        return [*self.different.get("nat", ()), *self.missing.get("nat", ()), *self.extra]

    @property
    def names_differ(self) -> bool:
        """Whether one side may have service ports that the other does not have."""
        touched = [*self.different.items(), *self.missing.items()]
        return bool(self.extra) or any(
            name in TOP_LEVEL.get(table, ()) for table, names in touched for name in names
        )


def verify_rules(
    expected: Ruleset, found: Ruleset, other_backend: Ruleset | None = None
) -> tuple[Finding, ...]:
    """Compare what a node holds with what its manifests compile to.

    `expected` is the compiled text, `found` the node's dump of the same family; `other_backend`
    is what the node's other backend holds (legacy beside nft), where that is known. Findings come
    in the order of importance for a reader: what the dump as a whole means, service by service,
    then the node's. None are found only where every chain of `expected` is in `found` as it should
    be, all jumps to them are there, and nothing above them takes their traffic.
    """
    absent = absent_findings(expected, found)
    findings = [*_backends(found, other_backend), *(absent or _findings(expected, found))]
    findings.sort(key=lambda finding: finding.severity == "information")
    return tuple(findings)


def _backends(found: Ruleset, other: Ruleset | None) -> Iterator[Finding]:
    """Report where both backends hold rules: packets pass through both."""
    if other is not None and holds_kube_proxy_rules(other) and holds_kube_proxy_rules(found):
        held = f"{other.backend or 'other'} tables hold kube-proxy's rules too"
        yield Finding(
            "both-backends",
            f"{held}: packets pass through both; flush one ({other.backend}) or reboot the node",
        )
    elif other is not None and other.acts:
        message = f"{tables_of(other.backend)} are not empty: packets pass through them too"
        yield Finding("other-backend", f"{message}, but their rules were not checked")
    elif other is None and found.other_backend:
        yield Finding(
            "other-backend",
            "iptables warns about legacy tables: inspect them with iptables-legacy-save",
        )


def _findings(expected: Ruleset, found: Ruleset) -> list[Finding]:
    """Compare a dump that holds kube-proxy's chains."""
    wanted, there = NodeRules(expected), NodeRules(found)
    survey = _survey(expected, found)
    explained = Explained()
    if survey.different or survey.missing or survey.extra:
        explained = explain_services(wanted, there, survey.nat, names_differ=survey.names_differ)
    chains = ChainFindings(wanted, there, explained)
    findings = list(explained.findings)
    for table in expected.tables:
        if table not in found.tables:
            findings.append(_missing_table(expected, found, table))
            continue
        findings += chains.of_table(
            table, survey.different.get(table, ()), survey.missing.get(table, ())
        )
        findings += _jumps(expected, found, table)
        findings += dangling_jumps(expected, found, table, explained)
    findings += extra_chains(found, survey.extra, explained)
    findings += foreign_findings(expected, found)
    findings += _unread(found)
    return [*old_dump_findings(found, chains.changed), *findings]


def _survey(expected: Ruleset, found: Ruleset) -> Survey:
    """Look for chains that are not equal; what `parse_rules(like=…)` adopted costs nothing."""
    survey = Survey({}, {}, [])
    for table, chains in expected.tables.items():
        for name, chain, there in differing(chains, found.table(table)):
            if chain is None and table == "nat" and is_service_chain(name):
                survey.extra.append(name)
            if chain is None or not is_kube_proxy_chain(table, name):
                continue
            if there is None:
                survey.missing.setdefault(table, []).append(name)
            elif not there.same_rules(chain):
                survey.different.setdefault(table, []).append(name)
    if "nat" not in expected.tables:
        survey.extra.extend(filter(is_service_chain, found.table("nat")))
    return survey


def _missing_table(expected: Ruleset, found: Ruleset, table: str) -> Finding:
    count = sum(map(len, expected.tables[table].values()))
    if found.whole:
        message = f"table {table} is not in the dump: {count} rules and their chains missing"
        return Finding("missing-table", message, table)
    message = f"the dump does not show table {table}: its {count} rules were not checked"
    return Finding("not-checked", message, table)


def _jumps(expected: Ruleset, found: Ruleset, table: str) -> Iterator[Finding]:
    """Check the jumps from the built-in chains, whatever their comment."""
    if not has_builtin_chains(found, table):
        message = f"the dump shows no built-in chains of {table}: the jumps were not checked"
        yield Finding("not-checked", message, table)
        return
    for jump in JUMPS:
        if jump.table != table or jump.target not in expected.tables[table]:
            continue
        jumps = [rule for rule in found.rules(table, jump.chain) if rule.jumps_to == jump.target]
        if any(rule.effect == jump.text for rule in jumps):
            continue
        if jumps:
            message = f"the jump from {jump.chain} to {jump.target} matches other traffic"
            yield Finding(
                "changed-jump", message, table, jump.chain, "", str(jump), str(jumps[0]),
                jumps[0].line,
            )  # fmt: skip
        else:
            message = f"{jump.chain} does not jump to {jump.target}"
            yield Finding("missing-jump", message, table, jump.chain, "", str(jump))


def _unread(found: Ruleset) -> Iterator[Finding]:
    """Report what of the dump was not read, and which words were compared as text."""
    if tables := ", ".join(found.nft_tables):
        yield Finding("not-checked", f"native nftables tables are not read: {tables}")
    for unknown in found.unknown:
        message = f"{unknown.words} ({unknown.times}) is kept and compared as text"
        yield Finding("unknown-words", message, line=unknown.line)
