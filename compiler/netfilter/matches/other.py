"""Matches whose options are known and whose answer is not: it depends on what no rule shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import IPV4, Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Held, Words, given, options
from compiler.netfilter.match import Match

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Icmp(Match, frozen=True):
    """An ICMP type, as printed (`8`, `3/1`, `any`)."""

    type_: str
    negated: bool

    def holds(self, packet: Passage) -> bool:
        """As `icmp_match` of net/ipv4/netfilter/ip_tables.c."""
        if self.type_ in ("any", "255"):
            return not self.negated
        return packet.icmp_type_is(self.type_) is not self.negated

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the option; without it any type matches."""
        found = given(words)
        asked = found.get("--icmp-type") or found.get("--icmpv6-type")
        return cls(name, words, asked.value if asked else "any", bool(asked and asked.negated))


def _finish_icmp(held: Held, family: Family) -> None:
    """`-m icmp` alone takes any type."""
    if not held and family == IPV4:
        held.append((0, "--icmp-type any"))


ICMP = Extension(options(("--icmp-type", 1, values.icmp_type)), Icmp.build, finish=_finish_icmp)
ICMP6 = Extension(options(("--icmpv6-type", 1, values.icmp_type)), Icmp.build)
SET = Extension(options(("--match-set", 2, values.verbatim)), Match.build, pure=False)
LIMIT = Extension(
    options(("--limit", 1, values.rate, "3/hour"), ("--limit-burst", 1, values.decimal, "5")),
    Match.build,
    pure=False,
)
PHYSDEV = Extension(
    options(
        ("--physdev-is-in", 0, values.verbatim),
        ("--physdev-in", 1, values.verbatim),
        ("--physdev-is-out", 0, values.verbatim),
        ("--physdev-out", 1, values.verbatim),
        ("--physdev-is-bridged", 0, values.verbatim),
    ),
    Match.build,
)
UNKNOWN = Extension({}, Match.build, pure=False, verbatim=True)
