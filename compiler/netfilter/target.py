"""What every target has in common, and the targets that are part of netfilter itself."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from compiler.family import Family
from compiler.netfilter.extension import Words

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Next(Enum):
    """Where a packet goes after a target that is no jump."""

    CONTINUE = "the next rule"
    RETURN = "back to the rule after the jump"
    ACCEPT = "the next table"
    DROP = "nowhere"


class Target(msgspec.Struct, frozen=True):
    """What a rule does to its packets: an extension's name and its options as printed.

    Subclasses add the values that the options stand for.
    """

    name: str
    words: Words

    def __str__(self) -> str:
        return " ".join(("-j " + self.name, *self.words))

    def apply(self, packet: Passage) -> Next:
        """Do to the packet what the kernel would; here: a target that no table knows.

        Raises what `Passage.undecided` raises.
        """
        return packet.undecided(str(self))

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Target:  # noqa: ARG003
        """Make the target of one rule from its options as printed."""
        return cls(name, words)


class Jump(Target, frozen=True):
    """On to another chain; with `goto` the packet does not come back to this one."""

    goto: bool = False

    def __str__(self) -> str:
        return f"{'-g' if self.goto else '-j'} {self.name}"


class Verdict(Target, frozen=True):
    """ACCEPT, DROP or RETURN."""

    def apply(self, packet: Passage) -> Next:
        """Do what the name says."""
        if self.name == "DROP":
            packet.end("dropped")
        return Next[self.name]


class Reject(Target, frozen=True):
    """The packet is dropped and its sender told, by `answer` (`icmp-port-unreachable`)."""

    answer: str = ""

    def apply(self, packet: Passage) -> Next:
        """End the packet's way."""
        packet.end("rejected", self.answer)
        return Next.DROP

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Target:  # noqa: ARG003
        """Read the option."""
        return cls(name, words, words[0].partition(" ")[2] if words else "")
