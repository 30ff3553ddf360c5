"""Where the fields of objects are in the texts that they were read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from compiler.manifests.locate import Locator
from compiler.manifests.reader import Manifests
from compiler.manifests.remark import Batch, Place, subject_of
from compiler.manifests.schema import Manifest
from compiler.manifests.source import Source
from compiler.manifests.text import OUTLINE
from compiler.yaml.plain import JsonDocument, Path, Position, field_path

# A JSON text from this size on is cut into the items of its list first: to find a place in 100 MB
# at once takes four seconds.
CUT_FROM = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """A field of an object: its place, the object (`Service default/web`), its path and value.

    `line` and `column` count from 1; they are None, and `file` is empty, where the place is not
    known. `value` is the field's value as text, empty where the field is not set, and None where
    that is not known.
    """

    file: str
    line: int | None
    column: int | None
    subject: str
    field: str
    value: str | None = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        named = f"{self.field}: {self.value}" if self.value else f"{self.field} is not set"
        if self.value is None:
            named = self.field
        return ": ".join(part for part in (place, self.subject, named) if part)


class _Items(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


class Origins:
    """Finds the place of any field of the objects of `manifests`, which `sources` gave.

    Nothing is looked up, and no text is cut, before the first question.
    """

    def __init__(self, manifests: Manifests, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._batches = manifests.batches
        self._written = manifests.written
        self._known: dict[int, tuple[Batch, int]] = {}
        self._locators: dict[int, Locator] = {}
        self._items: dict[int, list[tuple[int, int]]] = {}
        self._documents: dict[tuple[int, int | str], tuple[JsonDocument, int]] = {}

    def origin(self, manifest: Manifest, path: Path, value: object = "") -> Origin:
        """Return the origin of a field; the nearest place where the path leads further."""
        subject, field = subject_of(manifest), field_path(path)
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        found = self._where(manifest)
        if found is None:
            return Origin("", None, None, subject, field, shown)
        batch, index = found
        if self._written:
            written = self._written.get(batch.bases[index])
            if written is None:  # the control plane's own
                return Origin("", None, None, subject, field, shown)
            problem = written(path)
            return Origin(problem.file, problem.line, problem.column, subject, field, shown)
        place = Place(batch.source, batch.document, (*batch.bases[index], *path))
        line, column = self._locate(place)
        return Origin(self._sources[batch.source].name, line, column, subject, field, shown)

    def _where(self, manifest: Manifest) -> tuple[Batch, int] | None:
        if not self._known:
            self._known = {
                id(one): (batch, index)
                for batch in self._batches
                for index, one in enumerate(batch.objects)
            }
        return self._known.get(id(manifest))

    def _locate(self, place: Place) -> Position:
        source = self._sources[place.source]
        if place.document == 0 and len(place.path) > 1 and place.path[0] == "items":
            spans = self._spans(place.source)
            if spans and isinstance(place.path[1], int):
                return self._in_item(place, *spans[place.path[1]])
        if place.source not in self._locators:
            self._locators[place.source] = Locator(source, OUTLINE)
        return self._locators[place.source].locate(place)

    def _in_item(self, place: Place, start: int, end: int) -> Position:
        text = self._sources[place.source].text
        key = place.source, place.path[1]
        if key not in self._documents:
            before = text.count(b"\n", 0, start)
            self._documents[key] = JsonDocument(text[start:end].decode()), before
        document, before = self._documents[key]
        line, column = document.locate(place.path[2:])
        if line == 1:
            column += len(text[text.rfind(b"\n", 0, start) + 1 : start].decode())
        return line + before, column

    def _spans(self, number: int) -> list[tuple[int, int]]:
        """Return where each item of a large JSON List is; empty where the text is none."""
        if number not in self._items:
            self._items[number] = _cut(self._sources[number].text)
        return self._items[number]


def _cut(text: bytes) -> list[tuple[int, int]]:
    if len(text) < CUT_FROM or not text[:4096].lstrip().startswith(b"{"):
        return []
    try:
        items = msgspec.json.decode(text, type=_Items).items
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return []
    spans, at = [], 0
    for item in items:
        raw = bytes(item).strip()
        start = text.find(raw, at)
        at = start + len(raw)
        spans.append((start, at))
    return spans
