"""Foreign rules above kube-proxy's jumps that take its traffic."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from compiler.analysis.findings import Finding
from compiler.analysis.kube_chains import JUMPS, is_kube_proxy_chain
from compiler.analysis.rule_diff import fields
from compiler.netfilter.canonical import parse_rule
from compiler.netfilter.rule import BUILTIN_CHAINS, Rule, Ruleset

Fields = Mapping[str, str]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSING = frozenset(("DROP", "REJECT"))
_VERDICTS = _REFUSING | {
    "ACCEPT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "NFQUEUE", "QUEUE", "TPROXY",
}  # fmt: skip
# Chains of chains: deeper, or with more rules that end a packet's way, than anyone reads.
_MAX_DEPTH = 8
_MAX_PATHS = 5_000
_SETS = ("--ctstate", "--state", "--dst-type", "--src-type")


def foreign_findings(expected: Ruleset, found: Ruleset) -> Iterator[Finding]:
    """Find rules of others above kube-proxy's jumps that end the way of its packets."""
    for table in expected.tables:
        targets = {
            jump.target
            for jump in JUMPS
            if jump.table == table and expected.rules(table, jump.target)
        }
        for chain in BUILTIN_CHAINS.get(table, ()):
            rules = found.rules(table, chain)
            below = [place for place, rule in enumerate(rules) if rule.target in targets]
            if below:
                yield from _above(expected, found, (table, chain), below)


def _above(
    expected: Ruleset, found: Ruleset, where: tuple[str, str], below: list[int]
) -> Iterator[Finding]:
    """Look at the rules of one built-in chain that stand above a jump of kube-proxy's."""
    table, chain = where
    rules = found.rules(table, chain)
    may: list[Rule] = []
    for place, rule in enumerate(rules[: below[-1]]):
        if is_kube_proxy_chain(table, rule.target):
            continue
        jumps = [rules[other] for other in below if other > place]
        taken = _taken(expected, found, table, rule, jumps)
        if taken is None:
            continue
        sure, what = taken
        if not sure:
            may.append(rule)
            continue
        message = f"{chain} has a rule above kube-proxy's that takes {what}"
        yield Finding("foreign-rule", message, table, chain, "", "", str(rule), rule.line)
    if may:
        count = "a rule" if len(may) == 1 else f"{len(may)} rules"
        message = f"{chain} has {count} above kube-proxy's that may take its traffic"
        yield Finding("foreign-may-take", message, table, chain, "", "", str(may[0]), may[0].line)


def _taken(
    expected: Ruleset, found: Ruleset, table: str, rule: Rule, jumps: list[Rule]
) -> tuple[bool, str] | None:
    """Say what a foreign rule takes of the jumps below it, and whether it surely does."""
    possible: tuple[bool, str] | None = None
    for conditions, verdict in _paths(found, table, rule):
        for jump in jumps:
            entry = fields(parse_rule(jump, found.family))
            for held, target in _traffic(expected, table, jump.target):
                if _same_effect(verdict, target):
                    continue
                asked = [entry, held] + ([{"--ctstate": "NEW"}] if table == "nat" else [])
                if any(_conflict(one, other) for one in conditions for other in asked):
                    continue
                told = held.get("comment") or f"traffic of {jump.target}"
                what = f"traffic that {jump.target} is for, such as {told!r}"
                if all(_covers(one, asked) for one in conditions):
                    return True, what
                possible = possible or (False, what)
    return possible


def _paths(found: Ruleset, table: str, rule: Rule) -> Iterator[tuple[list[Fields], str]]:
    """Give every way from a rule to a verdict: what it asks of the packet, and the verdict.

    A RETURN in a chain of others only ever lets packets go on, so leaving it out of account may
    tell of too much, never of too little.
    """
    budget = _MAX_PATHS
    waiting: list[tuple[Rule, list[Fields], int]] = [(rule, [], 0)]
    seen: set[str] = set()
    while waiting and budget:
        budget -= 1
        current, before, depth = waiting.pop()
        spec = parse_rule(current, found.family)
        asked = [*before, fields(spec)]
        if current.target in _VERDICTS or (current.target == "RETURN" and not depth):
            yield asked, current.target
        elif current.target not in seen and depth < _MAX_DEPTH:
            inner = found.rules(table, current.target)
            if inner and not is_kube_proxy_chain(table, current.target):
                seen.add(current.target)
                waiting += [(other, asked, depth + 1) for other in reversed(inner)]


@lru_cache(maxsize=64)
def _traffic(expected: Ruleset, table: str, chain: str) -> list[tuple[Fields, str]]:
    """Return what each rule of one of kube-proxy's chains asks, and what it does."""
    taken: list[tuple[Fields, str]] = []
    for rule in expected.rules(table, chain):
        asked = fields(parse_rule(rule, expected.family))
        if rule.target == "KUBE-NODEPORTS":
            inner = expected.rules(table, rule.target)
            taken += [
                ({**asked, **fields(parse_rule(other, expected.family))}, other.target)
                for other in inner
            ]
        elif rule.target not in ("", "RETURN", "MARK"):
            taken.append((asked, rule.target))
    return taken


def _same_effect(verdict: str, target: str) -> bool:
    """Say whether the packet fares the same with the foreign rule's verdict."""
    return verdict == target or (verdict in _REFUSING and target in _REFUSING)


def _conflict(one: Fields, other: Fields) -> bool:
    """Say whether no packet can be what both ask."""
    for name in ("-p", "-i", "-o"):
        if name in one and name in other and _words_conflict(one[name], other[name]):
            return True
    for name in ("-s", "-d"):
        if name in one and name in other and _networks_conflict(one[name], other[name]):
            return True
    for name in _SETS:
        if name in one and name in other and _sets_conflict(one[name], other[name]):
            return True
    if (
        "--state" in one
        and "--ctstate" in other
        and _sets_conflict(one["--state"], other["--ctstate"])
    ):
        return True
    mine, theirs = _ports(one), _ports(other)
    return mine is not None and theirs is not None and not _overlap(mine, theirs)


def _covers(one: Fields, asked: Iterable[Fields]) -> bool:
    """Say whether every packet that the others ask for is what `one` asks, too."""
    merged: dict[str, str] = {}
    for other in asked:
        merged.update(other)
    for name, value in one.items():
        if name in ("comment", "-j", "-g") or name.startswith(("--to-", "--reject", "--random")):
            continue
        alias = {"--state": "--ctstate", "--dports": "--dport"}.get(name, name)
        has = merged.get(name) or merged.get(alias)
        if has is None:
            return False
        if name in ("-s", "-d"):
            inside = not value.startswith("!") and not has.startswith("!")
            if not inside or not _subnet(has, value):
                return False
        elif name in ("--dport", "--dports"):
            mine, theirs = _ports(one), _ports(merged)
            if mine is None or theirs is None or not _within(theirs, mine):
                return False
        elif name in (*_SETS, "--state"):
            if value.startswith("!") or not set(has.split(",")) <= set(value.split(",")):
                return False
        elif has != value:
            return False
    return True


def _words_conflict(one: str, other: str) -> bool:
    negated = one.startswith("! ") or other.startswith("! ")
    same = one.removeprefix("! ") == other.removeprefix("! ")
    if negated:
        return same and one != other
    if one.endswith("+") or other.endswith("+"):
        return not (one.startswith(other.rstrip("+")) or other.startswith(one.rstrip("+")))
    return not same


def _sets_conflict(one: str, other: str) -> bool:
    mine, theirs = (set(words.removeprefix("! ").split(",")) for words in (one, other))
    if one.startswith("! ") and other.startswith("! "):
        return False
    if one.startswith("! "):
        return theirs <= mine
    if other.startswith("! "):
        return mine <= theirs
    return mine.isdisjoint(theirs)


@lru_cache(maxsize=65536)
def _network(words: str) -> _Network | None:
    try:
        return ipaddress.ip_network(words.removeprefix("! "), strict=False)
    except ValueError:
        return None


def _networks_conflict(one: str, other: str) -> bool:
    mine, theirs = _network(one), _network(other)
    if mine is None or theirs is None or mine.version != theirs.version:
        return False
    if one.startswith("! ") and other.startswith("! "):
        return False
    if one.startswith("! "):
        return _subnet(other, one)
    if other.startswith("! "):
        return _subnet(one, other)
    return not mine.overlaps(theirs)


def _subnet(one: str, other: str) -> bool:
    """Say whether the first network lies within the second."""
    mine, theirs = _network(one), _network(other)
    if isinstance(mine, ipaddress.IPv4Network) and isinstance(theirs, ipaddress.IPv4Network):
        return mine.subnet_of(theirs)
    if isinstance(mine, ipaddress.IPv6Network) and isinstance(theirs, ipaddress.IPv6Network):
        return mine.subnet_of(theirs)
    return False


def _ports(asked: Fields) -> list[tuple[int, int]] | None:
    """Return the destination ports that a rule asks for, None where it asks for none."""
    told = asked.get("--dport") or asked.get("--dports")
    if told is None or told.startswith("!"):
        return None
    ranges = [part.partition(":") for part in told.split(",")]
    return [(int(low), int(high or low)) for low, _, high in ranges]


def _overlap(mine: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> bool:
    return any(a <= d and c <= b for a, b in mine for c, d in theirs)


def _within(theirs: list[tuple[int, int]], mine: list[tuple[int, int]]) -> bool:
    return all(any(a <= c and d <= b for a, b in mine) for c, d in theirs)
