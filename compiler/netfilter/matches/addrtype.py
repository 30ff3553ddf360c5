"""`-m addrtype`: what the routing table says of an address, above all whether it is the node's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Given, Words, given, options
from compiler.netfilter.match import Match

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage

_TYPES = values.upper_list(
    "UNSPEC UNICAST LOCAL BROADCAST ANYCAST MULTICAST BLACKHOLE UNREACHABLE PROHIBIT THROW NAT"
    " XRESOLVE"
)


class AddressType(Match, frozen=True):
    """Types that source and destination may have; `source` or `destination` is None where any."""

    source: Given | None
    destination: Given | None
    limited: bool

    def holds(self, packet: Passage) -> bool:
        """As `addrtype_mt_v1` of net/netfilter/xt_addrtype.c.

        Only whether an address is the node's own is known here; where another type decides, the
        match is undecided.
        """
        for side, wanted in (("source", self.source), ("destination", self.destination)):
            if wanted is None:
                continue
            if wanted.value != "LOCAL" or self.limited:
                return packet.assumed(str(self))
            if packet.is_local(side) is wanted.negated:
                return False
        return True

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the options."""
        found = given(words)
        limited = any(word.startswith("--limit-iface") for word in words)
        return cls(name, words, found.get("--src-type"), found.get("--dst-type"), limited)


ADDRTYPE = Extension(
    options(
        ("--src-type", 1, _TYPES),
        ("--dst-type", 1, _TYPES),
        ("--limit-iface-in", 0, values.verbatim),
        ("--limit-iface-out", 0, values.verbatim),
    ),
    AddressType.build,
)
