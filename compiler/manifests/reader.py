"""Sources to typed objects: the one interface behind which texts are read.

Large texts are decoded by msgspec, YAML after `compiler.yaml.fast` made JSON of it. What these
can't take, and all of a smaller text, is read by `diagnostic_reader`, which finds every problem and
its place.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from compiler.errors import ARGUMENT, InputError, Problem
from compiler.manifests import diagnostic_reader
from compiler.manifests.convert import are_misspelt
from compiler.manifests.remark import Batch, Place, Remark, Remarks
from compiler.manifests.schema import KINDS, EndpointSlice, Manifest, Node, Service
from compiler.manifests.source import Source
from compiler.manifests.text import OUTLINE, WHOLE, begins_as_json, decode, is_json, other_format
from compiler.manifests.unused import ENDPOINTS, report_unused
from compiler.manifests.validate import validate
from compiler.yaml import fast
from compiler.yaml.lines import UNKNOWN_PATH, KeyPath
from compiler.yaml.plain import Path, SyntaxProblem

Progress = Callable[[int], object]
"""Takes the number of bytes that were read since it was last called."""

# Bytes of a text from which on msgspec reads it. It reports neither misspelt fields nor duplicate
# keys; to search JSON for them takes many times as long, so a warning says that it was not done.
LARGE = 1024 * 1024


@dataclass(frozen=True)
class Manifests:
    """The objects of all sources, in reading order, and what was skipped.

    `batches` says where each object is: the source, the document, and the path in it. Where the
    control plane's part was added first, `notes` says what that was, `assumed` which of these notes
    say more than what an object got, and `texts` are the sources that the batches are in, then one
    with the Pods. `written` finds, by the path of an object in them, the place of a field in the
    text that it came from.
    """

    services: list[Service] = field(default_factory=list)
    endpoint_slices: list[EndpointSlice] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    skipped_kinds: Counter[str] = field(default_factory=Counter)
    warnings: tuple[Problem, ...] = ()
    batches: Sequence[Batch] = ()
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    written: Mapping[Path, Callable[[Path], Problem]] = field(default_factory=dict)
    texts: tuple[Source, ...] = ()


class _Head(msgspec.Struct, frozen=True, rename="camel"):
    kind: str | None = None
    api_version: str | None = None


class _MixedList(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    items: list[Service | EndpointSlice | Node]
    kind: str | None = None
    api_version: str | None = None


class _AnyList(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    items: list[msgspec.Raw]
    kind: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_mixed_list = msgspec.json.Decoder(_MixedList).decode
_decode_any_list = msgspec.json.Decoder(_AnyList).decode
_decode_plain = msgspec.json.Decoder(dict[str, object]).decode
_decode_manifest = msgspec.json.Decoder(Manifest).decode
_encode = msgspec.json.Encoder().encode
_DECODERS = {kind: msgspec.json.Decoder(cls) for kind, cls in KINDS.items()}


def read_manifests(
    sources: Sequence[Source],
    progress: Progress | None = None,
    *,
    every_kind: bool = False,
    without_cluster_ips: bool = False,
    check_all: bool = False,
    workers: int = 1,
) -> Manifests:
    """Read and check all sources.

    `progress` is called with the number of bytes read. With `every_kind` also objects that are not
    compiled are read beyond their kind, and checked for duplicate keys. `without_cluster_ips` is
    for hand-written Services, which get their cluster IPs only later. With `check_all` misspelt
    fields and duplicate keys are searched for in JSON of any size; otherwise a warning names each
    JSON text that was too large for it. With two `workers` this process may be forked to read a
    large YAML text. Raises `InputError` with every problem of the sources.
    """
    reading = _Reading(WHOLE if every_kind else OUTLINE, check_all=check_all, workers=workers)
    batches: list[Batch] = []
    for index, source in enumerate(sources):
        batches += reading.read(index, source)
        if progress:
            progress(len(source.text))
    remarks = reading.remarks
    if sources and remarks.is_empty and not batches and not remarks.found:
        # What kubectl prints of nothing is an empty List. No document at all is what a command
        # that failed leaves behind, and its rules would remove every Service.
        raise InputError(Problem(sources[0].name, "no manifests in it", "YAML or JSON documents"))
    remarks.settle()
    validate(batches, remarks)
    report_unused(batches, remarks, without_cluster_ips=without_cluster_ips)
    warnings: tuple[Problem, ...] = ()
    if remarks.found:
        from compiler.manifests.locate import located

        problems, warnings = located(remarks.found, sources, reading.outline)
        if problems:
            raise InputError(problems, warnings)
    return _sorted_out(batches, reading.skipped, (*reading.unchecked, *warnings))


class _Reading:
    """The reading of all sources: remarks, skipped kinds, sources that were not checked."""

    def __init__(self, outline: fast.Outline, *, check_all: bool, workers: int) -> None:
        self.outline = outline
        self.remarks = Remarks()
        self.skipped: Counter[str] = Counter()
        self.unchecked: list[Problem] = []
        self._check_all = check_all
        self._workers = workers

    def read(self, index: int, source: Source) -> list[Batch]:
        """Read a source: fast where it is large and nothing is wrong with it."""
        if other := other_format(source.text):
            self.remarks.add_at(Remark(Place(index, 0, ()), *other, position=(1, 1)))
            return []
        try:
            if len(source.text) <= LARGE:
                return self._read_all(index, source)
            if not source.text.isascii():
                decode(source.text)  # a byte that is not UTF-8 is reported with its line
            return self._read_large(index, source)
        except SyntaxProblem as problem:
            self._reading(index).report_syntax(problem, 0)
            return []

    def _reading(self, index: int) -> diagnostic_reader.Reading:
        return diagnostic_reader.Reading(index, self.remarks, self.skipped)

    def _read_all(self, index: int, source: Source) -> list[Batch]:
        return diagnostic_reader.read(index, source, self.remarks, self.skipped, self.outline)

    def _read_large(self, index: int, source: Source) -> list[Batch]:
        decoded = None
        if begins_as_json(source.text) and not self._check_all:  # decoding finds out how it goes on
            decoded = _decode_document(source.text) or self._decode_list(index, source)
        if decoded is None:
            read = self._read_all if is_json(source.text) else self._read_yaml
            return read(index, source)
        message = "larger than 1 MiB, so misspelt fields and duplicate keys were not searched for"
        hint = f"{ARGUMENT} searches for them"
        self.unchecked.append(Problem(source.name, message, hint, argument="check_fields"))
        return [Batch(index, 0, *decoded)]

    def _decode_list(self, index: int, source: Source) -> tuple[list[Manifest], list[Path]] | None:
        """Decode a List with objects of other kinds; None where anything else is unusual."""
        skipped: list[_Head] = []
        noted: list[tuple[int, msgspec.Raw]] = []
        objects: list[Manifest] = []
        bases: list[Path] = []
        try:
            decoded = _decode_any_list(source.text)
            if decoded.kind != "List":
                return None
            for place, item in enumerate(decoded.items):
                head = _decode_head(item)
                if head.kind in _DECODERS:
                    objects.append(_DECODERS[head.kind].decode(item))
                    bases.append(("items", place))
                elif head.kind == ENDPOINTS and self.outline is OUTLINE:
                    noted.append((place, item))
                    skipped.append(head)
                elif not head.kind or self.outline.is_read(head.kind.encode()):
                    return None
                else:
                    skipped.append(head)
            values = [(place, _decode_plain(item)) for place, item in noted]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if not all(map(_is_supported, objects)):
            return None
        reading = self._reading(index)
        for place, value in values:
            reading.note(ENDPOINTS, value, Place(index, 0, ("items", place)))
        for head in skipped:
            reading.skip(head.kind or "", head.api_version)
        return objects, bases

    def _read_yaml(self, index: int, source: Source) -> list[Batch]:
        """Read a large YAML text chunk by chunk; only what is unusual in it takes longer."""
        found, skipped = len(self.remarks.found), Counter[str]()
        reading = diagnostic_reader.Reading(index, self.remarks, skipped)
        document = -1
        seen: set[KeyPath] = set()
        for chunk in fast.chunks(
            source.text.removeprefix(BOM_UTF8),
            self.outline,
            _shortened,
            workers=self._workers,
            seen=seen,
        ):
            document += chunk.item is None
            manifest = None if chunk.json is None else _decode_object(chunk.json)
            if manifest is None:
                reading.read_chunk(chunk, document)
            else:
                reading.add(manifest, document, () if chunk.item is None else ("items", chunk.item))
        if UNKNOWN_PATH in seen or are_misspelt(seen, KINDS.values()):
            # Where, only the diagnostic reader knows: once more from the start.
            del self.remarks.found[found:]
            return self._read_all(index, source)
        self.skipped.update(skipped)
        return reading.batches


def _decode_object(text: bytes) -> Manifest | None:
    """Decode one object; None where anything about it is unusual."""
    try:
        manifest = _decode_manifest(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return manifest if _is_supported(manifest) else None


def _shortened(text: bytes) -> bytes:
    """Leave out what isn't decoded, where that changes nothing else."""
    manifest = _decode_object(text)
    return text if manifest is None else _encode(manifest)


def _decode_document(text: bytes) -> tuple[list[Manifest], list[Path]] | None:
    """Decode one JSON document; None where anything about it is unusual."""
    try:
        if b'"items"' in text[:1000]:
            mixed = _decode_mixed_list(text)
            if mixed.kind != "List" or not all(map(_is_supported, mixed.items)):
                return None
            objects: list[Manifest] = list(mixed.items)
            return objects, [("items", place) for place in range(len(objects))]
        head = _decode_head(text)
        if head.kind not in KINDS or head.api_version != KINDS[head.kind].API_VERSION:
            return None
        return [_DECODERS[head.kind].decode(text)], [()]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _is_supported(manifest: Manifest) -> bool:
    return manifest.api_version == manifest.API_VERSION


def _sorted_out(
    batches: Sequence[Batch], skipped: Counter[str], warnings: tuple[Problem, ...]
) -> Manifests:
    manifests = Manifests(skipped_kinds=skipped, warnings=warnings, batches=batches)
    for batch in batches:
        for manifest in batch.objects:
            if isinstance(manifest, Service):
                manifests.services.append(manifest)
            elif isinstance(manifest, EndpointSlice):
                manifests.endpoint_slices.append(manifest)
            else:
                manifests.nodes.append(manifest)
    return manifests
