"""From remarks to problems: the line and column of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from json import loads
from sys import maxsize

from compiler.errors import MAX_REPORTED, Problem
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

    @cached_property
    def _text(self) -> str:
        return decode(self._source.text)

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
        """Return the value of a place's document, or of its item where that is a chunk."""
        if is_json(self._text):
            return self._json[place.document].value
        item = self._item(place)
        start = max(document for document, _ in self._chunks if document <= place.document)
        chunk = (
            self._chunks[place.document, item] if item is not None else self._chunks[start, None]
        )
        read = self._places(place.document if item is not None else start, item)
        one = read[0 if item is not None else place.document - start]
        if isinstance(one, YamlDocument):
            return one.value
        json = Lines().to_json(chunk.text.removeprefix(MARKER))
        value: object = None if json is None else loads(json)
        return value[0] if item is not None and isinstance(value, list) else value

    def _item(self, place: Place) -> str | int | None:
        """Return the item of a list that a place is in, if the list was cut into its items."""
        if is_json(self._text) or place.path[:1] != ("items",) or len(place.path) < 2:
            return None
        return place.path[1] if (place.document, place.path[1]) in self._chunks else None

    def line(self, number: int) -> str:
        """Return a line of the text, counted from 1; empty past its end."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    @cached_property
    def _lines(self) -> list[str]:
        return self._text.split("\n")

    def locate(self, place: Place, *, key: bool = False, first: bool = False) -> Position:
        """Find a place's line and column; see `PlainDocument.locate`."""
        if is_json(self._text):
            return self._json[place.document].locate(place.path, key=key, first=first)
        item = self._item(place)
        if item is not None:
            return self._places(place.document, item)[0].locate(
                place.path[2:], key=key, first=first
            )
        # A chunk may hold several documents, where the text could not be cut.
        start = max(document for document, _ in self._chunks if document <= place.document)
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
