"""What a match or target is made of: its options, how they are printed, and the value they make.

Each match and target is one file of `matches/` or `targets/`: the table of its options (reading,
canonical form and order of print) stands beside the class of its values, which says what the kernel
does with a packet. Options stand in the order in which iptables-save prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from compiler.family import Family
from compiler.netfilter.values import Fix

# An option that a rule has: rank, printed words (with `! ` in front where it is negated).
Held = list[tuple[int, str]]

# Options as printed: `--dport 80`, `! --ctstate NEW`.
Words = tuple[str, ...]

V = TypeVar("V")


class Option(NamedTuple):
    """An option of a match or target.

    `name` is the one that is printed (`--dport` for `--destination-port`); `rank` its place in
    print; `words` how many words follow it; `fix` brings one of them into printed form; an option
    whose value is `default` is not printed.
    """

    name: str
    rank: int
    words: int
    fix: Fix
    default: str | None = None


class Extension(NamedTuple):
    """A match or target.

    `options` are found by every name that iptables takes for them. `build` makes the value of one
    rule from the options as printed. A match is `pure` where asking it changes nothing, so that its
    place among other pure ones doesn't matter. `finish` completes the options of one rule (defaults
    that iptables-save prints). With `verbatim` no options are known: all words are kept as text.
    """

    options: Mapping[str, Option]
    build: Callable[[str, Words, Family], object]
    pure: bool = True
    finish: Callable[[Held, Family], None] | None = None
    verbatim: bool = False


def options(*rows: tuple[str, int, Fix] | tuple[str, int, Fix, str | None]) -> Mapping[str, Option]:
    """Make an option table; a row's first word lists the names, the printed one first."""
    table: dict[str, Option] = {}
    for rank, row in enumerate(rows):
        names = row[0].split()
        default = row[3] if len(row) > 3 else None
        for name in names:
            table[name] = Option(names[0], rank, row[1], row[2], default)
    return MappingProxyType(table)


class Given(NamedTuple):
    """The value of an option in one rule, and whether `!` stands before it."""

    value: str
    negated: bool


def given(words: Words) -> dict[str, Given]:
    """Map the options of one rule, as printed, by name."""
    found: dict[str, Given] = {}
    for word in words:
        bare = word.removeprefix("! ")
        name, _, value = bare.partition(" ")
        found[name] = Given(value, bare is not word)
    return found
