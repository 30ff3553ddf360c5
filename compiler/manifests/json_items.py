"""The items of a large JSON List, each found and read by itself."""

from __future__ import annotations

import re

import msgspec

from compiler.yaml.plain import JsonDocument, Path, Position

# A longer line serves no reader.
MAX_LINE = 10_000
_BETWEEN = re.compile(rb"[\s,]*+")


class _List(msgspec.Struct, frozen=True, gc=False):
    items: list[msgspec.Raw]
    kind: str


class JsonItems:
    """The items of a text that is one JSON List; `starts` has the offset of each in bytes.

    To read all of a text of 50 MB takes seconds, an item of it nothing. There are no items where
    the text is anything else.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._is_ascii = text.isascii()
        self._documents: dict[int, JsonDocument] = {}
        self._lines: list[int] = []
        self._starts: list[int] = []
        try:
            found = msgspec.json.decode(text, type=_List)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return
        if not found.kind.endswith("List"):
            return
        self._raw = found.items
        end, line, counted = 0, 1, 0
        for item in found.items:
            raw = memoryview(item)
            # Between two items is a comma; before the first is whatever the List begins with.
            between = _BETWEEN.match(text, end) if end else None
            start = between.end() if between else text.find(raw)
            line += text.count(b"\n", counted, start)
            self._starts.append(start)
            self._lines.append(line)
            counted, end = start, start + len(raw)

    def __len__(self) -> int:
        return len(self._starts)

    def value(self, index: int) -> object:
        """Return an item's value."""
        return self._document(index).value

    def locate(self, index: int, path: Path, *, key: bool = False, first: bool = False) -> Position:
        """Find a value in an item; see `PlainDocument.locate`."""
        line, column = self._document(index).locate(path, key=key, first=first)
        if line > 1:
            return self._lines[index] + line - 1, column
        start = self._starts[index]
        line_start = self._text.rfind(b"\n", 0, start) + 1
        if self._is_ascii:  # a text of 50 MB may be one line
            return self._lines[index], start - line_start + column
        return self._lines[index], len(self._text[line_start:start].decode()) + column

    def line(self, index: int, number: int) -> str:
        """Return a line of an item, by its number in the text; empty for a very long one."""
        start = self._starts[index]
        for _ in range(number - self._lines[index]):
            start = self._text.find(b"\n", start) + 1
        begin, end = self._text.rfind(b"\n", 0, start) + 1, self._text.find(b"\n", start)
        end = len(self._text) if end < 0 else end
        return self._text[begin:end].decode() if end - begin < MAX_LINE else ""

    def forget(self) -> None:
        """Drop what was read so far; it is read again when asked for."""
        self._documents.clear()

    def _document(self, index: int) -> JsonDocument:
        if index not in self._documents:
            self._documents[index] = JsonDocument(bytes(self._raw[index]).decode())
        return self._documents[index]
