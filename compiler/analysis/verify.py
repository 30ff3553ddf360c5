"""Does a node hold the rules that its manifests give? What differs, told by service port.

kube-proxy visits service ports in arbitrary order, so the order of top-level rules counts only
where two of them take the same traffic. Chains of others (canaries, kubelet, foreign ones) are left
alone, except for what stands in the way of kube-proxy's traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from compiler.analysis.findings import Finding
from compiler.analysis.foreign import foreign_findings
from compiler.analysis.kube_chains import (
    JUMPS,
    holds_kube_proxy_rules,
    is_kube_proxy_chain,
    is_service_chain,
)
from compiler.analysis.mismatch import Explained, explain_services
from compiler.analysis.portals import Portals, read_portals, service_names
from compiler.analysis.rule_diff import changed_fields, diff_chain, uncommented, uncounted
from compiler.netfilter.extensions import OTHER_TARGETS, TARGETS
from compiler.netfilter.rule import Chain, Rule, Ruleset

# kubelet has rules of its own in this chain (KEP-3178).
_SHARED = "KUBE-FIREWALL"
_PORTAL_CHAINS = frozenset(
    (
        "KUBE-SERVICES",
        "KUBE-NODEPORTS",
        "KUBE-EXTERNAL-SERVICES",
        "KUBE-PROXY-FIREWALL",
    )
)


def verify_rules(
    expected: Ruleset, found: Ruleset, other_backend: Ruleset | None = None
) -> tuple[Finding, ...]:
    """Compare what a node holds with what its manifests compile to.

    `expected` is the compiled text, `found` the node's dump of the same family; `other_backend`
    is what the node's other backend holds (legacy beside nft), where that is known. Findings come
    in the order of importance for a reader: backends, service by service, then the node's.
    """
    verifier = _Verifier(expected, found)
    findings = [*_backends(found, other_backend), *verifier.findings()]
    findings.sort(key=lambda finding: finding.severity == "information")
    return tuple(findings)


def _backends(found: Ruleset, other: Ruleset | None) -> Iterable[Finding]:
    """Say where both backends hold rules: packets pass through both."""
    if other is not None and holds_kube_proxy_rules(other) and holds_kube_proxy_rules(found):
        held = f"{other.backend or 'other'} tables hold kube-proxy's rules too"
        yield Finding(
            "both-backends",
            f"{held}: packets pass through both; flush one ({other.backend}) or reboot the node",
        )
    elif other is None and found.other_backend:
        yield Finding(
            "other-backend",
            "iptables warns of legacy tables: look into them with iptables-legacy-save",
        )


class _Verifier:
    """One comparison; differences that have a cause on a higher level are told as that cause."""

    def __init__(self, expected: Ruleset, found: Ruleset) -> None:
        self.expected = expected
        self.found = found
        self.portals: Portals = read_portals(expected)
        self._names: dict[str, str] | None = None
        self._found_portals: Portals | None = None
        self._used: dict[str, Counter[str]] = {}

    def findings(self) -> Iterable[Finding]:
        """Give all findings."""
        different, missing, extra = self._survey()
        explained = Explained()
        if different or missing or extra:
            explained = explain_services(
                self.expected, self.found, self.portals, different, missing, extra
            )
        yield from explained.findings
        for table in self.expected.tables:
            if table not in self.found.tables:
                yield self._missing_table(table)
                continue
            yield from self._chains(table, different, missing, explained)
            yield from self._jumps(table)
            yield from self._dangling(table, explained)
        yield from self._extra_chains(extra, explained)
        yield from foreign_findings(self.expected, self.found)
        yield from self._told_apart()

    def _survey(self) -> tuple[dict[str, list[str]], dict[str, list[str]], list[str]]:
        """Return by table the chains that differ and are missing, and nat's extra ones."""
        different: dict[str, list[str]] = {}
        missing: dict[str, list[str]] = {}
        for table, chains in self.expected.tables.items():
            held = self.found.table(table)
            for name, chain in chains.items():
                if not is_kube_proxy_chain(table, name):
                    continue
                there = held.get(name)
                if there is None:
                    missing.setdefault(table, []).append(name)
                elif there.texts() != chain.texts():
                    different.setdefault(table, []).append(name)
        wanted = self.expected.table("nat")
        extra = [
            name
            for name in self.found.table("nat")
            if name not in wanted and is_service_chain(name)
        ]
        return different, missing, extra

    def _service(self, chain: str) -> str:
        """Name the service port that a chain belongs to, empty where it belongs to none."""
        if self._names is None:
            names = service_names(self.expected, self.portals)
            self._names = {chain: str(key) for chain, key in names.items()}
        return self._names.get(chain, "")

    def _service_of(self, rule: Rule, table: str) -> str:
        if rule.chain in _PORTAL_CHAINS:
            place = (table, rule.chain, uncounted(rule.text))
            if name := portal_names(self.portals).get(place):
                return name
            if self._found_portals is None:
                self._found_portals = read_portals(self.found)
            return portal_names(self._found_portals).get(place, "")
        return self._service(rule.chain)

    def _missing_table(self, table: str) -> Finding:
        count = sum(len(chain.rules) for chain in self.expected.tables[table].values())
        if self.found.whole:
            message = f"table {table} is not in the dump: {count} rules and their chains missing"
            return Finding("missing-table", message, table)
        message = f"the dump tells nothing of table {table}: its {count} rules were not checked"
        return Finding("not-checked", message, table)

    def _chains(
        self,
        table: str,
        different: dict[str, list[str]],
        missing: dict[str, list[str]],
        explained: Explained,
    ) -> Iterable[Finding]:
        chains = self.expected.tables[table]
        for name in missing.get(table, ()):
            if name not in explained.chains:
                yield self._missing_chain(table, chains[name])
        commented = counted = 0
        for name in different.get(table, ()):
            if table == "nat" and name in explained.chains:
                continue
            wanted, there = chains[name], self.found.tables[table][name]
            silent = self._silent(wanted, there)
            if silent:
                commented += silent == "comments"
                counted += silent == "nfacct"
            elif self._emptied(table, wanted, there, explained):
                message = f"{name} is empty: {_rules(len(wanted.rules))} missing"
                yield Finding(
                    "empty-chain", message, table, name, self._service(name), line=there.line
                )
            else:
                yield from self._rules(table, wanted, there, explained)
        if commented:
            message = f"{commented} chains of {table} differ in comments alone"
            yield Finding("comments", message + ", which large clusters leave out", table)
        if counted:
            yield Finding("nfacct", f"{counted} chains of {table} differ in nfacct alone", table)

    def _emptied(self, table: str, wanted: Chain, there: Chain, explained: Explained) -> bool:
        """Say whether a chain has none of its rules, for no reason that was told already."""
        lacking = [(table, rule.chain, rule.text) for rule in wanted.rules]
        return not there.rules and any(place not in explained.missing for place in lacking)

    def _silent(self, wanted: Chain, there: Chain) -> str:
        """Name what two chains differ in where no packet notices it, else nothing."""
        sides = []
        for chain in (wanted, there):
            kept = [rule for rule in chain.rules if not _counts_only(rule)]
            sides.append([uncounted(rule.text) for rule in kept])
        if sides[0] == sides[1]:
            return "nfacct"
        if len(wanted.rules) != len(there.rules) or not is_service_chain(wanted.name):
            return ""
        texts = [[uncommented(rule.text) for rule in chain.rules] for chain in (wanted, there)]
        return "comments" if texts[0] == texts[1] else ""

    def _missing_chain(self, table: str, chain: Chain) -> Finding:
        if table not in self._used:
            held = self.found.tables[table].values()
            self._used[table] = Counter(rule.target for there in held for rule in there.rules)
        jumps = self._used[table][chain.name]
        message = f"{chain.name} is not there, with its {_rules(len(chain.rules))}"
        if jumps:
            message += f"; {_rules(jumps)} of the dump {'jumps' if jumps == 1 else 'jump'} to it"
        return Finding("missing-chain", message, table, chain.name, self._service(chain.name))

    def _rules(
        self, table: str, wanted: Chain, there: Chain, explained: Explained
    ) -> Iterable[Finding]:
        """Compare the rules of a chain that both sides have."""
        name = wanted.name
        known = [rule for rule in wanted.rules if not _counts_only(rule)]
        held = [rule for rule in there.rules if not _counts_only(rule)]
        order = (lambda rule: self._order_key(rule, table)) if name in _PORTAL_CHAINS else None
        diff = diff_chain(known, held, self.expected.family, order)
        for rule in diff.missing:
            if (table, rule.chain, rule.text) not in explained.missing:
                message = f"{name} lacks a rule"
                yield self._finding("missing-rule", message, table, rule, expected=rule)
        for rule in diff.extra:
            if name != _SHARED and (table, rule.chain, rule.text) not in explained.extra:
                message = f"{name} has a rule that the manifests do not give"
                yield self._finding("extra-rule", message, table, rule, found=rule)
        for rule in diff.duplicate:
            message = f"{name} has a rule more often than it should"
            yield self._finding("duplicate-rule", message, table, rule, found=rule)
        for before, after in diff.changed:
            told = "; ".join(
                f"{field} is {new or 'not there'}, should be {old or 'not there'}"
                for field, old, new in changed_fields(before, after, self.expected.family)
            )
            message = f"{name}: {told}"
            yield self._finding("changed-rule", message, table, before, before, after)
        for rule in diff.moved:
            message = f"a rule of {name} stands at another place than it should"
            yield self._finding("wrong-order", message, table, rule, found=rule)

    def _finding(
        self,
        kind: str,
        message: str,
        table: str,
        owner: Rule,
        expected: Rule | None = None,
        found: Rule | None = None,
    ) -> Finding:
        return Finding(
            kind,
            message,
            table,
            owner.chain,
            self._service_of(owner, table),
            str(expected) if expected else "",
            str(found) if found else "",
            found.line if found else 0,
        )

    def _order_key(self, rule: Rule, table: str) -> str | None:
        """Return what traffic a portal takes; None for rules that take any service's traffic."""
        if not portal_names(self.portals).get((table, rule.chain, uncounted(rule.text))):
            return None
        words = rule.text.split(" ")
        kept = [
            f"{word} {words[place + 1]}"
            for place, word in enumerate(words[:-1])
            if word in ("-d", "-p", "--dport")
        ]
        return " ".join(kept)

    def _jumps(self, table: str) -> Iterable[Finding]:
        """Check the jumps from the built-in chains, whatever their comment."""
        chains = self.found.tables[table]
        if not any(chain.policy for chain in chains.values()):
            message = f"the dump tells no built-in chains of {table}: the jumps were not checked"
            yield Finding("not-checked", message, table)
            return
        for jump in JUMPS:
            if jump.table != table or jump.target not in self.expected.tables[table]:
                continue
            held = self.found.rules(table, jump.chain)
            jumps = [rule for rule in held if rule.target == jump.target]
            if any(uncommented(rule.text) == jump.text for rule in jumps):
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

    def _dangling(self, table: str, explained: Explained) -> Iterable[Finding]:
        """Find jumps to chains that are not there (a dump that was cut, or edited)."""
        chains = self.found.tables[table]
        wanted = self.expected.tables[table]
        known = chains.keys() | TARGETS.keys() | OTHER_TARGETS | wanted.keys() | {""}
        for chain in chains.values():
            for rule in chain.rules:
                if rule.target not in known and rule.target.startswith("KUBE-"):
                    if (table, rule.chain, rule.text) in explained.extra:
                        continue
                    message = f"{rule.chain} jumps to {rule.target}, which is not there"
                    yield self._finding("dangling-jump", message, table, rule, found=rule)

    def _extra_chains(self, extra: list[str], explained: Explained) -> Iterable[Finding]:
        """Tell chains that the manifests do not give: in use, or left behind."""
        table = self.found.table("nat")
        candidates = [name for name in extra if name not in explained.chains]
        if not candidates:
            return
        used_by: dict[str, str] = {}
        for chain in table.values():
            for rule in chain.rules:
                used_by.setdefault(rule.target, chain.name)
        stale = set(candidates)
        # what a chain in use jumps to is in use, too
        live = [name for name in candidates if used_by.get(name, name) not in stale | {name}]
        while live:
            name = live.pop()
            stale.discard(name)
            live += [rule.target for rule in table[name].rules if rule.target in stale]
        for name in candidates:
            chain = table[name]
            count = _rules(len(chain.rules))
            if name in stale:
                message = f"{name} is left over ({count}): nothing that is in use jumps to it"
                yield Finding("stale-chain", message, "nat", name, line=chain.line)
            else:
                message = f"{name} ({count}) is not of the manifests; {used_by[name]} jumps to it"
                yield Finding("extra-chain", message, "nat", name, line=chain.line)

    def _told_apart(self) -> Iterable[Finding]:
        """Say which words of the dump were compared as text."""
        for unknown in self.found.unknown:
            message = f"{unknown.words} ({unknown.times}) is kept and compared as text"
            yield Finding("unknown-words", message, line=unknown.line)


def _counts_only(rule: Rule) -> bool:
    """Say whether a rule is there only for its nfacct counter (localhost node ports)."""
    return (
        rule.chain == "KUBE-NODEPORTS"
        and "-d 127.0.0.0/8 " in rule.text
        and "localhost_nps_accepted_pkts" in rule.text
    )


def _rules(count: int) -> str:
    return "1 rule" if count == 1 else f"{count} rules"


def portal_names(portals: Portals) -> dict[tuple[str, str, str], str]:
    """Map the rules of top-level chains, by table, chain and text, to their service port."""
    if not portals.by_text:
        for key, rules in portals.rules.items():
            for table, rule in rules:
                portals.by_text[table, rule.chain, uncounted(rule.text)] = str(key)
    return portals.by_text
