"""A chain with its rules, read no further than somebody asks."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from compiler.family import IPV4, Family
from compiler.netfilter.rule import Rule, Values
from compiler.netfilter.rule_reader import Counters
from compiler.netfilter.shapes import Shapes

Index = tuple[dict[int, list[int]], dict[int, list[int]], list[int]]
_NO_COUNTERS: Mapping[int, Counters] = {}
# In canonical text `-d` comes second, and quotes (comments, where anything may stand) after it.
_ONE_ADDRESS = re.compile(r"(?:(?:! )?-s \S+ )?-d ([0-9a-f.:]+)/(?:32|128)(?= |\Z)")
_ONE_PORT = re.compile(r"(?<!! )--dport (\d+)(?= -[a-z] |\Z)(?!.*\")")
# Shorter chains are asked rule by rule.
_INDEXED = 50


def _without_idle_matches(text: str) -> Iterator[str]:
    """Leave out `-m tcp` where nothing follows it but the target, as the canonical form does.

    Whether the protocol asked for is the same, the comparison with canonical text shows: `-m tcp`
    is an error without `-p tcp`.
    """
    for name in ("tcp", "udp", "sctp"):
        if f" -m {name} -j " in text:
            text = text.replace(f" -m {name} -j ", " -j ")
            yield text


class Content:
    """The rules of a chain as text, shared by all chains that hold the same.

    `written` are whole lines as they were written, from `start` on each; None where
    only the canonical form was kept. `known` and `index` keep what was read of the rules.
    """

    __slots__ = ("_texts", "index", "known", "shapes", "start", "written")

    def __init__(
        self,
        shapes: Shapes,
        *,
        written: Sequence[str] | None = None,
        start: int = 0,
        texts: Sequence[str] | None = None,
    ) -> None:
        self.shapes = shapes
        self.written = written
        self.start = start
        self._texts = texts
        self.known: dict[str, Values] = {}
        self.index: Index | None = None

    def __len__(self) -> int:
        held = self._texts if self._texts is not None else self.written
        return len(held or ())

    def lines(self) -> Sequence[str]:
        """Return every rule as it was written, or in canonical form: whichever is there."""
        if self._texts is not None:
            return self._texts
        return self.written or ()

    def texts(self) -> Sequence[str]:
        """Return every rule in canonical form, and keep it."""
        if self._texts is None:
            self._texts = self._canonical()
        return self._texts

    def mentions(self, word: str) -> bool:
        """Say whether a word is anywhere in the rules, without reading them."""
        return any(word in line for line in self.written or self._texts or ())

    def holds(self, lines: Sequence[str], start: int) -> bool:
        """Say whether lines of text are these very rules, each from its character `start` on.

        Two writings of one rule need not be seen as one here, so False decides nothing.
        """
        if len(lines) != len(self):
            return False
        if self.written is not None and start == self.start and lines == self.written:
            return True
        # What iptables-save prints: not kept, since most chains are asked once.
        texts = self._texts if self._texts is not None else self._canonical()
        prefix = lines[0][:start] if lines else ""
        wanted = prefix + f"\n{prefix}".join(texts)
        given = "\n".join(lines)
        return given == wanted or any(
            without_idle == wanted for without_idle in _without_idle_matches(given)
        )

    def _canonical(self) -> Sequence[str]:
        lines = self.written or ()
        texts = self.shapes.texts(lines, self.start)
        if texts is not None:
            return texts
        return [text for line in lines for text in self.shapes.read(line[self.start :]).texts]


class Chain:
    """A chain with its rules in order.

    `policy` is None for a chain that is not built in (or whose policy the text does not show);
    `counters` are the policy's. `line` is where the chain was declared, 0 where it was not.
    `numbers` are the lines of its rules. Chains are equal where name, policy, counters and rules
    are.
    """

    def __init__(
        self,
        name: str,
        content: Content,
        *,
        policy: str | None = None,
        counters: Counters | None = None,
        line: int = 0,
        numbers: Sequence[int] = (),
        rule_counters: Mapping[int, Counters] | None = None,
    ) -> None:
        self.name = name
        self.content = content
        self.policy = policy
        self.counters = counters
        self.line = line
        self.numbers = numbers
        self.rule_counters = rule_counters or _NO_COUNTERS

    def with_policy(self, policy: str | None) -> Chain:
        """Return the same chain with a policy."""
        return Chain(
            self.name,
            self.content,
            policy=policy,
            counters=self.counters,
            line=self.line,
            numbers=self.numbers,
            rule_counters=self.rule_counters,
        )

    @property
    def family(self) -> Family:
        """The family that its rules are read for."""
        return self.content.shapes.family

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in order."""
        return tuple(
            Rule(
                self.name,
                text,
                self.family,
                number,
                self.rule_counters.get(place),
                self.content.known,
            )
            for place, (text, number) in enumerate(
                zip(self.content.texts(), self.numbers, strict=True)
            )
        )

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
        mine, theirs = self.content, other.content
        if mine is theirs:
            return True
        if len(mine) != len(theirs):
            return False
        if mine.written is not None and mine.written == theirs.written:
            return True
        return list(mine.texts()) == list(theirs.texts())

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
