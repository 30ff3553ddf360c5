"""What changes for traffic on many nodes: equal changes once, with the nodes that they are on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from compiler.analysis.diff import PortDiff, RulesDiff, diff_rules
from compiler.analysis.diff_words import Change, port_changes
from compiler.family import IPV4, Family
from compiler.kube_rules.chains import table_hint
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Key
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset

# Settings first, then what follows from them.
_ORDER = (
    "name",
    "port name",
    "existing affinity",
    "cluster IP",
    "external IP",
    "load-balancer IP",
    "node port",
    "health-check node port",
    "internal traffic policy",
    "external traffic policy",
    "session affinity",
    "source ranges",
    "traffic to",
    "endpoint",
    "local endpoint",
)
_POLICIES = frozenset(("internal traffic policy", "external traffic policy"))
_NEED_ENDPOINTS = frozenset(("session affinity", "masquerade", "external traffic"))
# From so many endpoints on, those that change alike are one line.
_LISTED_TOGETHER = 4


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """Some nodes of a snapshot; none stands for rules that are the same on every node."""

    snapshot: str
    family: Family
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    """A service port that has another name at the same address; `changes` are all others."""

    old: Key
    new: Key
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class TextDiff:
    """The difference between two texts. `renamed` are service ports that have other names."""

    diff: RulesDiff
    renamed: tuple[Rename, ...] = ()

    @property
    def same(self) -> bool:
        """Whether no packet is treated differently, and everything was compared."""
        return self.diff.same and not self.diff.not_compared


@dataclass(frozen=True, slots=True)
class Placed:
    """A change, or words about one, and where it is."""

    change: Change
    where: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class PortChanges:
    """A service port whose traffic changes: `kind` is added, removed, changed or renamed."""

    key: Key
    kind: str
    changes: tuple[Placed, ...]
    where: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Renamed:
    """A service port that has another name and is otherwise the same."""

    old: Key
    new: Key
    where: tuple[Where, ...]


@dataclass(frozen=True)
class Changes:
    """What changes for traffic. `node` are changes of no service port.

    `silent` is where rules differ while no packet is treated differently, `renamed` service ports
    among them that have another name. `nodes` are all nodes that were compared, and `snapshots` how
    many snapshots there are.
    """

    ports: tuple[PortChanges, ...] = ()
    node: tuple[Placed, ...] = ()
    may_differ: tuple[Placed, ...] = ()
    not_compared: tuple[Placed, ...] = ()
    silent: tuple[Where, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    nodes: Mapping[tuple[str, Family], tuple[str, ...]] = field(default_factory=dict)
    snapshots: int = 0

    @property
    def same(self) -> bool:
        """Whether no packet is treated differently, as far as it was compared."""
        return not (self.ports or self.node or self.may_differ)


def rules_of(
    text: str, name: str, family: Family | None = None, *, like: Ruleset | None = None
) -> Ruleset:
    """Read a text of rules. Raises `InputError`."""
    return parse_rules(text, name, family=family, like=like, table_hint=table_hint)


def compare_texts(old: str, new: str, name: str, family: Family | None = None) -> TextDiff:
    """Compare two texts of rules of one family. Raises `InputError` where one is not rules."""
    before = rules_of(old, name, family)
    after = rules_of(new, name, family or before.family, like=before)
    return TextDiff(diff_rules(before, after), tuple(_renamed(before, after)))


def between(old: str, new: str, name: str) -> Changes:
    """Return what changes from one text of rules to another. Raises `InputError`."""
    found = compare_texts(old, new, name)
    where = Where("", IPV4, ())
    return merge([(where, found)] if old != new else [], [where], 0)


def _renamed(old: Ruleset, new: Ruleset) -> Iterable[Rename]:
    """Pair service ports that went with those that came at the same address.

    Those of different Services have all addresses in common: a node port alone may be given to
    another one.
    """
    before, after = NodeRules(old), NodeRules(new)
    come = [key for key in after.keys if key not in before]
    for gone in before.keys if come else ():
        if gone in after:
            continue
        addresses = {entry.address for entry in before.entry_points(gone)}
        for key in sorted(come, key=lambda one: service_of(one) != service_of(gone)):
            others = {entry.address for entry in after.entry_points(key)}
            is_own = service_of(key) == service_of(gone) and addresses & others
            if key.protocol == gone.protocol and (is_own or addresses == others):
                changes = port_changes(before.service_port(gone), after.service_port(key))
                yield Rename(gone, key, tuple(changes))
                come.remove(key)
                break


def service_of(key: Key) -> str:
    """Return the Service of a service port: `namespace/name`."""
    return key.name.partition(":")[0]


def merge(
    found: Sequence[tuple[Where, TextDiff]], compared: Iterable[Where], snapshots: int
) -> Changes:
    """Put the differences of several nodes together; `compared` are all nodes, also the same."""
    collected = _Collected()
    silent: list[Where] = []
    renames: dict[tuple[Key, Key], list[Where]] = {}
    for where, one in found:
        collected.add(where, one)
        if one.diff.same:
            silent.append(where)
        changed = {port.key for port in one.diff.ports}
        for rename in one.renamed:
            pair = rename.old, rename.new
            if not changed.intersection(pair):
                renames.setdefault(pair, []).append(where)
    nodes: dict[tuple[str, Family], tuple[str, ...]] = {}
    for where in compared:
        at = where.snapshot, where.family
        nodes[at] = (*nodes.get(at, ()), *where.nodes)
    return Changes(
        collected.service_ports(),
        collected.node.placed(),
        collected.may_differ.placed(),
        collected.not_compared.placed(),
        joined(silent),
        tuple(Renamed(*pair, joined(where)) for pair, where in renames.items()),
        nodes,
        snapshots,
    )


class _Grouped:
    """Things by themselves, each with where it is."""

    def __init__(self) -> None:
        self._found: dict[object, list[Where]] = {}

    def add(self, one: object, where: Where) -> None:
        self._found.setdefault(one, []).append(where)

    def items(self) -> list[tuple[object, tuple[Where, ...]]]:
        return [(one, joined(where)) for one, where in self._found.items()]

    def placed(self) -> tuple[Placed, ...]:
        return tuple(
            Placed(one if isinstance(one, Change) else Change(str(one), "", None, None), where)
            for one, where in self.items()
        )


class _Collected:
    def __init__(self) -> None:
        self.ports: dict[Key, _Grouped] = {}
        self.kinds: dict[Key, dict[str, list[Where]]] = {}
        self.node = _Grouped()
        self.may_differ = _Grouped()
        self.not_compared = _Grouped()

    def add(self, where: Where, one: TextDiff) -> None:
        diff = one.diff
        changed = {port.key for port in diff.ports}
        renamed = [one for one in one.renamed if changed.intersection((one.old, one.new))]
        both = {key for one in renamed for key in (one.old, one.new)}
        for rename in renamed:
            was = next((port for port in diff.ports if port.key == rename.old), None)
            self._port(rename.new, "renamed", _renaming(rename, was), where)
        for port in diff.ports:
            if port.key not in both:
                self._port(port.key, port.change, _settled(port), where)
        for change in (*diff.node, *diff.outside):
            self.node.add(change, where)
        for words in diff.may_differ:
            self.may_differ.add(words, where)
        for words in diff.not_compared:
            self.not_compared.add(words, where)

    def _port(self, key: Key, kind: str, changes: Iterable[Change], where: Where) -> None:
        self.kinds.setdefault(key, {}).setdefault(kind, []).append(where)
        for change in changes:
            self.ports.setdefault(key, _Grouped()).add(change, where)

    def service_ports(self) -> tuple[PortChanges, ...]:
        found = []
        for key in sorted(self.kinds):
            kinds = self.kinds[key]
            kind = next(iter(kinds)) if len(kinds) == 1 else "changed"
            changes = self.ports[key].placed() if key in self.ports else ()
            where = joined(one for some in kinds.values() for one in some)
            found.append(PortChanges(key, kind, tuple(_together(_sorted(changes))), where))
        return tuple(found)


def _settled(port: PortDiff) -> Iterable[Change]:
    """Leave out settings that one side's rules only don't show, where other changes say it.

    Rules have no policy where they reject or drop the traffic, and no affinity without endpoints.
    """
    if port.change != "changed":
        return port.changes
    endpoints = [one for one in port.changes if one.what == "endpoint"]
    # the shares add up to 1: where none is kept and none is new, all are gone
    gone = bool(endpoints) and all(one.after is None for one in endpoints)
    come = bool(endpoints) and all(one.before is None for one in endpoints)
    return [
        one
        for one in port.changes
        if not (one.what in _POLICIES and None in (one.before, one.after))
        and not (one.what in _NEED_ENDPOINTS and gone and one.after is None)
        and not (one.what in _NEED_ENDPOINTS and come and one.before is None)
    ] or port.changes


def _renaming(rename: Rename, was: PortDiff | None) -> tuple[Change, ...]:
    """Return the changes of a service port that has another name."""
    keys = rename.old, rename.new
    if service_of(rename.old) == service_of(rename.new):
        names = [key.name.partition(":")[2] or "(none)" for key in keys]
        found = [Change("port name", "", *names)]
    else:
        found = [Change("name", "", *map(str, keys))]
    affinity = any(change.what == "session affinity" for change in was.changes) if was else False
    if affinity and not any(change.what == "session affinity" for change in rename.changes):
        lost = "lost once (the kernel's lists are named by the port)"
        found.append(Change("existing affinity", "", "kept", lost))
    return (*found, *rename.changes)


def _sorted(changes: Iterable[Placed]) -> list[Placed]:
    def rank(placed: Placed) -> int:
        what = placed.change.what
        return _ORDER.index(what) if what in _ORDER else len(_ORDER)

    return sorted(changes, key=rank)


def _together(changes: Sequence[Placed]) -> Iterable[Placed]:
    """Put many endpoints that change alike, on the same nodes, in one line."""

    def kind(one: Placed) -> tuple[object, ...]:
        return one.change.what, one.change.before, one.change.after, one.where

    alike: dict[tuple[object, ...], list[Placed]] = {}
    for placed in changes:
        alike.setdefault(kind(placed), []).append(placed)
    for some in alike.values():
        change = some[0].change
        if len(some) < _LISTED_TOGETHER or not change.what.endswith("endpoint"):
            yield from some
        else:
            what = f"{len(some)} {change.what}s"
            yield Placed(Change(what, "", change.before, change.after), some[0].where)


def joined(where: Iterable[Where]) -> tuple[Where, ...]:
    """Put the nodes of one snapshot and family together."""
    found: dict[tuple[str, Family], dict[str, None]] = {}
    for one in where:
        found.setdefault((one.snapshot, one.family), {}).update(dict.fromkeys(one.nodes))
    return tuple(
        Where(snapshot, family, tuple(nodes)) for (snapshot, family), nodes in sorted(found.items())
    )
