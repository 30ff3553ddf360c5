"""Reading with care: every problem of a text, not only the first."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from compiler.manifests.convert import convert, describe, shorten
from compiler.manifests.finding import Batch, Finding, Findings, Place
from compiler.manifests.schema import KINDS, Manifest
from compiler.manifests.source import Source
from compiler.manifests.unused import note_skipped
from compiler.yaml import fast as fast_yaml
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

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"

# Where a JSON text shows itself: a brace, and then a quoted key or nothing.
HEAD = 4096
_JSON_START = re.compile(rb"\s*\{\s*(?:[\"}]|\Z)")


@dataclass(frozen=True)
class Part:
    """A document, or the item of one (`base` is then its path there), as it was read."""

    document: int
    base: Path
    plain: PlainDocument


def read(index: int, source: Source, findings: Findings, skipped: Counter[str]) -> list[Batch]:
    """Read a source (number `index`), telling `findings` all that is wrong with it.

    Objects of other kinds are counted in `skipped`.
    """
    reading = Reading(index, findings, skipped)
    try:
        text = decode(source.text)
    except SyntaxProblem as problem:
        reading.tell_syntax(problem, 0)
        return []
    if is_json(text):
        reading.read_json(text)
    else:
        document = -1
        for chunk in fast_yaml.chunks(text.encode()):
            document += chunk.item is None
            reading.read_chunk(chunk, document)
    return reading.batches


def _is_list(kind: str, value: PlainMap) -> bool:
    """Tell a `List`, or a list of one of our kinds (and not of another API group's kind)."""
    cls = KINDS.get(kind.removesuffix("List"))
    if kind == "List" or cls is None:
        return kind == "List"
    version = value.get("apiVersion", cls.API_VERSION)
    return kind.endswith("List") and group_of(version) == group_of(cls.API_VERSION)


def group_of(version: object) -> str:
    """Give the API group of an apiVersion; the core group is empty."""
    return str(version).rpartition("/")[0]


def decode(text: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark. Raises `SyntaxProblem`."""
    try:
        return text.decode().removeprefix(BOM)
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"not UTF-8: the byte 0x{text[error.start]:02x}"
        raise SyntaxProblem(message, "save the file as UTF-8", line, column) from error


def is_json(text: str | bytes) -> bool:
    """Tell JSON from YAML: `{a: 1}` is YAML, and so are JSON documents with `---` between them."""
    head = text[:HEAD].encode() if isinstance(text, str) else text[:HEAD]
    return _JSON_START.match(head) is not None and not _has_marker(text)


def _has_marker(text: str | bytes) -> bool:
    # No JSON has such a line: its strings can't hold line breaks.
    return "\n---" in text if isinstance(text, str) else b"\n---" in text


class Reading:
    """The reading of one source (number `source`): `batches` has the objects so far."""

    def __init__(self, source: int, findings: Findings, skipped: Counter[str]) -> None:
        self._source = source
        self._findings = findings
        self._skipped = skipped
        self.batches: list[Batch] = []

    def tell_syntax(self, problem: SyntaxProblem, document: int) -> None:
        """Tell where the text is not JSON or not YAML."""
        position: Position = (problem.line, problem.column)
        place = Place(self._source, document, ())
        self._findings.add_at(Finding(place, problem.message, problem.hint, position=position))

    def read_json(self, text: str) -> None:
        """Read JSON documents."""
        number = -1
        try:
            for number, document in enumerate(json_documents(text)):
                self.take(Part(number, (), document))
        except SyntaxProblem as problem:
            self.tell_syntax(problem, number + 1)

    def read_chunk(self, chunk: fast_yaml.Chunk, document: int) -> None:
        """Read a piece of a YAML text, which belongs to a document or is several from it on."""
        base: Path = () if chunk.item is None else ("items", chunk.item)
        if chunk.json is not None:
            self.take(Part(document, base, JsonDocument(chunk.json.decode())))
            return
        from compiler.yaml import composed

        try:
            text, is_item = decode(chunk.text), chunk.item is not None
            documents = composed.compose(text, chunk.line, is_item=is_item)
            for offset, one in enumerate(documents):
                self.take(Part(document + offset, base, one))
        except SyntaxProblem as problem:
            self.tell_syntax(problem, document)

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
            self.tell_syntax(problem, part.document)
            return
        if value is not None or part.base:
            self._findings.is_empty = False
            self._take(value, part, part.base, "")

    def _take(self, value: object, part: Part, path: Path, bare_kind: str) -> None:
        if not isinstance(value, PlainMap):
            message = f"expected a Kubernetes object, found {describe(value)}"
            self._tell(part, path, message, "a mapping with apiVersion and kind")
            return
        kind = value.get("kind", bare_kind or None)
        if not isinstance(kind, str) or not kind:
            message = "missing" if kind is None else f"expected a string, found {describe(kind)}"
            self._tell(part, (*path, "kind"), message, "such as Service or List")
        elif _is_list(kind, value):
            self._take_items(value, part, path, kind.removesuffix("List"))
        elif self._is_ours(kind, value, part, path, bare=bool(bare_kind)):
            self._take_object(kind, value, part, path)

    def _take_items(self, value: PlainMap, part: Part, path: Path, bare_kind: str) -> None:
        for name in value.duplicates:
            self._tell(
                part, (*path, name), "the key stands here twice", "each key once", at_key=True
            )
        version = value.get("apiVersion")
        if bare_kind in KINDS and version not in {None, KINDS[bare_kind].API_VERSION}:
            message = f"{shorten(str(version))} is not supported"
            self._tell(part, (*path, "apiVersion"), message, KINDS[bare_kind].API_VERSION)
            return
        items = value.get("items")
        if items is None:
            return
        if not isinstance(items, list):
            message = f"expected a list, found {describe(items)}"
            self._tell(part, (*path, "items"), message, "")
            return
        for index, item in enumerate(items):
            self._take(item, part, (*path, "items", index), bare_kind)

    def _is_ours(self, kind: str, value: PlainMap, part: Part, path: Path, *, bare: bool) -> bool:
        """Tell whether an object is of a kind that is compiled; count it where it isn't."""
        cls = KINDS.get(kind)
        version = value.get("apiVersion")
        if cls is not None and (version == cls.API_VERSION or (version is None and bare)):
            return True
        if version is not None and not isinstance(version, str):
            message = f"expected a string, found {describe(version)}"
            self._tell(part, (*path, "apiVersion"), message, "")
            return False
        if cls is not None and (version is None or group_of(version) == group_of(cls.API_VERSION)):
            message = "missing" if version is None else f"{shorten(version)} is not supported"
            self._tell(part, (*path, "apiVersion"), message, cls.API_VERSION)
            return False
        note_skipped(value, kind, Place(self._source, part.document, path), self._findings)
        if cls is not None and version is not None:
            kind = f"{kind}.{version.partition('/')[0]}"
        for duplicate in duplicate_keys(value, path):
            self._tell(part, duplicate, "the key stands here twice", "each key once", at_key=True)
        self._skipped[kind if kind.isprintable() else shorten(kind)] += 1
        return False

    def _take_object(self, kind: str, value: PlainMap, part: Part, path: Path) -> None:
        told: list[tuple[Path, str, str, bool]] = []
        manifest = convert(
            {"kind": kind, **value},
            KINDS[kind],
            lambda where, message, hint: told.append((where, message, hint, False)),
            lambda where, message, hint: told.append((where, message, hint, True)),
        )
        batch = self.add(manifest, part.document, path)
        self._findings.start(batch, len(batch.objects) - 1)
        for where in duplicate_keys(value):
            self._findings.add(where, "the key stands here twice", "each key once", at_key=True)
        for where, message, hint, misspelt in told:
            self._findings.add(where, message, hint, warning=misspelt, at_key=misspelt)

    def _tell(
        self, part: Part, path: Path, message: str, hint: str, *, at_key: bool = False
    ) -> None:
        place = Place(self._source, part.document, path)
        # What is wrong with an item as such is told with its path in the list.
        base = part.base if len(path) > len(part.base) else ()
        self._findings.add_at(Finding(place, message, hint, base=base, at_key=at_key))
