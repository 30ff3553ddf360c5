"""Where the fields of objects are in the texts that they were read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.manifests.fields import Fields
from compiler.manifests.reader import Manifests
from compiler.manifests.remark import subject_of
from compiler.manifests.schema import Manifest
from compiler.manifests.source import Source
from compiler.yaml.plain import Path, field_path


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


class Origins:
    """Finds the place of any field of the objects of `manifests`, which `sources` gave.

    Nothing is looked up, and no text is cut, before the first question.
    """

    def __init__(self, manifests: Manifests, sources: Sequence[Source]) -> None:
        self._fields = Fields(sources, manifests)

    def origin(self, manifest: Manifest, path: Path, value: object = "") -> Origin:
        """Return the origin of a field; the nearest place where the path leads further."""
        subject, field = subject_of(manifest), field_path(path)
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        if manifest not in self._fields:
            return Origin("", None, None, subject, field, shown)
        file, (line, column) = self._fields.locate(self._fields.place(manifest), path)
        if not file:  # the control plane's own
            return Origin("", None, None, subject, field, shown)
        return Origin(file, line, column, subject, field, shown)

    def forget(self) -> None:
        """Drop what was read so far; it is read again when asked for."""
        self._fields.forget()
