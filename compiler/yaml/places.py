"""The places of values in a chunk of block YAML that `fast` can read, found by indentation.

`composed` knows the places in any YAML, but takes a minute for a few megabytes. In such a chunk
every entry of a container begins at the container's column, on a line of its own but for the first,
and all else of the container is deeper; so to find a value is to find the lines at one column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property
from itertools import pairwise
from typing import NamedTuple

from compiler.yaml.composed import compose
from compiler.yaml.lines import LINE, MARKER
from compiler.yaml.plain import Path, PlainDocument, Position

# A longer flow collection would take seconds to compose: what is in it is found at its start.
MAX_FLOW = 256 * 1024

# Blanks, and the ends of lines with their comments.
_SPACE = re.compile(rb"(?: *+(?:#[^\n]*+)?(?:\n|\Z))* *+")


class _Value(NamedTuple):
    """A value: where its key begins (an item has none: there the value begins), itself and its end.

    `is_block` tells where it may be a block mapping or sequence, and no part of a key's line.
    """

    key: int
    start: int
    end: int
    is_block: bool


class Places:
    """Finds the values of a chunk whose first line is that number of a larger text.

    With `is_item` the chunk is a list of one item, and the item is meant.
    """

    def __init__(self, text: bytes, first_line: int, *, is_item: bool = False) -> None:
        self._text = text
        self._first_line = first_line
        self._is_item = is_item
        self._entries: dict[int, dict[str | int, _Value]] = {}
        self._composed: dict[int, PlainDocument] = {}

    def locate(self, path: Path, *, key: bool = False, first: bool = False) -> Position:
        """See `PlainDocument.locate`; no key comes twice in what `fast` can read."""
        del first
        value, rest = self._follow(path)
        if rest and (flow := self._flow(value)):
            line, column = self._position(value.start)
            _, inside = flow.locate(rest, key=key)
            return line, column + inside - 1
        return self._position(value.key if key and not rest else value.start)

    def written(self, path: Path) -> str:
        """See `PlainDocument.written`, of a scalar that is no string."""
        value, rest = self._follow(path)
        if flow := self._flow(value):
            return flow.written(rest)
        return "" if rest else self._compose(value).written(())

    @cached_property
    def _root(self) -> _Value:
        start = len(MARKER) if self._text.startswith(MARKER) else 0
        end = len(self._text)
        found = _SPACE.match(self._text, start)
        first = found.end() if found else start
        root = _Value(first, first, end, True) if first < end else _Value(0, 0, 0, False)
        return self._item(first, end) if self._is_item else root

    def _follow(self, path: Path) -> tuple[_Value, Path]:
        """Return the value that a path leads to by block style, and the rest of the path."""
        value = self._root
        for number, step in enumerate(path):
            child = self._children(value).get(step)
            if child is None:
                return value, path[number:]
            value = child
        return value, ()

    def _children(self, value: _Value) -> dict[str | int, _Value]:
        if value.start not in self._entries:
            self._entries[value.start] = dict(self._read(value)) if value.is_block else {}
        return self._entries[value.start]

    def _read(self, value: _Value) -> Iterator[tuple[str | int, _Value]]:
        """Read the entries of a block mapping or sequence."""
        text, start, end = self._text, value.start, value.end
        column = start - (text.rfind(b"\n", 0, start) + 1)
        is_sequence = text.startswith(b"- ", start)
        later = _entry_pattern(column, is_sequence=is_sequence).finditer(text, start, end)
        starts = [start, *(found.end() for found in later), end]
        for index, (at, after) in enumerate(pairwise(starts)):
            if is_sequence:
                yield index, self._item(at, after)
                continue
            found = LINE.match(text, at, self._line_end(at, after))
            key = found and (found["plain"] or found["double"] or found["single"])
            if not found or not key:
                return  # a scalar or a flow collection
            yield key.decode(), self._behind_key(at, found.end("head"), after)

    def _item(self, at: int, end: int) -> _Value:
        found = _SPACE.match(self._text, at + 1, end)
        start = found.end() if found else at
        return _Value(start, start, end, True)

    def _behind_key(self, key: int, colon: int, end: int) -> _Value:
        found = _SPACE.match(self._text, colon, end)
        start = found.end() if found else end
        if start >= end:  # null
            return _Value(key, colon, colon, False)
        return _Value(key, start, end, self._text.find(b"\n", colon, start) >= 0)

    def _flow(self, value: _Value) -> PlainDocument | None:
        """Compose a flow collection; None where there is none, or a very long one."""
        length = self._line_end(value.start, value.end) - value.start
        is_flow = self._text[value.start : value.start + 1] in (b"[", b"{")
        return self._compose(value) if is_flow and length <= MAX_FLOW else None

    def _compose(self, value: _Value) -> PlainDocument:
        """Compose a value on one line."""
        if value.start not in self._composed:
            text = self._text[value.start : self._line_end(value.start, value.end)]
            (self._composed[value.start],) = compose(text.decode())
        return self._composed[value.start]

    def _line_end(self, start: int, end: int) -> int:
        found = self._text.find(b"\n", start, end)
        return found if found >= 0 else end

    def _position(self, offset: int) -> Position:
        line_start = self._text.rfind(b"\n", 0, offset) + 1
        column = len(self._text[line_start:offset].decode()) + 1
        return self._text.count(b"\n", 0, offset) + self._first_line, column


@cache
def _entry_pattern(column: int, *, is_sequence: bool) -> re.Pattern[bytes]:
    """Match what is before the entries of a container at a column, but for the first.

    A sequence that belongs to a mapping's key may be at the mapping's column.
    """
    following = rb"(?=- )" if is_sequence else rb"(?!- )(?=[^ \n#])"
    return re.compile(rb"\n {%d}%b" % (column, following))
