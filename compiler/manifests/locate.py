"""From remarks to problems: the line and column of each."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from json import loads
from sys import maxsize

from compiler.errors import MAX_REPORTED, Problem
from compiler.manifests.json_items import JsonItems
from compiler.manifests.remark import Place, Remark
from compiler.manifests.source import Source
from compiler.manifests.text import decode, is_json
from compiler.yaml import composed, fast
from compiler.yaml.composed import YamlDocument, compose
from compiler.yaml.lines import MARKER, Lines
from compiler.yaml.places import Places
from compiler.yaml.plain import (
    JsonDocument,
    Position,
    SyntaxProblem,
    field_path,
    json_documents,
)

# Looking up a place in 100 MB of JSON takes four seconds. For an error that is well spent; a
# warning about a larger text names its object alone.
LOCATE_WARNINGS_BELOW = 8 * 1024 * 1024
# Bytes from which on the items of a JSON List are read one by one.
ITEMS_ABOVE = 1024 * 1024


def located(
    found: Sequence[Remark], sources: Sequence[Source], outline: fast.Outline
) -> tuple[list[Problem], tuple[Problem, ...]]:
    """Turn remarks into problems and warnings, each in reading order.

    Looking up a place may mean reading a document with a slow reader, so only as many are looked
    up as will be reported. `outline` is the one that the sources were read with.
    """
    locators = [Locator(source, outline) for source in sources]
    problems = _in_order([f for f in found if not f.warning], locators)
    warnings = _in_order([f for f in found if f.warning], locators)
    return problems, tuple(warnings)


def _in_order(remarks: list[Remark], locators: list[Locator]) -> list[Problem]:
    in_order = sorted(
        (
            remark.place.source,
            _position(remark, locators[remark.place.source]) or (maxsize, 0),
            number,
        )
        for number, remark in enumerate(remarks[:MAX_REPORTED])
    )
    problems = [
        _problem(remarks[number], locators, position if position[0] < maxsize else None)
        for _, position, number in in_order
    ]
    return problems + [_problem(remark, locators, None) for remark in remarks[MAX_REPORTED:]]


def _position(remark: Remark, locator: Locator) -> Position | None:
    """Find a remark's line and column; None for a warning about a text that is too large."""
    if remark.position is None and remark.warning and locator.size > LOCATE_WARNINGS_BELOW:
        return None
    return remark.position or locator.locate(remark.place, key=remark.at_key)


def _problem(remark: Remark, locators: list[Locator], position: Position | None) -> Problem:
    message = remark.message
    if remark.first is not None and position is not None:
        first = locators[remark.first.source]
        if remark.first == remark.place:  # a duplicate key
            line, _ = first.locate(remark.first, key=True, first=True)
            message += f" (first at line {line})"
        else:
            line, column = first.locate(remark.first)
            message += f", first at {first.name}:{line}:{column}"
    line_or_none, column_or_none = position or (None, None)
    return Problem(
        locators[remark.place.source].name,
        message,
        remark.hint,
        line_or_none,
        column_or_none,
        remark.subject,
        field_path(remark.place.path[len(remark.base) :]),
        remark.argument,
    )


class Locator:
    """Finds places in one source, and keeps what it has read for that."""

    def __init__(self, source: Source, outline: fast.Outline) -> None:
        self.name = source.name
        self.size = len(source.text)
        self._outline = outline
        self._source = source
        self._documents: dict[tuple[int, str | int | None], Sequence[Places | YamlDocument]] = {}
        self._values: dict[tuple[int, str | int | None], object] = {}
        self._lines_reader = Lines()

    @cached_property
    def _text(self) -> str:
        return decode(self._source.text)

    @cached_property
    def _is_json(self) -> bool:
        return is_json(self._source.text.removeprefix(BOM_UTF8))

    @cached_property
    def _json(self) -> list[JsonDocument]:
        documents: list[JsonDocument] = []
        with suppress(SyntaxProblem):  # reported before; the documents before it are there
            documents.extend(json_documents(self._text))
        return documents

    @cached_property
    def _chunks(self) -> dict[tuple[int, str | int | None], fast.Chunk]:
        """The chunks by document and item, as the reader counts them."""
        chunks: dict[tuple[int, str | int | None], fast.Chunk] = {}
        document = -1
        for chunk in fast.chunks(self._text.encode(), self._outline, with_json=False):
            document += chunk.item is None
            chunks[document, chunk.item] = chunk
        return chunks

    def value(self, place: Place) -> object:
        """Return the plain value at a place, None where it leads nowhere."""
        value: object = self._value(place)
        for step in place.path if self._item(place) is None else place.path[2:]:
            if isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                value = value.get(str(step)) if isinstance(value, dict) else None
        return value

    def _value(self, place: Place) -> object:
        """Return the value of a place's document, or of its item where that is read by itself."""
        item = self._item(place)
        if self._is_json:
            return self._json[place.document].value if item is None else self._items.value(item)
        key = (place.document, item)
        if item is None:
            start = self._start(place)
            one = self._places(start, None)[place.document - start]
            key = (start, None)
        else:
            one = self._places(place.document, item)[0]
        if isinstance(one, YamlDocument):
            return one.value
        if key not in self._values:
            json = self._lines_reader.to_json(self._chunks[key].text.removeprefix(MARKER))
            value: object = None if json is None else loads(json)
            in_list = item is not None and isinstance(value, list)
            self._values[key] = value[0] if in_list and isinstance(value, list) else value
        return self._values[key]

    def _start(self, place: Place) -> int:
        """Return the first document of the chunk that a document is in.

        A chunk may hold several documents, where the text could not be cut.
        """
        return max(document for document, _ in self._chunks if document <= place.document)

    def _item(self, place: Place) -> int | None:
        """Return the item of a list that a place is in, if the list was cut into its items."""
        if place.path[:1] != ("items",) or len(place.path) < 2:
            return None
        item = place.path[1]
        assert isinstance(item, int)  # noqa: S101  # of a list
        if self._is_json:
            is_cut = place.document == 0 and self.size > ITEMS_ABOVE and item < len(self._items)
            return item if is_cut else None
        return item if (place.document, item) in self._chunks else None

    @cached_property
    def _items(self) -> JsonItems:
        return JsonItems(self._source.text.removeprefix(BOM_UTF8))

    def line(self, place: Place, number: int) -> str:
        """Return a line of the text, counted from 1, that a place is on."""
        item = self._item(place)
        if item is None:
            lines = self._lines
            return lines[number - 1] if 0 < number <= len(lines) else ""
        if self._is_json:
            return self._items.line(item, number)
        chunk = self._chunks[place.document, item]
        return chunk.text.split(b"\n")[number - chunk.line].decode()

    def forget(self) -> None:
        """Drop what was read so far; it is read again when asked for."""
        self._documents.clear()
        self._values.clear()
        if "_items" in self.__dict__:
            self._items.forget()

    @cached_property
    def _lines(self) -> list[str]:
        return self._text.split("\n")

    def locate(self, place: Place, *, key: bool = False, first: bool = False) -> Position:
        """Find a place's line and column; see `PlainDocument.locate`."""
        item = self._item(place)
        if self._is_json:
            if item is not None:
                return self._items.locate(item, place.path[2:], key=key, first=first)
            return self._json[place.document].locate(place.path, key=key, first=first)
        if item is not None:
            return self._places(place.document, item)[0].locate(
                place.path[2:], key=key, first=first
            )
        start = self._start(place)
        documents = self._places(start, None)
        return documents[place.document - start].locate(place.path, key=key, first=first)

    def _places(self, document: int, item: str | int | None) -> Sequence[Places | YamlDocument]:
        if (document, item) not in self._documents:
            chunk = self._chunks[document, item]
            self._documents[document, item] = _documents(chunk)
        return self._documents[document, item]


def _documents(chunk: fast.Chunk) -> Sequence[Places | YamlDocument]:
    """Return what finds the places in a chunk: one for each of its documents."""
    is_item = chunk.item is not None
    text = chunk.text.removeprefix(MARKER)
    # What is too long to be composed, and could not be read without, was reported as such.
    if len(text) > composed.MAX_LINE or Lines().to_json(text) is not None:
        return [Places(chunk.text, chunk.line, is_item=is_item)]
    return compose(chunk.text.decode(), chunk.line, is_item=is_item)
