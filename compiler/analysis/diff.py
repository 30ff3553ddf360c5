"""What changes for traffic between two rulesets, service port by service port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from compiler.analysis.kube_chains import JUMPS, is_kube_proxy_chain
from compiler.analysis.portals import Key, Portals, port_rules, read_portals
from compiler.analysis.service_ports import Dispatch, ServicePort, bare, read_service_ports
from compiler.netfilter.canonical import parse_rule
from compiler.netfilter.printing import chain_names, table_names
from compiler.netfilter.rule import Rule, Ruleset

_REFUSALS = ("rejected", "dropped")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different: `before` is None for what is new, `after` for what is gone.

    `what` names the property (`endpoint`, `session affinity`), `item` which one of several.
    """

    what: str
    item: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class PortDiff:
    """A service port whose traffic changed: `change` is `added`, `removed` or `changed`.

    `removed` and `added` are the rules behind it, as `iptables -S` prints them with their table.
    """

    key: Key
    change: str
    changes: tuple[Change, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RulesDiff:
    """The difference between two rulesets.

    `node` are changes of rules that belong to no service port; `outside` those of built-in and
    foreign chains, where both sides tell them. `silent` counts rules that differ without a
    difference for any packet (comments, order, counting).
    """

    ports: tuple[PortDiff, ...]
    node: tuple[Change, ...]
    outside: tuple[Change, ...]
    silent: int

    @property
    def same(self) -> bool:
        """Whether every packet fares the same on both sides."""
        return not (self.ports or self.node or self.outside)


def diff_rules(old: Ruleset, new: Ruleset) -> RulesDiff:
    """Compare two rulesets of one family."""
    before, after = read_portals(old), read_portals(new)
    old_ports, new_ports = read_service_ports(old), read_service_ports(new)
    ports = []
    for key in sorted({**old_ports, **new_ports}):
        was, now = old_ports.get(key), new_ports.get(key)
        changes = tuple(_port_changes(was, now))
        if was and now and not changes:
            continue
        kind = "changed" if was and now else "added" if now else "removed"
        removed, added = _rule_changes((old, before), (new, after), key)
        ports.append(PortDiff(key, kind, changes, removed, added))
    node = tuple(_node_changes((old, before), (new, after)))
    outside = tuple(_outside_changes(old, new))
    told = sum(len(port.removed) + len(port.added) for port in ports)
    silent = max(0, _differing(old, new) - told - 2 * len(node)) if not (node or ports) else 0
    return RulesDiff(tuple(ports), node, outside, silent)


def _differing(old: Ruleset, new: Ruleset) -> int:
    """Count the rules of kube-proxy's chains that only one side has."""
    sides = [
        Counter(
            (table, str(rule))
            for table, rule in ruleset.all_rules()
            if is_kube_proxy_chain(table, rule.chain)
        )
        for ruleset in (old, new)
    ]
    return ((sides[0] - sides[1]) + (sides[1] - sides[0])).total()


def _port_changes(was: ServicePort | None, now: ServicePort | None) -> Iterable[Change]:
    """Give the changes of one service port."""
    side = now or was
    if side is None:
        return
    empty = ServicePort(side.key, ())
    was, now = was or empty, now or empty
    yield from _way_changes(was, now)
    yield from _plain("internal traffic policy", _internal(was), _internal(now))
    yield from _plain("external traffic policy", _external(was), _external(now))
    yield from _plain("session affinity", _affinity(was), _affinity(now))
    yield from _plain("source ranges", _ranges(was), _ranges(now))
    yield from _dispatch_changes("endpoint", was.cluster, now.cluster)
    yield from _dispatch_changes("local endpoint", was.local, now.local)
    yield from _plain("masquerade", _masquerade(was), _masquerade(now))
    if _external(was) == _external(now) and was.external != now.external:
        yield Change("external traffic", "", _joined(was.external), _joined(now.external))
    for rule in was.other:
        if rule not in now.other:
            yield Change("rule", "", rule, None)
    for rule in now.other:
        if rule not in was.other:
            yield Change("rule", "", None, rule)


def _plain(what: str, before: str | None, after: str | None) -> Iterable[Change]:
    if before != after:
        yield Change(what, "", before, after)


def _joined(words: Iterable[str]) -> str | None:
    return ", ".join(words) or None


def _way_changes(was: ServicePort, now: ServicePort) -> Iterable[Change]:
    """Give the addresses that came and went, and those that fare otherwise than before."""
    kinds = dict.fromkeys(way.kind for way in (*was.ways, *now.ways))
    told_before = {way.address for way in was.ways}
    told_after = {way.address for way in now.ways}
    for kind in kinds:
        old, new = was.addresses(kind), now.addresses(kind)
        gone = [address for address in old if address not in told_after]
        come = [address for address in new if address not in told_before]
        if len(gone) == len(come) == 1:
            yield Change(kind, "", gone[0], come[0])
        else:
            for address in gone:
                yield Change(kind, "", address, None)
            for address in come:
                yield Change(kind, "", None, address)
    for address in dict.fromkeys(way.address for way in (*was.ways, *now.ways)):
        before, after = _fate(was, address), _fate(now, address)
        refused = any(after.startswith(word) or before.startswith(word) for word in _REFUSALS)
        if before != after and (refused or (before and after)):
            yield Change("traffic to", address, before or None, after or None)


def _fate(port: ServicePort, address: str) -> str:
    """Say what becomes of traffic to an address: served, firewalled, rejected, dropped."""
    ways = [way for way in port.ways if way.address == address]
    if not ways:
        return ""
    shadow = next((f", but {way.shadowed_by} takes it" for way in ways if way.shadowed_by), "")
    fates = [way.goes for way in ways if not way.goes.startswith("KUBE-")]
    served = any(way.goes.startswith("KUBE-") for way in ways)
    if served and "firewalled" in fates:
        fates = ["served to its source ranges", *(fate for fate in fates if fate != "firewalled")]
    elif served and any(fate in _REFUSALS for fate in fates):
        # nat still takes pod and node traffic in; filter refuses the rest
        fates = [f"{fates[0]} from outside"]
    return (" and ".join(dict.fromkeys(fates)) or "served") + shadow


def _internal(port: ServicePort) -> str | None:
    policies = {
        "KUBE-SVC": "Cluster", "KUBE-SVL": "Local",
    }  # fmt: skip
    goes = [way.goes for way in port.ways if way.kind == "cluster IP" and way.goes in policies]
    return _joined(dict.fromkeys(policies[way] for way in goes))


def _external(port: ServicePort) -> str | None:
    if not port.external:
        return None
    return "Cluster" if " -> masquerade" in port.external else "Local"


def _affinity(port: ServicePort) -> str | None:
    timeouts = {
        endpoint.affinity if endpoint.remembers else None
        for dispatch in (port.cluster, port.local)
        if dispatch
        for endpoint in dispatch.endpoints
    }
    told = sorted(timeout for timeout in timeouts if timeout is not None)
    if not told:
        return None
    return (
        "ClientIP, "
        + " and ".join(f"{timeout} s" for timeout in told)
        + (", not for all endpoints" if None in timeouts else "")
    )


def _ranges(port: ServicePort) -> str | None:
    return None if port.ranges is None else ", ".join(sorted(set(port.ranges))) or "nobody"


def _masquerade(port: ServicePort) -> str | None:
    """Say which traffic to the cluster IP has its source rewritten."""
    dispatch = port.local if _internal(port) == "Local" else port.cluster
    if dispatch is None or not dispatch.masquerade:
        return None
    return " and ".join(
        f"traffic with {condition}" if condition else "all traffic"
        for condition in dispatch.masquerade
    )


def _dispatch_changes(what: str, was: Dispatch | None, now: Dispatch | None) -> Iterable[Change]:
    """Give the endpoints that came, went or have another share of new connections."""
    old = was.shares if was else {}
    new = now.shares if now else {}
    for address, share in old.items():
        if address not in new:
            yield Change(what, address, percent(share), None)
    for address, share in new.items():
        if address not in old:
            yield Change(what, address, None, percent(share))
        elif share != old[address]:
            yield Change(what, address, percent(old[address]), percent(share))
    hairpins = [
        {endpoint.address: endpoint.hairpin for endpoint in side.endpoints} if side else {}
        for side in (was, now)
    ]
    for address, before in hairpins[0].items():
        after = hairpins[1].get(address, before)
        if before != after:
            words = ("masqueraded", "not masqueraded")
            yield Change("hairpin to", address, words[not before], words[not after])


def percent(share: float) -> str:
    """Write a share of traffic: 33.3 %, 50 %, 0.05 %."""
    digits = 1 if share >= 0.01 else 3
    return f"{round(share * 100, digits):g} %"


def _rule_changes(
    old: tuple[Ruleset, Portals], new: tuple[Ruleset, Portals], key: Key
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a service port's rules that went and came, each with its table."""
    sides = [
        [f"{table}: {rule}" for table, rule in port_rules(ruleset, portals, key)]
        for ruleset, portals in (old, new)
    ]
    counts = [Counter(side) for side in sides]
    gone, come = counts[0] - counts[1], counts[1] - counts[0]
    return (
        tuple(rule for rule in sides[0] if rule in gone),
        tuple(rule for rule in sides[1] if rule in come),
    )


def _node_changes(old: tuple[Ruleset, Portals], new: tuple[Ruleset, Portals]) -> Iterable[Change]:
    """Give the changes of rules that belong to the whole node."""
    marks = [_mark(ruleset) for ruleset, _ in (old, new)]
    if all(marks) and marks[0] != marks[1]:
        yield Change("masquerade mark", "", marks[0], marks[1])
    places = dict.fromkeys((*old[1].node, *new[1].node))
    for table, chain in places:
        sides = []
        for (ruleset, portals), mark in zip((old, new), marks, strict=True):
            rules = portals.node.get((table, chain), [])
            sides.append(
                [_told(rule, ruleset, mark if marks[0] != marks[1] else "") for rule in rules]
            )
        yield from _list_changes(f"{table} {chain}", *sides)


def _told(rule: Rule, ruleset: Ruleset, mark: str) -> str:
    told = bare(parse_rule(rule, ruleset.family)) or "a rule that does nothing"
    return told.replace(mark, "MARK") if mark else told


def _mark(ruleset: Ruleset) -> str:
    """Return the bit that marks traffic for masquerade, as printed."""
    for rule in ruleset.rules("nat", "KUBE-MARK-MASQ"):
        if option := parse_rule(rule, ruleset.family).target_option("--set-xmark"):
            return option.partition("/")[0]
    return ""


def _list_changes(what: str, old: list[str], new: list[str]) -> Iterable[Change]:
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


def _outside_changes(old: Ruleset, new: Ruleset) -> Iterable[Change]:
    """Compare built-in and foreign chains, where both sides tell them."""
    targets = {jump.target for jump in JUMPS}
    for table in table_names(old, new):
        if table not in old.tables or table not in new.tables:
            continue
        sides = (old.tables[table], new.tables[table])
        if not all(any(chain.policy for chain in side.values()) for side in sides):
            continue
        for name in chain_names(table, *sides):
            if is_kube_proxy_chain(table, name) or name.endswith("-CANARY"):
                continue
            chains = [side.get(name) for side in sides]
            texts = [
                [_outside(rule, ruleset, targets) for rule in chain.rules] if chain else []
                for chain, ruleset in zip(chains, (old, new), strict=True)
            ]
            yield from _list_changes(f"{table} {name}", *texts)
            policies = [chain.policy if chain else None for chain in chains]
            if policies[0] != policies[1] and all(policies):
                yield Change(f"{table} {name}", "policy", *policies)


def _outside(rule: Rule, ruleset: Ruleset, targets: set[str]) -> str:
    if rule.target in targets:
        return bare(parse_rule(rule, ruleset.family))
    return rule.text or "a rule that does nothing"
