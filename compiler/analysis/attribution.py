"""Whom a difference in treatment belongs to: service ports, or chains of the whole node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

from msgspec.structs import replace

from compiler.kube_rules.chains import is_service_chain
from compiler.kube_rules.jumps import has_builtin_chains, policies_of, with_jumps
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Key
from compiler.netfilter.compare import Comparison, Difference
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import NUMBERS, Traffic, print_address, single

# Chains of kube-proxy's whose rules belong to single service ports.
_PORTALS = frozenset(
    ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL")
)
_PROTOCOLS = {number: name for name, number in NUMBERS.items()}

Place = tuple[str, str]
"""A chain, by table and name."""


def comparable(old: Ruleset, new: Ruleset) -> tuple[Ruleset, Ruleset, tuple[str, ...]]:
    """Make two rulesets comparable, and say what is left out for that.

    Tables that only one side has are left out. kube-proxy's own text has no built-in chains: it
    gets them, with kube-proxy's jumps, and the other side's are then replaced by the same. A policy
    that only one side shows counts for both.
    """
    left_out: list[str] = []
    common = [name for name in old.tables if name in new.tables]
    for name in dict.fromkeys((*old.tables, *new.tables)):
        if name not in common:
            side = "NEW" if name in old.tables else "OLD"
            left_out.append(f"table {name}: {side} does not have it")
    bare = {
        name for name in common if has_builtin_chains(old, name) != has_builtin_chains(new, name)
    }
    for name in sorted(bare):
        side = "NEW" if has_builtin_chains(old, name) else "OLD"
        left_out.append(f"built-in and foreign chains of {name}: {side} does not have them")
    policies = {**policies_of(new), **policies_of(old)}
    sides = [with_jumps(_only(side, common), bare, policies) for side in (old, new)]
    return sides[0], sides[1], tuple(left_out)


def _only(ruleset: Ruleset, tables: Collection[str]) -> Ruleset:
    """Return a ruleset with some of its tables."""
    if len(tables) == len(ruleset.tables):
        return ruleset
    return replace(ruleset, tables={name: ruleset.tables[name] for name in tables})


def plainest_first(differences: Iterable[Difference]) -> list[Difference]:
    """Sort differences, those under few conditions first; only new connections' where there are."""
    everything = list(differences)
    new = [one for one in everything if "NEW" in one.traffic.states]
    return sorted(new or everything, key=lambda one: len(one.witness().answers))


class Attribution:
    """The differences of a comparison, by service port and, for all others, by chain."""

    def __init__(self, old: NodeRules, new: NodeRules, comparison: Comparison) -> None:
        self.old = old
        self.new = new
        self.by_port: dict[Key, list[Difference]] = {}
        self.by_chain: dict[Place, list[Difference]] = {}
        self._known: dict[str, set[Key]] = {}
        self._differing: dict[Key, bool] = {}
        for difference in comparison.differences:
            if not difference.undecided:
                self._attribute(difference)
        for _, name in comparison.unseen:
            # what was not followed to the end is named, too
            for key in self._owners(name):
                self.by_port.setdefault(key, [])

    def _owners(self, name: str) -> set[Key]:
        """Return the service ports that a chain belongs to, on either side."""
        if not is_service_chain(name):
            return set()
        if name not in self._known:
            owners = (side.chain_owner(name) for side in (self.old, self.new))
            self._known[name] = {key for key in owners if key is not None}
        return self._known[name]

    def _attribute(self, difference: Difference) -> None:
        """Find whom a difference belongs to: service ports, or chains of the whole node."""
        keys: set[Key] = set()
        others: list[Place] = []
        for table, name in difference.chains:
            owners = self._owners(name)
            if not owners and name in _PORTALS:
                owners = set(filter(self._differs, self._addressed(difference.traffic)))
            keys |= owners
            if not owners:
                others.append((table, name))
        for key in keys:
            self.by_port.setdefault(key, []).append(difference)
        for place in others:
            self.by_chain.setdefault(place, []).append(difference)

    def _differs(self, key: Key) -> bool:
        """Say whether a service port's own rules differ, or their place among others."""
        if key not in self._differing:
            sides = (self.old, self.new)
            rules = [
                Counter((one.table, one.rule.chain, one.rule.effect) for one in side.rules(key))
                if key in side
                else Counter()
                for side in sides
            ]
            entries = [side.entry_points(key) for side in sides]
            self._differing[key] = rules[0] != rules[1] or entries[0] != entries[1]
        return self._differing[key]

    def _addressed(self, traffic: Traffic) -> set[Key]:
        """Return the service ports that packets are addressed to."""
        port = single(traffic.destination_ports)
        if port is None or traffic.protocols.bit_count() != 1:
            return set()
        protocol = _PROTOCOLS.get(traffic.protocols.bit_length() - 1, "")
        address = single(traffic.destination)
        names = [str(port)]
        if address is not None:
            host = print_address(address, traffic.family)
            names.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        found = [self._entries.get((name, protocol), set()) for name in reversed(names)]
        return next((keys for keys in found if keys), set())

    @cached_property
    def _entries(self) -> Mapping[tuple[str, str], set[Key]]:
        """The service ports by address and protocol of their entry points."""
        entries: dict[tuple[str, str], set[Key]] = {}
        for side in (self.old, self.new):
            for key in side.keys:
                for entry in side.entry_points(key):
                    # a health check is TCP, whatever the service port's protocol is
                    protocol = "tcp" if entry.kind == "health-check node port" else key.protocol
                    entries.setdefault((entry.address, protocol), set()).add(key)
        return entries
