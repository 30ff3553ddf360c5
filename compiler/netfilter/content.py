"""The rules of a chain as text, read no further than somebody asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from compiler.netfilter.rule import Values
from compiler.netfilter.shapes import Shapes

Index = tuple[dict[int, list[int]], dict[int, list[int]], list[int]]
# What a text of rules is made of: the rules of one chain in a row, declarations of new and empty
# chains in a row, any other line.
TOKENS = re.compile(
    r"-A ([^ \n]+) [^\n]*(?:\n-A \1 [^\n]*)*\n?|((?::[^ \n]+ - \[0:0\]\n)+)|[^\n]*\n?"
)
# Lines are counted in pieces of so many characters.
_BLOCK = 1 << 16


def without_idle_matches(text: str) -> Iterator[str]:
    """Leave out `-m tcp` where nothing follows it but the target, as the canonical form does.

    Whether the protocol asked for is the same, the comparison with canonical text shows: `-m tcp`
    is an error without `-p tcp`.
    """
    for name in ("tcp", "udp", "sctp"):
        if f" -m {name} -j " in text:
            text = text.replace(f" -m {name} -j ", " -j ")
            yield text


class Lines:
    """The lines of a text by number, found when they are asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._counts: list[int] = []
        self._last = (0, 1)

    @cached_property
    def escaped(self) -> bool:
        """Whether a backslash stands anywhere."""
        return "\\" in self.text

    def at(self, offset: int) -> int:
        """Return the number of the line that a character stands on."""
        before, number = self._last
        if not before <= offset < before + _BLOCK:
            while len(self._counts) <= offset // _BLOCK:
                start = len(self._counts) * _BLOCK
                through = self._counts[-1] if self._counts else 0
                self._counts.append(through + self.text.count("\n", start, start + _BLOCK))
            block = offset // _BLOCK
            before, number = block * _BLOCK, 1 + (self._counts[block - 1] if block else 0)
        number += self.text.count("\n", before, offset)
        self._last = (offset, number)
        return number


class Content:
    """The rules of a chain as text, shared by all chains that hold the same.

    They stand as they were written in `source`, a longer text, from `begin` to `end`, a line each,
    the rule from its character `start` on; or `source` is None and only the canonical form was
    kept. `index` keeps what was read of the rules.
    """

    __slots__ = ("_known", "_texts", "begin", "end", "index", "shapes", "source", "start")

    def __init__(
        self,
        shapes: Shapes,
        *,
        source: str | None = None,
        begin: int = 0,
        end: int = 0,
        start: int = 0,
        texts: Sequence[str] | None = None,
    ) -> None:
        self.shapes = shapes
        self.source = source
        self.begin = begin
        self.end = end
        self.start = start
        self._texts = texts
        self._known: dict[str, Values] | None = None
        self.index: Index | None = None

    def __len__(self) -> int:
        if self._texts is not None:
            return len(self._texts)
        return self.source.count("\n", self.begin, self.end) + 1 if self.source else 0

    @property
    def known(self) -> dict[str, Values]:
        """What was read of the rules, by their text."""
        if self._known is None:
            self._known = {}
        return self._known

    @property
    def written(self) -> list[str] | None:
        """Every rule as it was written, on a whole line; None where that was not kept."""
        if self.source is None:
            return None
        return self.source[self.begin : self.end].split("\n")

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
        if self.source is not None:
            return self.source.find(word, self.begin, self.end) >= 0
        return any(word in line for line in self._texts or ())

    def same(self, other: Content) -> bool:
        """Say whether the rules are equal."""
        if self is other or self._same_words(other.source, other.begin, other.end):
            return True
        return len(self) == len(other) and list(self.texts()) == list(other.texts())

    def holds(self, source: str, begin: int, end: int) -> bool:
        """Say whether lines of a text, all for this chain, are these very rules.

        Two writings of one rule need not be seen as one here, so False decides nothing.
        """
        if self._same_words(source, begin, end):
            return True
        if source.count("\n", begin, end) + 1 != len(self):
            return False
        given = source[begin:end]
        wanted = self._saved(given)
        return given == wanted or any(
            without_idle == wanted for without_idle in without_idle_matches(given)
        )

    def _same_words(self, source: str | None, begin: int, end: int) -> bool:
        return (
            source is not None
            and self.source is not None
            and end - begin == self.end - self.begin
            and source[begin:end] == self.source[self.begin : self.end]
        )

    def _saved(self, like: str) -> str:
        """Return what iptables-save prints: not kept, since most chains are asked once."""
        if self._texts is None and self.source is not None:
            printed = self.shapes.print_run(self.source, self.begin, self.end)
            if printed is not None:
                return printed
        texts = self._texts if self._texts is not None else self._canonical()
        prefix = like[: like.index(" ", 3) + 1]
        return prefix + f"\n{prefix}".join(texts)

    def _canonical(self) -> Sequence[str]:
        lines = self.written or ()
        texts = self.shapes.texts(lines, self.start)
        if texts is not None:
            return texts
        return [text for line in lines for text in self.shapes.read(line[self.start :]).texts]
