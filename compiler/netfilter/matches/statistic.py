"""`-m statistic`: chance, which is how new connections are shared out."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Words, given, options
from compiler.netfilter.match import Match

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Statistic(Match, frozen=True):
    """A random choice: `threshold` is the kernel's, of 2**31 (`0x2aaaaaab` for a third)."""

    threshold: int
    negated: bool

    @property
    def probability(self) -> Fraction:
        """How often it holds, exactly: the kernel compares 31 random bits with the threshold.

        Source: `statistic_mt` of net/netfilter/xt_statistic.c.
        """
        share = Fraction(min(self.threshold, 1 << 31), 1 << 31)
        return 1 - share if self.negated else share

    def holds(self, packet: Passage) -> bool:
        """Choose; the other choice is followed as well (`Passage.chance`)."""
        return packet.chance(self.probability)

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the options; `--mode nth` counts packets and is kept as text."""
        found = given(words)
        share = found.get("--probability")
        if share is None or "--mode random" not in words or len(words) != 2:
            return Match(name, words)
        return cls(name, words, threshold(share.value), share.negated)


def threshold(printed: str) -> int:
    """Return the kernel's 31-bit integer for a probability, printed or as written.

    iptables reads it as a double and rounds halves away from zero (lround).
    """
    return int(float(printed) * 0x80000000 + 0.5)


STATISTIC = Extension(
    options(
        ("--mode", 1, values.verbatim),
        ("--probability", 1, values.probability),
        ("--every", 1, values.decimal),
        ("--packet", 1, values.decimal),
    ),
    Statistic.build,
    pure=False,
)
