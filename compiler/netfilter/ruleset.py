"""What a parsed text of rules is: chains in tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from compiler.family import Family
from compiler.netfilter.backend import Backend
from compiler.netfilter.chain import Chain
from compiler.netfilter.rule import Rule
from compiler.netfilter.table import Table

BUILTIN_CHAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
        "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
        "raw": ("PREROUTING", "OUTPUT"),
        "security": ("INPUT", "FORWARD", "OUTPUT"),
    }
)


class Unknown(msgspec.Struct, frozen=True):
    """Words that the parser has no table for: kept as they are and compared as text.

    `words` is the match, target or option (`-m u32`, `-j TEE`, `-m tcp --new-option`); `count` how
    often it occurs in the text, first at `line`.
    """

    words: str
    count: int
    line: int

    @property
    def times(self) -> str:
        """How often it occurs, in words."""
        return "once" if self.count == 1 else f"{self.count} times"


class Ruleset(msgspec.Struct, frozen=True, eq=False):
    """All tables of one family, as one text shows them.

    `family` is what addresses and defaults were read as. `backend` is None where the text does
    not say who holds the rules; `version` is the iptables that printed it (`1.8.9`), empty where
    the text does not say. `whole` is true for what `iptables-save` prints and for restore text,
    where a table that is not there is not there; `iptables -S` prints one table of several.
    `other_backend` is true where iptables warned of tables of the other backend; `nft_tables` are
    tables that the text has in nft's own words (`ip nat`), which are not read. Rulesets are
    equal where their tables are.
    """

    family: Family
    tables: Mapping[str, Table]
    backend: Backend | None = None
    whole: bool = True
    other_backend: bool = False
    unknown: tuple[Unknown, ...] = ()
    lines: int = 0
    version: str = ""
    nft_tables: tuple[str, ...] = ()

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

    @property
    def acts(self) -> bool:
        """Whether any chain has a rule or drops by its policy: empty tables do nothing."""
        return any(
            len(chain) or chain.policy == "DROP"
            for table in self.tables.values()
            for chain in table.values()
        )
