"""From a chain back to the hooks: which packets, as they come in, may reach it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from compiler.netfilter.chain import Chain
from compiler.netfilter.chain_diff import asked_by
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.targets.nat import Dnat
from compiler.netfilter.traffic import (
    ALL_PORTS,
    Hook,
    Traffic,
    everything,
    print_address,
    single,
    within,
)

# Ways that are followed back for one set of packets.
MAX_WAYS = 4_000

_BEFORE_NAT = frozenset(
    (
        ("raw", "PREROUTING"),
        ("mangle", "PREROUTING"),
        ("nat", "PREROUTING"),
        ("raw", "OUTPUT"),
        ("mangle", "OUTPUT"),
        ("nat", "OUTPUT"),
    )
)


class _TooManyError(Exception):
    """There are more ways than are followed."""


class Ways:
    """Finds the ways in two rulesets at once."""

    def __init__(self, *rulesets: Ruleset) -> None:
        self.rulesets = rulesets
        self._callers: dict[str, dict[str, list[tuple[Chain, int]]]] = {}
        self._left = 0

    def to(self, table: str, name: str, cell: Traffic) -> Iterator[Traffic | None]:
        """Give the packets, as they come in, that may be in `cell` when they reach a chain.

        Rather too many than too few. None last where there are more ways than are followed.
        """
        self._left = MAX_WAYS
        try:
            yield from self._to(table, name, cell)
        except _TooManyError:
            yield None

    def _to(self, table: str, name: str, cell: Traffic) -> Iterator[Traffic]:
        for hook, reached in self._back(table, name, cell, frozenset()):
            self._left -= 1
            if self._left < 0:
                raise _TooManyError
            yield from self._incoming(table, hook, reached)

    def _back(
        self, table: str, name: str, cell: Traffic, passed: frozenset[str]
    ) -> Iterator[tuple[str, Traffic]]:
        """Give built-in chains that lead to a chain, with the packets for which they do."""
        if name in BUILTIN_CHAINS.get(table, ()):
            yield name, cell
            return
        for chain, place in self._calling(table).get(name, ()):
            rule = chain.rules[place]
            if rule.jumps_to != name or rule.chain in passed:
                continue
            if (narrowed := asked_by(rule, cell)) is None:
                continue
            yield from self._back(table, rule.chain, narrowed, passed | {name})

    def _incoming(self, table: str, hook: str, cell: Traffic) -> Iterator[Traffic]:
        """Undo what nat may have done since packets came in."""
        entries = _entries(table, hook)
        for entry in entries:
            yield _entering(cell, entry)
        if (table, hook) in _BEFORE_NAT or hook == "PREROUTING":
            return
        for rule in self._translations(cell):
            for start, reached in self._back(
                "nat", rule.chain, self._before(rule, cell), frozenset()
            ):
                self._left -= 1
                if self._left < 0:
                    raise _TooManyError
                if start in entries:
                    yield _entering(reached, "OUTPUT" if start == "OUTPUT" else "PREROUTING")

    def _before(self, rule: Rule, cell: Traffic) -> Traffic:
        """Return packets as they were before a rule translated them."""
        whole = everything(cell.family, "PREROUTING")
        wide = msgspec.structs.replace(
            cell, destination=whole.destination, destination_ports=ALL_PORTS
        )
        return asked_by(rule, wide) or wide

    def _translations(self, cell: Traffic) -> Iterator[Rule]:
        """Give the rules of nat that may make packets into those of a cell."""
        address = single(cell.destination)
        wanted = "" if address is None else print_address(address, cell.family)
        for chain in self._chains("nat"):
            for place, line in enumerate(chain.content.lines()):
                # a range of addresses has a minus between them
                if " DNAT " in line and (wanted in line or "-" in line.rpartition(" ")[2]):
                    target = chain.rules[place].target
                    if isinstance(target, Dnat) and _may_become(target, cell):
                        yield chain.rules[place]

    def _chains(self, table: str) -> Iterator[Chain]:
        """Give the chains of a table in all rulesets, those with the same rules once."""
        seen: set[tuple[str, int]] = set()
        for ruleset in self.rulesets:
            for name, chain in ruleset.table(table).items():
                if (key := (name, id(chain.content))) not in seen:
                    seen.add(key)
                    yield chain

    def _calling(self, table: str) -> dict[str, list[tuple[Chain, int]]]:
        """Return the rules that jump to a chain, by its name, each as its chain and place."""
        if table not in self._callers:
            callers: dict[str, list[tuple[Chain, int]]] = defaultdict(list)
            names = {name for ruleset in self.rulesets for name in ruleset.table(table)}
            for chain in self._chains(table):
                for place, line in enumerate(chain.content.lines()):
                    # a jump's last word is its target, however the rest is written
                    if (target := line.rpartition(" ")[2]) in names:
                        callers[target].append((chain, place))
            self._callers[table] = callers
        return self._callers[table]


def _may_become(target: Dnat, cell: Traffic) -> bool:
    addresses = target.addresses is None or within(cell.destination, *target.addresses) is not False
    ports = target.ports is None or within(cell.destination_ports, *target.ports) is not False
    return (addresses and ports) or not target.plain


def _entries(table: str, hook: str) -> tuple[Hook, ...]:
    """Return where packets come in that reach a hook; by the loopback interface they come twice."""
    if hook == "FORWARD" or (table, hook) in (("nat", "PREROUTING"), ("nat", "INPUT")):
        return ("PREROUTING",)
    if hook == "OUTPUT":
        return ("OUTPUT",)
    return ("PREROUTING", "OUTPUT")


def _entering(cell: Traffic, hook: Hook) -> Traffic:
    return msgspec.structs.replace(cell, hook=hook, source_local=hook == "OUTPUT")
