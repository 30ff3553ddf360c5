"""Tables whose chains are made when somebody asks for one.

Two texts of half a million lines differ in a few chains. The others are known by name, by where
they stand and by that they are equal (`differing`); no object is made for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from compiler.netfilter.chain import Chain
from compiler.netfilter.content import Lines

T = TypeVar("T")
Table = Mapping[str, Chain]
_OF_CHAIN = re.compile(r"[ \t]*(?:\[\d+:\d+\][ \t]+)?-[A-Za-z-]+[ \t]+\"?([^ \t\n\"]+)")
_NO_RULE = re.compile(r"[ \t]*[:#]")


class LazyTable(Mapping[str, Chain]):
    """A table by the names of its chains; `make` makes one of them, else a subclass does.

    A table is in no cycle of references: without that, rulesets that are no longer needed would
    stay until the garbage collector comes, which commands do without.

    Chains named in `equal` have the rules that the chain of the same name has in the table `like`.
    All rules stand in `lines`, in whatever words.
    """

    def __init__(
        self,
        names: Mapping[str, object],
        make: Callable[[str], Chain] | None,
        lines: Lines,
        *,
        like: Table | None = None,
        equal: Collection[str] = frozenset(),
    ) -> None:
        self.names = names
        self._maker = make
        self.lines = lines
        self.like = like
        self.equal = equal
        # What `equal` of other tables speaks of (`root`), chains of this one that it does not hold
        # for, and what was found to be unlike a table.
        self._root: LazyTable | None = None
        self.replaced: Mapping[str, Chain] = {}
        self.unlike: tuple[LazyTable, Sequence[str]] | None = None
        self._made: dict[str, Chain] = {}

    def __getitem__(self, name: str) -> Chain:
        found = self._made.get(name)
        if found is None:
            if name not in self.names:
                raise KeyError(name)
            found = self._made[name] = self._make(name)
        return found

    def _make(self, name: str) -> Chain:
        assert self._maker is not None  # noqa: S101 - or a subclass makes them
        return self._maker(name)

    @property
    def root(self) -> LazyTable:
        """The table that this one was made of by `replacing`, or itself."""
        return self._root or self

    def get(self, name: str, default: T | None = None) -> Chain | T | None:  # type: ignore[override]
        """Return a chain, or the default where it is not there."""
        return self[name] if name in self.names else default

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def replacing(self, chains: Mapping[str, Chain]) -> LazyTable:
        """Return the table with other chains in place of some, or more."""
        made = LazyTable(
            {**self.names, **chains}, self.__getitem__, self.lines, like=self.like, equal=self.equal
        )
        made._root = self.root
        made.replaced = {**self.replaced, **chains}
        made._made.update(chains)
        return made

    def mentioning(self, word: str | re.Pattern[str]) -> Iterator[Chain]:
        """Give the chains with rules that have a word, and maybe others."""
        names = self._mentioning(word)
        yield from self.values() if names is None else map(self.__getitem__, names)

    def _mentioning(self, word: str | re.Pattern[str]) -> Collection[str] | None:
        """Return the names of these chains; None where the text does not show them."""
        text = self.lines.text
        if self.lines.escaped:
            # a word can be written in other characters
            return None
        found: dict[str, object] = {}
        for offset in _offsets(text, word):
            start = text.rfind("\n", 0, offset) + 1
            if chain := _OF_CHAIN.match(text, start):
                found[chain[1]] = None
            elif not _NO_RULE.match(text, start):
                return None
        return [name for name in {**found, **self.replaced} if name in self.names]


def _offsets(text: str, word: str | re.Pattern[str]) -> Iterator[int]:
    if isinstance(word, re.Pattern):
        yield from (found.start() for found in word.finditer(text))
        return
    offset = text.find(word)
    while offset >= 0:
        yield offset
        offset = text.find(word, offset + 1)


def mentioning(table: Table, word: str | re.Pattern[str]) -> Iterator[Chain]:
    """Give the chains of a table with rules that have a word, and maybe others."""
    yield from table.mentioning(word) if isinstance(table, LazyTable) else table.values()


def names_of(table: Table) -> Mapping[str, object]:
    """Return the names of a table's chains, where many can be looked up fast."""
    return table.names if isinstance(table, LazyTable) else table


def replacing(table: Table, chains: Mapping[str, Chain]) -> Table:
    """Return a table with other chains in place of some, or more."""
    if isinstance(table, LazyTable):
        return table.replacing(chains)
    return {**table, **chains}


def differing(old: Table, new: Table) -> Iterator[tuple[str, Chain | None, Chain | None]]:
    """Give the chains of two tables, None where one has none, but those known to be equal."""
    if old is new:
        return
    if not isinstance(old, LazyTable) or not isinstance(new, LazyTable):
        for name in dict.fromkeys((*old, *new)):
            yield name, old.get(name), new.get(name)
        return
    # a chain that was put in place of another, on either side, is not known to be equal
    for name in dict.fromkeys((*_unlike(old.root, new.root), *old.replaced, *new.replaced)):
        yield name, old.get(name), new.get(name)


def _unlike(old: LazyTable, new: LazyTable) -> Sequence[str]:
    """Return the chains of two tables that are not known to be equal; kept by the new table."""
    if old is new:
        return ()
    if new.unlike is None or new.unlike[0] is not old:
        equal: Collection[str] = ()
        for one, other in ((old, new), (new, old)):
            if one.like is other:
                equal = one.equal
        before, after = old.names, new.names
        names = [name for name in before if name not in equal]
        names += [name for name in after if name not in before]
        new.unlike = old, names
    return new.unlike[1]
