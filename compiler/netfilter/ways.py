"""From a chain back to the hooks: which packets, as they come in, may reach it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from compiler.family import IPV4
from compiler.netfilter.chain import Chain
from compiler.netfilter.chain_diff import asked_by
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.table import mentioning
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


# Rules that translate the destination, and those that do so otherwise than to one address and port.
_TRANSLATING = re.compile(r"DNAT|REDIRECT")
_OTHER_TRANSLATING = re.compile(r"REDIRECT|DNAT(?! --to-destination [0-9.]+:\d+(?:\n|\Z))")


class _TooManyError(Exception):
    """There are more ways than are followed."""


class Ways:
    """Finds the ways in two rulesets at once."""

    def __init__(self, *rulesets: Ruleset) -> None:
        self.rulesets = rulesets
        self._found: dict[tuple[str, str | re.Pattern[str]], tuple[Chain, ...]] = {}
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
        for rule in self._calling(table, name):
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
        if address is None:
            words: tuple[str | re.Pattern[str], ...] = (_TRANSLATING,)
        elif cell.family == IPV4:
            words = print_address(address, cell.family), _OTHER_TRANSLATING
        else:
            # an address of IPv6 can be written in many ways
            words = (_TRANSLATING,)
        for word in words:
            for chain in self._mentioning("nat", word):
                for place, text in enumerate(chain.texts()):
                    if _TRANSLATING.search(text):
                        target = chain.rules[place].target
                        if isinstance(target, Dnat) and _may_become(target, cell):
                            yield chain.rules[place]

    def _mentioning(self, table: str, word: str | re.Pattern[str]) -> tuple[Chain, ...]:
        """Return chains of all rulesets that have a word, those with the same rules once."""
        key = table, word
        if key not in self._found:
            chains = {
                (chain.name, id(chain.content)): chain
                for ruleset in self.rulesets
                for chain in mentioning(ruleset.table(table), word)
            }
            self._found[key] = tuple(chains.values())
        return self._found[key]

    def _calling(self, table: str, name: str) -> Iterator[Rule]:
        """Give the rules that jump to a chain."""
        for chain in self._mentioning(table, name):
            for place, target in enumerate(chain.targets()):
                if target == name:
                    yield chain.rules[place]


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
