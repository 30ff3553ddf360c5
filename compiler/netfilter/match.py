"""What every match has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from compiler.family import Family
from compiler.netfilter.extension import Words

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Match(msgspec.Struct, frozen=True):
    """A match of a rule: its extension's name and its options as iptables-save prints them.

    Subclasses add the values that the options stand for. Two matches are equal where their print
    is. `inert` matches (comments, counters) hold for every packet and change nothing.
    """

    name: str
    words: Words

    inert: ClassVar[bool] = False

    def __str__(self) -> str:
        return " ".join(("-m " + self.name, *self.words))

    def holds(self, packet: Passage) -> bool:
        """Say whether the packet matches; what only it may ask of the packet it asks `packet`.

        Here: a match that no table knows. Raises what `Passage.assumed` raises.
        """
        return packet.assumed(str(self))

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Make the match of one rule from its options as printed."""
        return cls(name, words)
