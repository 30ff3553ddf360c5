"""`-m conntrack` and `-m state`: what connection tracking knows of a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Words, given, options
from compiler.netfilter.match import Match

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage

_STATES = "INVALID NEW RELATED ESTABLISHED UNTRACKED"


class Conntrack(Match, frozen=True):
    """States that a packet may be in, `states`; `other` are options that are compared as text.

    SNAT and DNAT are states too: of a connection whose address was translated.
    """

    states: frozenset[str]
    negated: bool
    other: Words

    def holds(self, packet: Passage) -> bool:
        """As `conntrack_mt` of net/netfilter/xt_conntrack.c."""
        if self.states and packet.state_in(self.states) is self.negated:
            return False
        return all(packet.assumed(f"-m {self.name} {word}") for word in self.other)

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the options."""
        found = given(words)
        states = found.get("--ctstate") or found.get("--state")
        return cls(
            name,
            words,
            frozenset(states.value.split(",")) if states else frozenset(),
            bool(states and states.negated),
            tuple(word for word in words if "--ctstate " not in word and "--state " not in word),
        )


CONNTRACK = Extension(
    options(
        ("--ctstate", 1, values.upper_list(_STATES + " SNAT DNAT")),
        ("--ctproto", 1, values.protocol),
        ("--ctorigsrc", 1, values.verbatim),
        ("--ctorigdst", 1, values.verbatim),
        ("--ctreplsrc", 1, values.verbatim),
        ("--ctrepldst", 1, values.verbatim),
        ("--ctorigsrcport", 1, values.port),
        ("--ctorigdstport", 1, values.port),
        ("--ctreplsrcport", 1, values.port),
        ("--ctrepldstport", 1, values.port),
        ("--ctstatus", 1, values.upper_list("NONE EXPECTED SEEN_REPLY ASSURED CONFIRMED")),
        ("--ctexpire", 1, values.verbatim),
        ("--ctdir", 1, values.upper_list("ORIGINAL REPLY")),
    ),
    Conntrack.build,
)
STATE = Extension(options(("--state", 1, values.upper_list(_STATES))), Conntrack.build)
