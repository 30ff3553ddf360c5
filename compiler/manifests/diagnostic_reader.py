"""Reading that finds every problem of a text, not only the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from compiler.errors import MAX_REPORTED
from compiler.manifests.convert import convert, describe, shorten
from compiler.manifests.remark import Batch, Place, Remark, Remarks
from compiler.manifests.schema import KINDS, Manifest
from compiler.manifests.source import Source
from compiler.manifests.text import decode, group_of, is_json
from compiler.manifests.unused import note_skipped
from compiler.yaml import fast
from compiler.yaml.plain import (
    JsonDocument,
    Path,
    PlainDocument,
    PlainMap,
    Position,
    SyntaxProblem,
    duplicate_keys,
    json_documents,
)

if TYPE_CHECKING:
    from compiler.yaml.places import Places

DUPLICATE = "duplicate key"


@dataclass(frozen=True)
class Part:
    """A document, or the item of one (`base` is then its path there), as it was read."""

    document: int
    base: Path
    plain: PlainDocument


class ChunkDocument(JsonDocument):
    """A chunk that `fast` made JSON of; its YAML is looked at for its own words and places."""

    def __init__(self, chunk: fast.Chunk, json: bytes) -> None:
        super().__init__(json.decode())
        self._chunk = chunk

    @cached_property
    def _places(self) -> Places:
        from compiler.yaml.places import Places

        chunk = self._chunk
        return Places(chunk.text, chunk.line, is_item=chunk.item is not None)

    def written(self, path: Path) -> str:
        """See `PlainDocument.written`; of a string it is the JSON."""
        text = super().written(path)
        return text if text.startswith('"') else self._places.written(path)

    def locate(self, path: Path, *, key: bool = False, first: bool = False) -> Position:
        """See `PlainDocument.locate`: the place in the YAML."""
        return self._places.locate(path, key=key, first=first)


def chunk_documents(chunk: fast.Chunk) -> Sequence[PlainDocument]:
    """Return the documents of a chunk that was read whole. Raises `SyntaxProblem`."""
    return _compose(chunk) if chunk.json is None else [ChunkDocument(chunk, chunk.json)]


def _compose(chunk: fast.Chunk) -> Sequence[PlainDocument]:
    from compiler.yaml.composed import compose

    return compose(decode(chunk.text), chunk.line, is_item=chunk.item is not None)


@dataclass(frozen=True)
class _Scalars:
    """How the scalars of the object at `base` were written.

    To find out may mean to compose a chunk, so it is done for no more problems than are reported.
    """

    plain: PlainDocument
    base: Path
    remarks: Remarks

    def written(self, path: Path) -> str:
        if len(self.remarks.found) >= MAX_REPORTED:
            return ""
        return self.plain.written((*self.base, *path))

    def octal(self, path: Path) -> tuple[int, int] | None:
        return self.plain.octal((*self.base, *path))


def read(
    index: int,
    source: Source,
    remarks: Remarks,
    skipped: Counter[str],
    outline: fast.Outline,
) -> list[Batch]:
    """Read a source (number `index`), adding every problem of it to `remarks`.

    Objects of other kinds are counted in `skipped`. Raises `SyntaxProblem` where it is not UTF-8.
    """
    reading = Reading(index, remarks, skipped)
    text = decode(source.text)
    if is_json(text):
        reading.read_json(text)
    else:
        document = -1
        for chunk in fast.chunks(text.encode(), outline):
            document += chunk.item is None
            reading.read_chunk(chunk, document)
    return reading.batches


def _is_list(kind: str, value: PlainMap) -> bool:
    """Whether this is a `List`, or a list of one of our kinds in our API group."""
    cls = KINDS.get(kind.removesuffix("List"))
    if kind == "List" or cls is None:
        return kind == "List"
    version = value.get("apiVersion", cls.API_VERSION)
    return kind.endswith("List") and group_of(version) == group_of(cls.API_VERSION)


class Reading:
    """The reading of one source (number `source`): `batches` has the objects so far."""

    def __init__(self, source: int, remarks: Remarks, skipped: Counter[str]) -> None:
        self._source = source
        self._remarks = remarks
        self._skipped = skipped
        self.batches: list[Batch] = []

    def report_syntax(self, problem: SyntaxProblem, document: int) -> None:
        """Report where the text is not JSON or not YAML."""
        position: Position = (problem.line, problem.column)
        place = Place(self._source, document, ())
        self._remarks.add_at(Remark(place, problem.message, problem.hint, position=position))

    def read_json(self, text: str) -> None:
        """Read JSON documents."""
        number = -1
        try:
            for number, document in enumerate(json_documents(text)):
                self.take(Part(number, (), document))
        except SyntaxProblem as problem:
            self.report_syntax(problem, number + 1)

    def read_chunk(self, chunk: fast.Chunk, document: int) -> None:
        """Read a chunk of a YAML text, which belongs to a document or is several from it on."""
        base: Path = () if chunk.item is None else ("items", chunk.item)
        if chunk.head is not None:
            self._remarks.is_empty = False
            head = {name.decode(): value.decode() for name, value in chunk.head.items()}
            self.skip(head["kind"], head.get("apiVersion"))
            return
        if chunk.json is not None:
            self.take(Part(document, base, ChunkDocument(chunk, chunk.json)))
            return
        try:
            for offset, one in enumerate(_compose(chunk)):
                self.take(Part(document + offset, base, one))
        except SyntaxProblem as problem:
            self.report_syntax(problem, document)

    def add(self, manifest: Manifest, document: int, base: Path) -> Batch:
        """Add an object, and return the batch that it is the last of."""
        if not self.batches or self.batches[-1].document != document:
            self.batches.append(Batch(self._source, document, [], []))
        batch = self.batches[-1]
        batch.objects.append(manifest)
        batch.bases.append(base)
        return batch

    def take(self, part: Part) -> None:
        """Take a part's objects."""
        try:
            value = part.plain.value
        except SyntaxProblem as problem:
            self.report_syntax(problem, part.document)
            return
        if value is not None or part.base:
            self._remarks.is_empty = False
            self._take(value, part, part.base, "")

    def _take(self, value: object, part: Part, path: Path, bare_kind: str) -> None:
        if not isinstance(value, PlainMap):
            message = f"expected a Kubernetes object, found {describe(value)}"
            self._report(part, path, message, "a mapping with apiVersion and kind")
            return
        kind = value.get("kind", bare_kind or None)
        if not isinstance(kind, str) or not kind:
            message = "missing" if kind is None else f"expected a string, found {describe(kind)}"
            self._report(part, (*path, "kind"), message, "such as Service or List")
        elif _is_list(kind, value):
            self._take_items(value, part, path, kind.removesuffix("List"))
        elif self._is_ours(kind, value, part, path, bare=bool(bare_kind)):
            self._take_object(kind, value, part, path)

    def _take_items(self, value: PlainMap, part: Part, path: Path, bare_kind: str) -> None:
        for name in value.duplicates:
            self._report_duplicate(part, (*path, name))
        version = value.get("apiVersion")
        if bare_kind in KINDS and version not in {None, KINDS[bare_kind].API_VERSION}:
            message = f"{shorten(str(version))} is not supported"
            self._report(part, (*path, "apiVersion"), message, KINDS[bare_kind].API_VERSION)
            return
        items = value.get("items")
        if items is None:
            return
        if not isinstance(items, list):
            message = f"expected a list, found {describe(items)}"
            self._report(part, (*path, "items"), message, "")
            return
        for index, item in enumerate(items):
            self._take(item, part, (*path, "items", index), bare_kind)

    def _is_ours(self, kind: str, value: PlainMap, part: Part, path: Path, *, bare: bool) -> bool:
        """Whether an object is of a kind that is compiled; count it where it isn't."""
        cls = KINDS.get(kind)
        version = value.get("apiVersion")
        if cls is not None and (version == cls.API_VERSION or (version is None and bare)):
            return True
        if version is not None and not isinstance(version, str):
            message = f"expected a string, found {describe(version)}"
            self._report(part, (*path, "apiVersion"), message, "")
            return False
        if cls is not None and (version is None or group_of(version) == group_of(cls.API_VERSION)):
            message = "missing" if version is None else f"{shorten(version)} is not supported"
            self._report(part, (*path, "apiVersion"), message, cls.API_VERSION)
            return False
        self.note(kind, value, Place(self._source, part.document, path))
        for duplicate in duplicate_keys(value, path):
            self._report_duplicate(part, duplicate)
        self.skip(kind, version)
        return False

    def note(self, kind: str, value: Mapping[str, object], place: Place) -> None:
        """Note a skipped object if it may be a mistake, or an Endpoints object without slices."""
        note_skipped(value, kind, place, self._remarks)

    def skip(self, kind: str, version: str | None) -> None:
        """Count an object that is not compiled."""
        if kind in KINDS:  # of another group
            kind = f"{kind}.{group_of(version)}"
        self._skipped[kind if kind.isprintable() else shorten(kind)] += 1

    def _take_object(self, kind: str, value: PlainMap, part: Part, path: Path) -> None:
        found: list[tuple[Path, str, str, bool]] = []
        relative = path[len(part.base) :]
        manifest = convert(
            {"kind": kind, **value},
            KINDS[kind],
            lambda where, message, hint: found.append((where, message, hint, False)),
            lambda where, message, hint: found.append((where, message, hint, True)),
            scalars=_Scalars(part.plain, relative, self._remarks),
        )
        batch = self.add(manifest, part.document, path)
        self._remarks.start(batch, len(batch.objects) - 1)
        for where in duplicate_keys(value):
            first = (batch, len(batch.objects) - 1, where)
            self._remarks.add(where, DUPLICATE, at_key=True, first=first)
        for where, message, hint, misspelt in found:
            self._remarks.add(where, message, hint, warning=misspelt, at_key=misspelt)

    def _report(self, part: Part, path: Path, message: str, hint: str) -> None:
        place = Place(self._source, part.document, path)
        # What is wrong with an item as such is reported with its path in the list.
        base = part.base if len(path) > len(part.base) else ()
        self._remarks.add_at(Remark(place, message, hint, base=base))

    def _report_duplicate(self, part: Part, path: Path) -> None:
        place = Place(self._source, part.document, path)
        base = part.base if len(path) > len(part.base) else ()
        self._remarks.add_at(Remark(place, DUPLICATE, base=base, at_key=True, first=place))
