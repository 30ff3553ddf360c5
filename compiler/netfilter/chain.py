"""A chain with its rules, read no further than somebody asks."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence

from compiler.family import IPV4, Family
from compiler.netfilter.content import Content, Index, Lines
from compiler.netfilter.rule import Rule
from compiler.netfilter.rule_reader import Counters

_NO_COUNTERS: Mapping[int, Counters] = {}
# In canonical text `-d` comes second, and quotes (comments, where anything may stand) after it.
_ONE_ADDRESS = re.compile(r"(?:(?:! )?-s \S+ )?-d ([0-9a-f.:]+)/(?:32|128)(?= |\Z)")
_ONE_PORT = re.compile(r"(?<!! )--dport (\d+)(?= -[a-z] |\Z)(?!.*\")")
# Shorter chains are asked rule by rule.
_INDEXED = 50


Origin = tuple[Lines, int]


class Chain:
    """A chain with its rules in order.

    `policy` is None for a chain that is not built in (or whose policy the text does not show);
    `counters` are the policy's. `line` is where the chain was declared, 0 where it was not.
    `numbers` are the lines of its rules; rules in a row may have an `origin` instead, the lines of
    their text and where they begin. `rules` are the rules where they were read. Chains are equal
    where name, policy, counters and rules are.
    """

    __slots__ = (
        "_numbers",
        "_origin",
        "_rules",
        "content",
        "counters",
        "line",
        "name",
        "policy",
        "rule_counters",
    )

    def __init__(
        self,
        name: str,
        content: Content,
        *,
        policy: str | None = None,
        counters: Counters | None = None,
        line: int = 0,
        numbers: Sequence[int] = (),
        origin: Origin | None = None,
        rule_counters: Mapping[int, Counters] | None = None,
        rules: tuple[Rule, ...] | None = None,
    ) -> None:
        self.name = name
        self.content = content
        self.policy = policy
        self.counters = counters
        self.line = line
        self._numbers = numbers
        self._origin = origin
        self.rule_counters = rule_counters or _NO_COUNTERS
        self._rules = rules

    def with_policy(self, policy: str | None) -> Chain:
        """Return the same chain with a policy."""
        return Chain(
            self.name,
            self.content,
            policy=policy,
            counters=self.counters,
            line=self.line,
            numbers=self._numbers,
            origin=self._origin,
            rule_counters=self.rule_counters,
        )

    @property
    def numbers(self) -> Sequence[int]:
        """The line of each rule."""
        if not self._numbers and self._origin is not None:
            lines, begin = self._origin
            first = lines.at(begin)
            self._numbers = range(first, first + len(self))
        return self._numbers

    @property
    def family(self) -> Family:
        """The family that its rules are read for."""
        return self.content.shapes.family

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in order."""
        if self._rules is None:
            rows = zip(self.content.texts(), self.numbers, strict=True)
            self._rules = tuple(
                Rule(
                    self.name,
                    text,
                    self.family,
                    number,
                    self.rule_counters.get(place),
                    self.content.known,
                )
                for place, (text, number) in enumerate(rows)
            )
        return self._rules

    def texts(self) -> Sequence[str]:
        """Return the canonical text of each rule, in order."""
        return self.content.texts()

    def targets(self) -> list[str]:
        """Return what each rule jumps to or does, by name, without reading the rules; or empty.

        The target comes last in canonical form and a jump has no options, so that what follows the
        last `-j` or `-g` is a chain wherever it is one word.
        """
        ends = [text.rsplit(" ", 2) for text in self.texts()]
        return [end[-1] if end[-2:-1] in (["-j"], ["-g"]) else "" for end in ends]

    def effects(self) -> list[str]:
        """Return what each rule does to packets, in order: no comments, no counters."""
        return [rule.effect for rule in self.rules]

    def asking(self, destination: int | None, port: int | None) -> Sequence[Rule]:
        """Return the rules that a packet may match, in order; all where it is not known.

        Long chains have a rule per address or port: those of other addresses and ports
        need not be asked.
        """
        if len(self) < _INDEXED or destination is None:
            return self.rules
        if (index := self.content.index) is None:
            index = self.content.index = self._indexed()
        by_address, by_port, others = index
        places = [*by_address.get(destination, ()), *others]
        if port is None:
            places += [place for some in by_port.values() for place in some]
        else:
            places += by_port.get(port, ())
        return [self.rules[place] for place in sorted(places)]

    def _indexed(self) -> Index:
        """Rules by their one destination address, or else by their one port, and all others."""
        by_address: dict[int, list[int]] = {}
        by_port: dict[int, list[int]] = {}
        others: list[int] = []
        kind = socket.AF_INET if self.family == IPV4 else socket.AF_INET6
        for place, text in enumerate(self.content.texts()):
            if found := _ONE_ADDRESS.match(text):
                address = int.from_bytes(socket.inet_pton(kind, found[1]), "big")
                by_address.setdefault(address, []).append(place)
            elif found := _ONE_PORT.search(text):
                by_port.setdefault(int(found[1]), []).append(place)
            else:
                others.append(place)
        return by_address, by_port, others

    def __len__(self) -> int:
        """Return the number of rules."""
        return len(self.content)

    def __bool__(self) -> bool:
        """Be true: an empty chain is there all the same."""
        return True

    def same_rules(self, other: Chain) -> bool:
        """Say whether two chains have equal rules in equal order, counters apart."""
        return self.content.same(other.content)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chain):
            return NotImplemented
        mine = (self.name, self.policy, self.counters or (0, 0), self.rule_counters)
        theirs = (other.name, other.policy, other.counters or (0, 0), other.rule_counters)
        return mine == theirs and self.same_rules(other)

    def __hash__(self) -> int:
        return hash((self.name, self.policy, len(self)))

    def __repr__(self) -> str:
        return f"Chain({self.name!r}, {len(self)} rules)"
