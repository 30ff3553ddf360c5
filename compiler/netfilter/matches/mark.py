"""`-m mark`: the packet's mark. `-m connmark`: the connection's, which is compared as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Words, given, options
from compiler.netfilter.match import Match

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Mark(Match, frozen=True):
    """The mark's bits in `mask` are `value`."""

    value: int
    mask: int
    negated: bool

    def holds(self, packet: Passage) -> bool:
        """As `mark_mt` of net/netfilter/xt_mark.c."""
        return packet.mark_is(self.value, self.mask) is not self.negated

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the option; without it the match is kept as text."""
        found = given(words).get("--mark")
        if found is None:
            return Match(name, words)
        value, mask = values.mark_and_mask(found.value)
        return cls(name, words, value, mask, found.negated)


MARK = Extension(options(("--mark", 1, values.mark)), Mark.build)
CONNMARK = Extension(options(("--mark", 1, values.mark)), Match.build)
