"""`-m comment` and `-m nfacct`: they hold for every packet and do nothing to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Words, options
from compiler.netfilter.match import Match
from compiler.netfilter.words import split_line

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Comment(Match, frozen=True):
    """A comment, unquoted."""

    text: str

    inert: ClassVar[bool] = True

    def holds(self, packet: Passage) -> bool:  # noqa: ARG002
        """Hold for every packet."""
        return True

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the option."""
        text = split_line(words[0].partition(" ")[2])[0] if words else []
        return cls(name, words, text[0] if text else "")


class Accounting(Match, frozen=True):
    """A named counter of packets and bytes (nfacct), without a quota."""

    counter: str

    inert: ClassVar[bool] = True

    def holds(self, packet: Passage) -> bool:  # noqa: ARG002
        """Hold for every packet; a counter with a quota would not, which iptables does not show."""
        return True

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the option."""
        return cls(name, words, words[0].partition(" ")[2] if words else "")


COMMENT = Extension(options(("--comment", 1, values.text)), Comment.build)
NFACCT = Extension(options(("--nfacct-name", 1, values.verbatim)), Accounting.build, pure=False)
