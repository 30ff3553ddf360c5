"""What changes for traffic between two rulesets, service port by service port.

Whether anything changes is for `compare` to say, which looks at every packet that either ruleset
tells apart. The words come from reading both rulesets as kube-proxy's (`NodeRules`); a change that
fits none of them is described by its packets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import ne

from compiler.analysis.attribution import Attribution, comparable, plainest_first
from compiler.analysis.diff_words import (
    PACKETS,
    Change,
    node_changes,
    outside_changes,
    port_changes,
)
from compiler.analysis.packet_words import packet_change
from compiler.analysis.random_fully import without_left_out
from compiler.kube_rules.chains import TOP_LEVEL, is_service_chain
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Key
from compiler.netfilter.compare import Comparison, Difference, compare
from compiler.netfilter.host import Host
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import differing

# Of packets that are treated differently in the same way, this many are described.
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class PortDiff:
    """A service port whose traffic changes: `change` is `added`, `removed` or `changed`.

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
    foreign chains. `silent` counts rules that differ while no packet is treated differently.
    `classes` is how many classes of packets that rests on. `may_differ` says what could not be
    decided, `not_compared` what only one side shows or was not looked at, `information` what
    differs for a reason that is no fault.
    """

    ports: tuple[PortDiff, ...]
    node: tuple[Change, ...]
    outside: tuple[Change, ...]
    silent: int
    classes: int
    may_differ: tuple[str, ...]
    not_compared: tuple[str, ...]
    information: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether every packet is treated the same on both sides, as far as both show it."""
        return not (self.ports or self.node or self.outside or self.may_differ)


def diff_rules(old: Ruleset, new: Ruleset, host: Host | None = None) -> RulesDiff:
    """Compare two rulesets of one family; `host` is what is known of the node."""
    old, new, not_compared = comparable(old, new)
    old, new, information = without_left_out(old, new)
    return _Diff(old, new, compare(old, new, host)).result(not_compared, information)


class _Diff:
    """Puts a comparison into words."""

    def __init__(self, old: Ruleset, new: Ruleset, comparison: Comparison) -> None:
        self.old = NodeRules(old)
        self.new = NodeRules(new)
        self.comparison = comparison
        attribution = Attribution(self.old, self.new, comparison)
        self.by_port = attribution.by_port
        self.by_chain = attribution.by_chain

    def result(self, not_compared: tuple[str, ...], information: tuple[str, ...]) -> RulesDiff:
        """Return the difference in words."""
        ports = tuple(port for key in sorted(self.by_port) if (port := self._port(key)).changes)
        node, outside = self._rest()
        return RulesDiff(
            ports,
            node,
            outside,
            self._silent(),
            self.comparison.classes,
            tuple(self._may_differ()),
            not_compared,
            information,
        )

    def _port(self, key: Key) -> PortDiff:
        was = self.old.service_port(key) if key in self.old else None
        now = self.new.service_port(key) if key in self.new else None
        changes = tuple(port_changes(was, now)) or self._packets(self.by_port[key])
        kind = "changed" if was and now else "added" if now else "removed"
        return PortDiff(key, kind, changes, *self._rules(key))

    def _rules(self, key: Key) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return a service port's rules that went and came, each with its table."""
        sides = [
            [str(rule) for rule in side.rules(key)] if key in side else []
            for side in (self.old, self.new)
        ]
        counts = [Counter(side) for side in sides]
        gone, come = counts[0] - counts[1], counts[1] - counts[0]
        return (
            tuple(rule for rule in sides[0] if rule in gone),
            tuple(rule for rule in sides[1] if rule in come),
        )

    def _rest(self) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
        """Return the changes of the whole node's rules, and of built-in and foreign chains."""
        node: list[Change] = []
        outside: list[Change] = []
        mark = self._mark_changes()
        node += mark
        touched = {
            place
            for some in (*self.by_port.values(), *self.by_chain.values())
            for one in some
            for place in one.chains
        }
        for table, name in self.comparison.unlike:
            if (table, name) not in touched:
                continue
            differences = self.by_chain.get((table, name), [])
            own = name in TOP_LEVEL.get(table, ()) or is_service_chain(name)
            words = (
                node_changes(self.old, self.new, table, name, mark=bool(mark))
                if own
                else outside_changes(self.old.ruleset, self.new.ruleset, table, name)
            )
            told = tuple(words)
            if not told and not (own and mark):
                told = self._packets(differences)
            (node if own else outside).extend(told)
        return tuple(node), tuple(outside)

    def _mark_changes(self) -> list[Change]:
        marks = [side.masquerade_mark() for side in (self.old, self.new)]
        if not self.comparison.differences or None in marks or marks[0] == marks[1]:
            return []
        return [Change("masquerade mark", "", f"{marks[0]:#x}", f"{marks[1]:#x}")]

    def _packets(self, differences: Iterable[Difference]) -> tuple[Change, ...]:
        """Describe differences by their packets; those alike once."""
        told: dict[tuple[str, str], Change] = {}
        for difference in plainest_first(differences):
            change = packet_change(difference)
            told.setdefault(
                (change.before, change.after),
                Change(PACKETS, change.packets, change.before, change.after),
            )
        listed = list(told.values())
        if len(listed) > _EXAMPLES:
            more = f"{len(listed) - _EXAMPLES} more kinds of packets"
            listed = [*listed[:_EXAMPLES], Change(PACKETS, more, None, None)]
        return tuple(listed)

    def _may_differ(self) -> Iterable[str]:
        """Say what could not be decided."""
        reasons: dict[str, int] = {}
        for difference in self.comparison.differences:
            if difference.undecided:
                for outcome in (*difference.old, *difference.new):
                    if outcome.undecided_by:
                        reasons[outcome.undecided_by] = reasons.get(outcome.undecided_by, 0) + 1
        for reason in reasons:
            yield f"it depends on {reason}, which rules can't show"
        for table, name in self.comparison.unseen:
            yield f"{table} {name}: too many kinds of packets to follow them all"

    def _silent(self) -> int:
        """Count the rules that differ without a difference for any packet."""
        count = 0
        for table, name in (*self.comparison.silent, *self.comparison.alike):
            count += self._differing(table, name)
        if not self.comparison.differences and not self.comparison.unseen:
            return self._all_differing()
        return count

    def _all_differing(self) -> int:
        old, new = self.old.ruleset, self.new.ruleset
        return sum(
            self._differing(table, name)
            for table in dict.fromkeys((*old.tables, *new.tables))
            for name, _, _ in differing(old.table(table), new.table(table))
        )

    def _differing(self, table: str, name: str) -> int:
        """Count the rules of a chain that only one side has, or has at another place."""
        old, new = self.old.ruleset.chain(table, name), self.new.ruleset.chain(table, name)
        if old is not None and new is not None and old.same_rules(new):
            return 0
        sides = [list(chain.texts()) if chain else [] for chain in (old, new)]
        counts = [Counter(side) for side in sides]
        # a rule that changed is gone on one side and new on the other
        changed = max((counts[0] - counts[1]).total(), (counts[1] - counts[0]).total())
        # where only the order differs, those that are not where they were
        return changed or sum(map(ne, *sides))
