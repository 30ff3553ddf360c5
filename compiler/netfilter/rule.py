"""What a parsed ruleset is made of: rules in chains in tables, all frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from compiler.family import Family
from compiler.netfilter.backend import Backend

Counters = tuple[int, int]

BUILTIN_CHAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
        "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
        "raw": ("PREROUTING", "OUTPUT"),
        "security": ("INPUT", "FORWARD", "OUTPUT"),
    }
)


# gc=False: a dump has a million of these and none can be part of a cycle.
class Rule(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One rule of a chain.

    `text` is the rule in canonical form, without `-A CHAIN`; it is empty for a rule that matches
    everything and does nothing. `target` is what it jumps or goes to (a chain or an extension),
    empty where it has none. `line` counts from 1 in the text that it was read from. `counters` are
    packets and bytes where the text told them. Two rules are equal where chain, text and counters
    are; where they stood in a file is no part of it.
    """

    chain: str
    text: str
    target: str
    line: int
    counters: Counters | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        mine = (self.chain, self.text, self.counters)
        return mine == (other.chain, other.text, other.counters)

    def __ne__(self, other: object) -> bool:
        # msgspec's own would compare every field
        return not self == other

    def __hash__(self) -> int:
        return hash((self.chain, self.text))

    def __str__(self) -> str:
        """Write the rule as `iptables -S` prints it."""
        return f"-A {self.chain} {self.text}" if self.text else f"-A {self.chain}"


class Chain(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A chain with its rules in order.

    `policy` is None for a chain that is not built in (or whose policy the text did not tell);
    `counters` are the policy's. `line` is where the chain was declared, 0 where it was not.
    """

    name: str
    rules: tuple[Rule, ...]
    policy: str | None = None
    counters: Counters | None = None
    line: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chain):
            return NotImplemented
        mine = (self.name, self.policy, self.counters or (0, 0), self.rules)
        return mine == (other.name, other.policy, other.counters or (0, 0), other.rules)

    def __ne__(self, other: object) -> bool:
        # msgspec's own would compare every field
        return not self == other

    def __hash__(self) -> int:
        return hash((self.name, self.policy, len(self.rules)))

    def texts(self) -> list[str]:
        """Return the canonical text of each rule, in order."""
        return [rule.text for rule in self.rules]


Table = Mapping[str, Chain]


class Unknown(msgspec.Struct, frozen=True):
    """Words that the parser has no table for: kept as they are and compared as text.

    `words` is the match, target or option (`-m u32`, `-j TEE`, `-m tcp --new-option`); `count` how
    often it stands in the text, first at `line`.
    """

    words: str
    count: int
    line: int

    @property
    def times(self) -> str:
        """How often it stands there, in words."""
        return "once" if self.count == 1 else f"{self.count} times"


class Ruleset(msgspec.Struct, frozen=True, eq=False):
    """All tables of one family, as one text told them.

    `family` is what addresses and defaults were read as. `backend` is None where the text does
    not say who holds the rules. `whole` is true for what `iptables-save` prints and for restore
    text, where a table that is not there is not there; `iptables -S` prints one table of several.
    `other_backend` is true where iptables warned of tables of the other backend. Rulesets are
    equal where their tables are.
    """

    family: Family
    tables: Mapping[str, Table]
    backend: Backend | None = None
    whole: bool = True
    other_backend: bool = False
    unknown: tuple[Unknown, ...] = ()
    lines: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ruleset):
            return NotImplemented
        return self.family == other.family and dict(self.tables) == dict(other.tables)

    def __ne__(self, other: object) -> bool:
        # msgspec's own would compare every field
        return not self == other

    def __hash__(self) -> int:
        return hash((self.family, tuple(sorted(self.tables))))

    def table(self, name: str) -> Table:
        """Return a table's chains by name; empty where the table is not there."""
        return self.tables.get(name, {})

    def chain(self, table: str, name: str) -> Chain | None:
        """Return a chain, or None where it is not there."""
        return self.table(table).get(name)

    def rules(self, table: str, chain: str) -> tuple[Rule, ...]:
        """Return the rules of a chain, in order; none where it is not there."""
        found = self.table(table).get(chain)
        return found.rules if found else ()

    def all_rules(self) -> Iterator[tuple[str, Rule]]:
        """Give every rule with the name of its table."""
        for name, table in self.tables.items():
            for chain in table.values():
                for rule in chain.rules:
                    yield name, rule
