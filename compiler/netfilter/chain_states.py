"""Chains of a table while they are being filled."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from itertools import count
from typing import NamedTuple

from compiler.netfilter.chain import Chain, Origin
from compiler.netfilter.content import Content, Lines, without_idle_matches
from compiler.netfilter.index import IndexedTable
from compiler.netfilter.rule_reader import Counters
from compiler.netfilter.shapes import Shapes
from compiler.netfilter.table import Table


class Entry(NamedTuple):
    """A rule of a chain that is being filled: its canonical text and where it is from."""

    text: str
    line: int
    counters: Counters | None


class ChainState:
    """A chain that is being filled.

    Its rules are `held`, where they came in one run that is known already, or else `texts` with
    the line and the counters of each.
    """

    __slots__ = (
        "counters",
        "held",
        "line",
        "name",
        "numbers",
        "origin",
        "policy",
        "rule_counters",
        "texts",
    )

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.policy: str | None = None
        self.counters: Counters | None = None
        self.held: Content | None = None
        self.texts: list[str] = []
        self.numbers: Sequence[int] = ()
        self.origin: Origin | None = None
        self.rule_counters: dict[int, Counters] | None = None

    def clear(self) -> None:
        """Empty the chain."""
        self.held = None
        self.texts = []
        self.numbers = ()
        self.origin = None
        self.rule_counters = None

    @property
    def empty(self) -> bool:
        """Whether it has no rules."""
        return not self.texts and not self.held

    def hold(self, content: Content, lines: Lines, begin: int) -> None:
        """Take all rules of an empty chain at once; they stand on lines in a row from `begin`."""
        self.held = content
        self.origin = lines, begin

    def share(self, content: Content) -> None:
        """Take equal rules from elsewhere, so that what is read of them is read once."""
        if self.held is None and len(content) == len(self.texts) and content.texts() == self.texts:
            self.held = content
            self.texts = []

    def extend(self, texts: Sequence[str], first: int) -> None:
        """Append rules that stand on lines in a row."""
        self._open()
        self.texts += texts
        assert isinstance(self.numbers, array)  # noqa: S101 - _open makes it one
        self.numbers.extend(range(first, first + len(texts)))

    def append(self, entry: Entry) -> None:
        """Append one rule."""
        if entry.counters is not None:
            if self.rule_counters is None:
                self.rule_counters = {}
            self.rule_counters[len(self.texts) + len(self.held or ())] = entry.counters
        self.extend((entry.text,), entry.line)

    def entries(self) -> list[Entry]:
        """Return the rules one by one."""
        self._open()
        counters = self.rule_counters or {}
        return [
            Entry(text, line, counters.get(place))
            for place, (text, line) in enumerate(zip(self.texts, self.numbers, strict=True))
        ]

    def replace(self, entries: Iterable[Entry]) -> None:
        """Put rules in place of those that are there."""
        rows = list(entries)
        self.clear()
        self.texts = [entry.text for entry in rows]
        self.numbers = array("I", (entry.line for entry in rows))
        self.rule_counters = {
            place: entry.counters for place, entry in enumerate(rows) if entry.counters is not None
        }

    def _open(self) -> None:
        if self.origin is not None and self.held is not None:
            lines, begin = self.origin
            first = lines.at(begin)
            self.numbers = range(first, first + len(self.held))
            self.origin = None
        if self.held is not None:
            self.texts = list(self.held.texts())
            self.held = None
        if not isinstance(self.numbers, array):
            self.numbers = array("I", self.numbers)

    def frozen(self, shapes: Shapes) -> Chain:
        """Return the chain as it is now."""
        content = self.held if self.held is not None else Content(shapes, texts=self.texts)
        return Chain(
            self.name,
            content,
            policy=self.policy,
            counters=self.counters,
            line=self.line,
            numbers=self.numbers,
            origin=self.origin,
            rule_counters=self.rule_counters,
        )


class ChainStates(MutableMapping[str, ChainState]):
    """Chains by name. Of a new one that nothing has happened to, only its line is kept.

    `equal` are those that have the rules of the chain of the same name in the table `like`, and
    where these begin in `lines`.
    """

    def __init__(self) -> None:
        self.states: dict[str, ChainState | int] = {}
        self.equal: dict[str, int] = {}
        self.like: Table = {}
        self.lines = Lines("")

    def declare(self, names: Iterable[str], first: int) -> None:
        """Take new chains, declared on lines in a row."""
        self.states.update(zip(names, count(first)))

    def plain(self, name: str) -> bool:
        """Say whether a chain is there that nothing has happened to."""
        return type(self.states.get(name)) is int and name not in self.equal

    def opened(self) -> Iterator[ChainState]:
        """Give the chains of which more than the line is kept."""
        return (state for state in self.states.values() if isinstance(state, ChainState))

    def equals(self, name: str, begin: int, end: int) -> bool:
        """Say whether rules are those that the other ruleset has in the chain of that name."""
        table = self.like
        run = table.run(name) if isinstance(table, IndexedTable) else None
        if run is None or not isinstance(table, IndexedTable):
            like = table.get(name)
            if like is None or like.policy is not None or not len(like):
                return False
            return like.content.holds(self.lines.text, begin, end)
        given = self.lines.text[begin:end]
        other = table.lines.text
        if given == other[run[0] : run[1] - 1]:
            return True
        printed = table.shapes.print_run(other, run[0], run[1] - 1)
        if printed is None:
            return table[name].content.holds(self.lines.text, begin, end)
        return given == printed or any(one == printed for one in without_idle_matches(given))

    def __getitem__(self, name: str) -> ChainState:
        state = self.states[name]
        if isinstance(state, int):
            state = self.states[name] = ChainState(name, state)
            begin = self.equal.pop(name, None)
            if begin is not None:
                state.hold(self.like[name].content, self.lines, begin)
        return state

    def __setitem__(self, name: str, state: ChainState) -> None:
        self.equal.pop(name, None)
        self.states[name] = state

    def __delitem__(self, name: str) -> None:
        self.equal.pop(name, None)
        del self.states[name]

    def __contains__(self, name: object) -> bool:
        return name in self.states

    def __iter__(self) -> Iterator[str]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)

    def chain(self, name: str, shapes: Shapes) -> Chain:
        """Return a chain as it is now."""
        state = self.states[name]
        if isinstance(state, ChainState):
            return state.frozen(shapes)
        begin = self.equal.get(name)
        if begin is None:
            return Chain(name, Content(shapes, texts=()), line=state)
        return Chain(name, self.like[name].content, line=state, origin=(self.lines, begin))
