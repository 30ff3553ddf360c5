"""Documents as plain Python values that remember what typed decoding forgets.

A `PlainDocument` has the value of one document and finds the line and column of anything in it.
It serves messages: typed decoding is a hundred times faster.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Protocol

Path = tuple[str | int, ...]
Position = tuple[int, int]
"""Line and column, both from 1."""

WHITESPACE = " \t\n\r"

# Levels of nesting; objects of APIs have a dozen.
MAX_DEPTH = 100
# Whole numbers have 64 bits.
MAX_NUMBER = 2**63

TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
SHALLOWER = "fewer levels"
NO_VALUE = "invalid value: out of range, or not of its type"


def field_path(path: Path) -> str:
    """Write a path: `spec.ports[0].port`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text if text.isprintable() else ascii(text)


class PlainMap(dict[str, object]):
    """A mapping that knows which of its keys were given more than once."""

    __slots__ = ("duplicates",)

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.duplicates: tuple[str, ...] = ()
        if len(self) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.duplicates = tuple(key for key, count in counts.items() if count > 1)


class PlainDocument(Protocol):
    """One document: its plain value, and the places of values in its text."""

    @property
    def value(self) -> object:
        """The document as dicts (`PlainMap`), lists and scalars."""

    def locate(self, path: Path, *, key: bool = False, first: bool = False) -> Position:
        """Find the value at `path`, or with `key` the key that the path ends in.

        Of a key that its mapping has several times it is the last, with `first` the first. A path
        that leads further than the document goes ends at what is nearest.
        """

    def written(self, path: Path) -> str:
        """Return the text of the scalar at `path`, without quotes; empty where there is none."""

    def octal(self, path: Path) -> tuple[int, int] | None:
        """Return both values of a number that YAML 1.1 reads as octal and YAML 1.2 as decimal."""


class SyntaxProblem(Exception):  # noqa: N818  # a finding on its way to a Problem, not a failure
    """The text is not JSON or not YAML: what is wrong, and where."""

    def __init__(self, message: str, hint: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.hint, self.line, self.column = message, hint, line, column


def duplicate_keys(value: object, path: Path = ()) -> Iterator[Path]:
    """Find every key that its mapping has more than once."""
    stack = [(value, path)]
    while stack:
        value, path = stack.pop()
        if isinstance(value, PlainMap):
            for name in value.duplicates:
                yield (*path, name)
        if isinstance(value, dict):
            stack.extend((child, (*path, name)) for name, child in value.items())
        elif isinstance(value, list):
            stack.extend((child, (*path, index)) for index, child in enumerate(value))


def is_too_deep(value: object) -> bool:
    """Whether a value is nested deeper than `MAX_DEPTH`."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return True


def _reject_constant(name: str) -> object:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _number(text: str) -> int | float:
    # No whole number of the API is longer; Python rejects very long ones.
    return int(text) if len(text.lstrip("-")) < 20 else float(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=PlainMap, parse_constant=_reject_constant, parse_int=_number
)
# Skipping needs no values, and Python's int() rejects very long numbers.
_SKIPPER = json.JSONDecoder(parse_int=float)

_Step = str | int
_Entry = tuple[int, int]
"""Where a key (or the value again) and its value begin."""


@dataclass
class _Scan:
    """The children of a value that were looked for so far, and the rest of them."""

    rest: Iterator[tuple[_Step, _Entry]]
    found: dict[_Step, _Entry] = field(default_factory=dict)

    def entry(self, step: _Step, *, repeated: bool) -> _Entry | None:
        """Return the last entry of a key or index, having gone no further than necessary."""
        if step not in self.found or repeated:
            for name, entry in self.rest:
                self.found[name] = entry
                if name == step and not repeated:
                    break
        return self.found.get(step)


class JsonDocument:
    """One JSON document, which begins at `start` in a text that may hold more of them."""

    def __init__(self, text: str, start: int = 0) -> None:
        self._text = text
        self._start = start
        self._scans: dict[int, _Scan] = {}
        try:
            self._value, self.end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise SyntaxProblem(
                f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}",
                "",
                error.lineno,
                error.colno,
            ) from error
        except RecursionError as error:
            raise SyntaxProblem(TOO_DEEP, SHALLOWER, *self._at(start)) from error
        except ValueError as error:
            raise SyntaxProblem(str(error), "a plain JSON value", *self._at(start)) from error
        if is_too_deep(self._value):
            raise SyntaxProblem(TOO_DEEP, SHALLOWER, *self._at(start))

    @property
    def value(self) -> object:
        """The document's value."""
        return self._value

    def locate(self, path: Path, *, key: bool = False, first: bool = False) -> Position:
        """See `PlainDocument.locate`."""
        entries = self._entries_to(path)
        if len(entries) <= len(path):  # it leads further than the document goes
            return self._at(entries[-1][1])
        if first and path:
            _, parent = entries[-2]
            entry = next(entry for step, entry in self._children(parent) if step == path[-1])
            return self._at(entry[0] if key else entry[1])
        return self._at(entries[-1][0] if key else entries[-1][1])

    def written(self, path: Path) -> str:
        """See `PlainDocument.written`."""
        entries = self._entries_to(path)
        _, offset = entries[-1]
        if len(entries) <= len(path) or self._text[offset] in '{["':
            return ""
        _, end = _SKIPPER.raw_decode(self._text, offset)
        return self._text[offset:end]

    def octal(self, path: Path) -> tuple[int, int] | None:
        """See `PlainDocument.octal`: JSON has no such number."""
        del path
        return None

    def _at(self, offset: int) -> Position:
        line_start = self._text.rfind("\n", 0, offset) + 1
        return self._text.count("\n", 0, offset) + 1, offset - line_start + 1

    def _entries_to(self, path: Path) -> list[_Entry]:
        """Return the entries of the document and of each step of `path`, as far as it leads."""
        entries, value = [(self._start, self._start)], self._value
        for step in path:
            _, offset = entries[-1]
            scan = self._scans.setdefault(offset, _Scan(self._children(offset)))
            repeated = isinstance(value, PlainMap) and step in value.duplicates
            entry = scan.entry(step, repeated=repeated)
            if entry is None:
                break
            entries.append(entry)
            # There is an entry, so `value` is a mapping or a list that has this step.
            value = value[step]
        return entries

    def _children(self, offset: int) -> Iterator[tuple[_Step, _Entry]]:
        """Yield each key or index of the value at `offset`, and where its key and value begin."""
        # The text was decoded before, so this scan meets no syntax error.
        if self._text[offset] not in "{[":
            return
        in_object = self._text[offset] == "{"
        place = self._skip_space(offset + 1)
        index = 0
        while self._text[place] not in "}]":
            key_offset = place
            step: _Step = index
            if in_object:
                step, place = scanstring(self._text, place + 1, True)
                place = self._skip_space(self._skip_space(place) + 1)
            yield step, (key_offset, place)
            _, place = _SKIPPER.raw_decode(self._text, place)
            place = self._skip_space(place)
            if self._text[place] == ",":
                place = self._skip_space(place + 1)
            index += 1

    def _skip_space(self, offset: int) -> int:
        while self._text[offset] in WHITESPACE:
            offset += 1
        return offset


def json_documents(text: str) -> Iterator[JsonDocument]:
    """Read the JSON documents that follow one another in `text`.

    Raises `SyntaxProblem` at the first that is not JSON: where the next one begins is unknown then.
    """
    offset = 0
    while True:
        while offset < len(text) and text[offset] in WHITESPACE:
            offset += 1
        if offset == len(text):
            return
        document = JsonDocument(text, offset)
        yield document
        offset = document.end
