"""Where a field of an object that was read is in its text, and what else the object has.

`reader` keeps the fields that decide the rules. Whoever reports on an object asks here for the line
and column of a field, or for the object as it was written; the text is looked at again only then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler.manifests.locate import Locator
from compiler.manifests.reader import Manifests
from compiler.manifests.remark import Place, subject_of
from compiler.manifests.schema import Manifest
from compiler.manifests.source import Source
from compiler.manifests.text import OUTLINE, decode
from compiler.yaml.plain import Path, Position, field_path


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """A field of an object: the file, line and column (from 1), the object and the field's path.

    `text` is that line. A field that the control plane added is in no file: its file and text are
    empty, its line and column 0.
    """

    file: str
    line: int
    column: int
    subject: str
    field: str
    text: str


class Fields:
    """The fields of the objects of sources; `sources` are those that `manifests` was read from.

    Where the control plane's part was added to `manifests`, the places of their objects are in the
    completed texts, which are counted after the sources.
    """

    def __init__(self, sources: Sequence[Source], manifests: Manifests) -> None:
        self._manifests = manifests
        self._sources = sources
        self._completed = len(sources) if manifests.texts else 0
        self._locators = [Locator(source, OUTLINE) for source in (*sources, *manifests.texts)]

    @cached_property
    def _places(self) -> Mapping[int, Place]:
        """The place of every object, by its identity: equal objects may be in several places."""
        return {
            id(one): Place(self._completed + batch.source, batch.document, base)
            for batch in self._manifests.batches
            for one, base in zip(batch.objects, batch.bases, strict=True)
        }

    def __contains__(self, one: Manifest) -> bool:
        return id(one) in self._places

    def place(self, one: Manifest) -> Place:
        """Return the place of an object of the manifests."""
        return self._places[id(one)]

    def locate(self, base: Place, path: Path) -> tuple[str, Position]:
        """Return the file, line and column of the field at `path` below an object's place.

        They are those of what would contain it, where it is not written; none (an empty name) where
        the control plane added the object.
        """
        if self._is_completed(base):
            return self._written(base, path)
        locator = self._locators[base.source]
        where = Place(base.source, base.document, (*base.path, *path))
        return locator.name, locator.locate(where)

    def forget(self) -> None:
        """Drop what was read so far; it is read again when asked for."""
        for locator in self._locators:
            locator.forget()

    def plain(self, one: Manifest) -> Mapping[str, object]:
        """Return an object with every field that was written, as plain values."""
        return self.plain_at(self.place(one))

    def plain_at(self, place: Place) -> Mapping[str, object]:
        """Return the plain mapping at a place; empty where there is none."""
        value = self._locators[place.source].value(place)
        return value if isinstance(value, dict) else {}

    def find(self, one: Manifest, path: Path) -> FieldPlace:
        """Find a field; one that is not written is at the key of what would contain it."""
        return self.find_at(self.place(one), subject_of(one), path)

    def find_at(self, base: Place, subject: str, path: Path) -> FieldPlace:
        """Find the field at `path` below an object's place."""
        if self._is_completed(base):
            file, (line, column) = self._written(base, path)
            text = self._line(file, line)
            return FieldPlace(file, line, column, subject, field_path(path), text)
        written = _written(self.plain_at(base), path)
        locator = self._locators[base.source]
        place = Place(base.source, base.document, (*base.path, *written))
        is_key = bool(written) and (written != path or self._is_container(place))
        line, column = locator.locate(place, key=is_key)
        text = locator.line(place, line)
        return FieldPlace(locator.name, line, column, subject, field_path(path), text)

    def _is_completed(self, base: Place) -> bool:
        return bool(self._manifests.texts) and base.source >= self._completed

    def _written(self, base: Place, path: Path) -> tuple[str, Position]:
        """Return where a field of a completed object was written."""
        find = self._manifests.written.get(base.path)
        if find is None:
            return "", (0, 0)
        problem = find(path)
        return problem.file, (problem.line or 0, problem.column or 0)

    def _line(self, file: str, line: int) -> str:
        for source in self._sources:
            if source.name == file:
                lines = decode(source.text).splitlines()
                return lines[line - 1] if 0 < line <= len(lines) else ""
        return ""

    def _is_container(self, place: Place) -> bool:
        return isinstance(self._locators[place.source].value(place), dict | list)


def _written(value: object, path: Path) -> Path:
    """Return as much of a path as an object has."""
    for number, step in enumerate(path):
        is_there = step in value if isinstance(value, dict) else False
        if isinstance(value, list) and isinstance(step, int):
            is_there = step < len(value)
        if not is_there or not isinstance(value, dict | list):
            return path[:number]
        value = value[step]  # type: ignore[index]
    return path
