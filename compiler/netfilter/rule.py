"""One rule as values."""

from __future__ import annotations

from functools import cached_property

from compiler.family import Family
from compiler.netfilter.header import Header
from compiler.netfilter.match import Match
from compiler.netfilter.matches.inert import Comment
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.rule_reader import Counters, RuleReader
from compiler.netfilter.target import Jump, Target
from compiler.netfilter.targets.other import GoesOn
from compiler.netfilter.words import split_line

Values = tuple[Header, tuple[Match, ...], Target | None]
"""What a rule's text stands for."""


def remembers(match: Match) -> bool:
    """Say whether asking a match changes something, or is left to chance."""
    return match.name in ("recent", "statistic", "limit", "set") or type(match) is Match


class Rule:
    """One rule of a chain.

    `text` is the rule in canonical form (as `iptables -S` prints it), without `-A CHAIN`; it is
    empty for a rule that matches everything and does nothing. `line` counts from 1 in the text that
    it was read from, 0 where there is none. `counters` are packets and bytes where the text has
    them. Two rules are equal where chain, text and counters are. What the text stands for
    (`header`, `matches`, `target`) is read when it is first asked for; `known` keeps it by text,
    for rules that share it.
    """

    __slots__ = ("__dict__", "chain", "counters", "family", "known", "line", "text")

    def __init__(
        self,
        chain: str,
        text: str,
        family: Family,
        line: int = 0,
        counters: Counters | None = None,
        known: dict[str, Values] | None = None,
    ) -> None:
        self.chain = chain
        self.text = text
        self.family = family
        self.line = line
        self.counters = counters
        self.known = known

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        mine = (self.chain, self.text, self.counters)
        return mine == (other.chain, other.text, other.counters)

    def __hash__(self) -> int:
        return hash((self.chain, self.text))

    def __repr__(self) -> str:
        return f"Rule({str(self)!r}, line={self.line})"

    def __str__(self) -> str:
        """Write the rule as `iptables -S` prints it."""
        return f"-A {self.chain} {self.text}" if self.text else f"-A {self.chain}"

    @cached_property
    def _read(self) -> Values:
        if self.known is None:
            return self._values()
        # rules of equal chains, in several rulesets, are read once
        if (found := self.known.get(self.text)) is None:
            found = self.known[self.text] = self._values()
        return found

    def _values(self) -> Values:
        words, quoted = split_line(self.text)
        reader = RuleReader(words, quoted, self.family)
        reader.read(0)
        return reader.values()

    @property
    def header(self) -> Header:
        """What it asks of addresses, interfaces and protocol."""
        return self._read[0]

    @property
    def matches(self) -> tuple[Match, ...]:
        """Its matches in canonical order, comments first."""
        return self._read[1]

    @property
    def target(self) -> Target | None:
        """What it does, None for a rule that only counts."""
        return self._read[2]

    @property
    def jumps_to(self) -> str:
        """The chain that it jumps or goes to, empty where it does not."""
        target = self.target
        return target.name if isinstance(target, Jump) else ""

    @property
    def comment(self) -> str:
        """The first comment, empty without one."""
        for match in self.matches:
            if isinstance(match, Comment):
                return match.text
        return ""

    @cached_property
    def asking(self) -> tuple[Match, ...]:
        """Its matches without those that hold for every packet (comments, counters)."""
        return tuple(match for match in self.matches if not match.inert)

    @cached_property
    def remembering(self) -> bool:
        """Whether asking it changes something, or is left to chance."""
        return any(remembers(match) for match in self.asking)

    @cached_property
    def idle(self) -> bool:
        """Whether it does nothing that any rule, sender or receiver could notice (LOG, a counter).

        A rule without a target may still put addresses on `xt_recent` lists.
        """
        passive = self.target is None or isinstance(self.target, GoesOn)
        return passive and not any(isinstance(match, Recent) for match in self.matches)

    @cached_property
    def effect(self) -> str:
        """The rule without what no packet notices: no comment, no counter."""
        if "-m comment" not in self.text and "-m nfacct" not in self.text:
            return self.text
        words = [*self.header.words(), *map(str, self.asking)]
        return " ".join([*words, str(self.target)] if self.target else words)
