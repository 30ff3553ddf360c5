"""What differs between two readings of kube-proxy's rules, in the words of Services."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from compiler.analysis.packet_words import percent
from compiler.kube_rules.chains import JUMPS
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Dispatch, EntryPoint, ServicePort
from compiler.netfilter.match import Match
from compiler.netfilter.matches.mark import Mark
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.targets.mark import SetMark

# What a change is called that no word of Services fits: described by its packets.
PACKETS = "packets"

_REFUSALS = ("rejected", "dropped")
_POLICIES = {"KUBE-SVC": "Cluster", "KUBE-SVL": "Local"}
_NOTHING = "a rule that does nothing"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different: `before` is None for what is new, `after` for what is gone.

    `what` names the property (`endpoint`, `session affinity`), `item` which one of several.
    """

    what: str
    item: str
    before: str | None
    after: str | None


def port_changes(was: ServicePort | None, now: ServicePort | None) -> Iterator[Change]:
    """Give the changes of one service port; None stands for one that is not there."""
    side = now or was
    if side is None:
        return
    was, now = was or ServicePort(side.key, ()), now or ServicePort(side.key, ())
    yield from _entry_changes(was, now)
    yield from _plain("internal traffic policy", _internal(was), _internal(now))
    yield from _plain("external traffic policy", _external(was), _external(now))
    yield from _plain("session affinity", _affinity(was), _affinity(now))
    yield from _plain("source ranges", _ranges(was), _ranges(now))
    yield from _dispatch_changes("endpoint", was.cluster, now.cluster)
    yield from _dispatch_changes("local endpoint", was.local, now.local)
    yield from _plain("masquerade", _masquerade(was), _masquerade(now))
    if _external(was) == _external(now) and was.external != now.external:
        yield Change("external traffic", "", _joined(was.external), _joined(now.external))
    yield from _other_changes(was.other, now.other)


def change_lines(changes: Sequence[Change]) -> Iterator[tuple[str, str]]:
    """Write changes for a reader, one under the other: each one's sign, and its line.

    The sign is `+` for what is new, `-` for what is gone, a blank for what is another.
    """
    named = [f"{change.what} {change.item}".strip() for change in changes]
    width = min(max(map(len, named), default=0), 60)
    for change, name in zip(changes, named, strict=True):
        sign = " "
        if change.before is None:
            sign, values = "+", change.after or ""
        elif change.after is None:
            sign, values = "-", change.before
        else:
            values = f"{change.before} → {change.after}"
        yield sign, f"{sign} {name:<{width}}  {values}".rstrip()


def _plain(what: str, before: str | None, after: str | None) -> Iterator[Change]:
    if before != after:
        yield Change(what, "", before, after)


def _joined(words: Iterable[object]) -> str | None:
    return ", ".join(map(str, words)) or None


def _other_changes(was: Sequence[Rule], now: Sequence[Rule]) -> Iterator[Change]:
    before, after = (dict.fromkeys(rule.effect for rule in rules) for rules in (was, now))
    for rule in was:
        if rule.effect not in after:
            yield Change("rule", "", str(rule), None)
    for rule in now:
        if rule.effect not in before:
            yield Change("rule", "", None, str(rule))


def _entry_changes(was: ServicePort, now: ServicePort) -> Iterator[Change]:
    """Give the addresses that came and went, and those that are treated otherwise than before."""
    entries: tuple[EntryPoint, ...] = (*was.entry_points, *now.entry_points)
    before_all = {entry.address for entry in was.entry_points}
    after_all = {entry.address for entry in now.entry_points}
    for kind in dict.fromkeys(entry.kind for entry in entries):
        gone = [address for address in was.addresses(kind) if address not in after_all]
        come = [address for address in now.addresses(kind) if address not in before_all]
        if len(gone) == len(come) == 1:
            yield Change(kind, "", gone[0], come[0])
        else:
            for address in gone:
                yield Change(kind, "", address, None)
            for address in come:
                yield Change(kind, "", None, address)
    for address in dict.fromkeys(entry.address for entry in entries):
        before, after = _fate(was, address), _fate(now, address)
        refused = any(words.startswith(_REFUSALS) for words in (before, after))
        if before != after and (refused or (before and after)):
            yield Change("traffic to", address, before or None, after or None)


def _fate(port: ServicePort, address: str) -> str:
    """Say what happens to traffic to an address: served, firewalled, rejected, dropped."""
    entries = [entry for entry in port.entry_points if entry.address == address]
    if not entries:
        return ""
    shadow = next(
        (f", but {entry.shadowed_by} takes it" for entry in entries if entry.shadowed_by), ""
    )
    fates = [entry.verdict for entry in entries if not entry.verdict.startswith("KUBE-")]
    served = any(entry.verdict.startswith("KUBE-") for entry in entries)
    if served and "firewalled" in fates:
        fates = ["served to its source ranges", *(fate for fate in fates if fate != "firewalled")]
    elif served and any(fate in _REFUSALS for fate in fates):
        # nat still takes pod and node traffic in; filter refuses the rest
        fates = [f"{fates[0]} from outside"]
    return (" and ".join(dict.fromkeys(fates)) or "served") + shadow


def _internal(port: ServicePort) -> str | None:
    verdicts = [entry.verdict for entry in port.entry_points if entry.kind == "cluster IP"]
    return _joined(dict.fromkeys(_POLICIES[one] for one in verdicts if one in _POLICIES))


def _external(port: ServicePort) -> str | None:
    if not port.external:
        return None
    return "Cluster" if " -> masquerade" in map(str, port.external) else "Local"


def _affinity(port: ServicePort) -> str | None:
    timeouts = {
        endpoint.affinity if endpoint.remembers else None
        for dispatch in (port.cluster, port.local)
        if dispatch
        for endpoint in dispatch.endpoints
    }
    known = sorted(timeout for timeout in timeouts if timeout is not None)
    if not known:
        return None
    words = " and ".join(f"{timeout} s" for timeout in known)
    return f"ClientIP, {words}" + (", not for all endpoints" if None in timeouts else "")


def _ranges(port: ServicePort) -> str | None:
    if port.source_ranges is None:
        return None
    words = {str(one).removeprefix("-s ") or "any" for one in port.source_ranges}
    return ", ".join(sorted(words)) or "none"


def _masquerade(port: ServicePort) -> str | None:
    """Say which traffic to the cluster IP has its source rewritten."""
    dispatch = port.local if _internal(port) == "Local" else port.cluster
    if dispatch is None or not dispatch.masquerade:
        return None
    return " and ".join(
        f"traffic matching {condition}" if str(condition) else "all traffic"
        for condition in dispatch.masquerade
    )


def _dispatch_changes(what: str, was: Dispatch | None, now: Dispatch | None) -> Iterator[Change]:
    """Give the endpoints that came, went or have another share of new connections."""
    old = was.shares if was else {}
    new = now.shares if now else {}
    for address, share in old.items():
        if address not in new:
            yield Change(what, address, percent(share), None)
    for address, share in new.items():
        if address not in old:
            yield Change(what, address, None, percent(share))
        elif _apart(share, old[address]):
            yield Change(what, address, percent(old[address]), percent(share))
    lost = [_untranslated(side) for side in (was, now)]
    if _apart(*lost):
        now_lost, was_lost = (percent(share) if share else None for share in reversed(lost))
        yield Change("not translated", "", was_lost, now_lost)
    hairpins = [
        {endpoint.address: endpoint.hairpin for endpoint in side.endpoints} if side else {}
        for side in (was, now)
    ]
    for address, before in hairpins[0].items():
        after = hairpins[1].get(address, before)
        if before != after:
            words = ("masqueraded", "not masqueraded")
            yield Change("hairpin to", address, words[not before], words[not after])


def _untranslated(dispatch: Dispatch | None) -> Fraction:
    """Return the share of new connections that a dispatching chain leaves as they are."""
    if dispatch is None or not dispatch.endpoints:
        return Fraction(0)
    return 1 - sum(dispatch.shares.values(), Fraction(0))


def _apart(one: Fraction, other: Fraction) -> bool:
    """Say whether two shares differ by more than the kernel's rounding."""
    return abs(one - other) > Fraction(1, 10**6)


def node_changes(
    old: NodeRules, new: NodeRules, table: str, chain: str, *, mark: bool
) -> Iterator[Change]:
    """Give the changes of the rules of a top-level chain that belong to no service port.

    With `mark`, the masquerade mark changed as a whole and is reported already.
    """
    sides = []
    for side in (old, new):
        bits = side.masquerade_mark() if mark else None
        rules = side.node.get((table, chain), ())
        sides.append([_in_words(rule, bits) for rule in rules])
    yield from _list_changes(f"{table} {chain}", *sides)


def _in_words(rule: Rule, bits: int | None) -> str:
    """Write a rule's effect, the masquerade mark as MARK."""
    if bits is None:
        return rule.effect or _NOTHING
    words = [*rule.header.words(), *(_match_in_words(match, bits) for match in rule.asking)]
    target = rule.target
    if isinstance(target, SetMark) and bits in (target.value, target.mask):
        flips = "xor" if target.mask == 0 else "set"
        return " ".join([*words, f"-j MARK {flips} MARK"])
    return " ".join([*words, str(target)] if target else words) or _NOTHING


def _match_in_words(match: Match, bits: int) -> str:
    if isinstance(match, Mark) and match.value == match.mask == bits:
        return f"-m mark {'! ' if match.negated else ''}--mark MARK"
    return str(match)


def _list_changes(what: str, old: list[str], new: list[str]) -> Iterator[Change]:
    """Compare two lists of rules; where only their order differs, say so."""
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    for rule in old:
        if rule in gone:
            yield Change(what, "", rule, None)
    for rule in new:
        if rule in come:
            yield Change(what, "", None, rule)
    if not gone and not come and old != new:
        yield Change(what, "order", "; ".join(old), "; ".join(new))


def outside_changes(old: Ruleset, new: Ruleset, table: str, name: str) -> Iterator[Change]:
    """Compare a built-in or foreign chain."""
    targets = {jump.target for jump in JUMPS}
    chains = [side.chain(table, name) for side in (old, new)]
    texts = [[_outside(rule, targets) for rule in chain.rules] if chain else [] for chain in chains]
    yield from _list_changes(f"{table} {name}", *texts)
    policies = [chain.policy if chain else None for chain in chains]
    if policies[0] != policies[1] and all(policies):
        yield Change(f"{table} {name}", "policy", *policies)


def _outside(rule: Rule, targets: set[str]) -> str:
    return (rule.effect if rule.jumps_to in targets else rule.text) or _NOTHING
