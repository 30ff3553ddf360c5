"""From findings to problems: the line and column of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property

from compiler.errors import MAX_TOLD, Problem
from compiler.manifests.careful import decode, is_json
from compiler.manifests.finding import Finding, Place
from compiler.manifests.plain import (
    JsonDocument,
    Position,
    SyntaxProblem,
    field_path,
    json_documents,
)
from compiler.manifests.plain_yaml import Piece, YamlDocument, compose, cut
from compiler.manifests.source import Source


def located(
    found: Sequence[Finding], sources: Sequence[Source]
) -> tuple[list[Problem], tuple[Problem, ...]]:
    """Turn findings into problems and warnings, each in reading order.

    Looking up a place may mean reading a document with a slow reader, so only as many are looked
    up as will be told.
    """
    locators = [Locator(source) for source in sources]
    problems = _in_order([f for f in found if not f.warning], locators)
    warnings = _in_order([f for f in found if f.warning], locators)
    return problems, tuple(warnings)


def _in_order(findings: list[Finding], locators: list[Locator]) -> list[Problem]:
    told = sorted(
        (
            finding.place.source,
            finding.position
            or locators[finding.place.source].locate(finding.place, finding.at_key),
            number,
        )
        for number, finding in enumerate(findings[:MAX_TOLD])
    )
    problems = [_problem(findings[number], locators, position) for _, position, number in told]
    return problems + [_problem(finding, locators, None) for finding in findings[MAX_TOLD:]]


def _problem(finding: Finding, locators: list[Locator], position: Position | None) -> Problem:
    wrong = finding.wrong
    if finding.first is not None and position is not None:
        first = locators[finding.first.source]
        line, column = first.locate(finding.first)
        wrong += f", first at {first.name}:{line}:{column}"
    line_or_none, column_or_none = position or (None, None)
    return Problem(
        locators[finding.place.source].name,
        wrong,
        finding.right,
        line_or_none,
        column_or_none,
        finding.subject,
        field_path(finding.place.path[len(finding.base) :]),
    )


class Locator:
    """Finds places in one source; what it has read it keeps."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self._source = source
        self._composed: dict[int, list[YamlDocument]] = {}

    @cached_property
    def _text(self) -> str:
        return decode(self._source.text)

    @cached_property
    def _json(self) -> list[JsonDocument]:
        documents: list[JsonDocument] = []
        with suppress(SyntaxProblem):  # told before; what stands before it is there
            documents.extend(json_documents(self._text))
        return documents

    @cached_property
    def _pieces(self) -> list[Piece]:
        return cut(self._text)

    def locate(self, place: Place, key: bool = False) -> Position:
        """Find a place's line and column; with `key`, of the key that its path ends in."""
        if is_json(self._text):
            return self._json[place.document].locate(place.path, key=key)
        at = self._piece_of(place)
        piece = self._pieces[at]
        if at not in self._composed:
            self._composed[at] = compose(piece)
        path = place.path if piece.item is None else place.path[2:]
        return self._composed[at][place.document - piece.document].locate(path, key=key)

    def _piece_of(self, place: Place) -> int:
        item = place.path[1] if place.path[:1] == ("items",) and len(place.path) > 1 else None
        best = 0
        for at, piece in enumerate(self._pieces):
            if piece.document > place.document:
                break
            if piece.item is None or (piece.document == place.document and piece.item == item):
                best = at
        return best
