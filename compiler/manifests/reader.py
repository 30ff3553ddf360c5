"""Sources to typed objects: the one interface behind which texts are read.

Every text is decoded by msgspec first. What it can't take, and what only a person writes
(duplicate keys, misspelt fields, in texts up to `CAREFUL_BELOW`), is read again by `careful`,
which finds every problem and says where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from compiler.errors import InputError, Problem
from compiler.manifests.careful import is_json
from compiler.manifests.finding import Batch, Findings
from compiler.manifests.plain import Path
from compiler.manifests.schema import KINDS, EndpointSlice, Manifest, Node, Service
from compiler.manifests.source import Source
from compiler.manifests.validate import validate

Progress = Callable[[int], object]
"""Takes the number of bytes that were read since it was last called."""

# Texts up to this many bytes are also searched for duplicate keys and misspelt fields. Larger ones
# come from programs, the API server's own above all, which writes neither.
CAREFUL_BELOW = 1024 * 1024


@dataclass(frozen=True)
class Manifests:
    """The objects of all sources, in reading order, and what was passed over."""

    services: list[Service] = field(default_factory=list)
    endpoint_slices: list[EndpointSlice] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    skipped_kinds: Counter[str] = field(default_factory=Counter)
    warnings: tuple[Problem, ...] = ()


class _Head(msgspec.Struct, frozen=True, rename="camel"):
    kind: str | None = None
    api_version: str | None = None


class _MixedList(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    items: list[Service | EndpointSlice | Node]
    kind: str | None = None
    api_version: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_mixed_list = msgspec.json.Decoder(_MixedList).decode
_DECODERS = {kind: msgspec.json.Decoder(cls) for kind, cls in KINDS.items()}


def read_manifests(sources: Sequence[Source], progress: Progress | None = None) -> Manifests:
    """Read and check all sources. Raises `InputError` with every problem in them."""
    batches: list[Batch] = []
    skipped: Counter[str] = Counter()
    findings = Findings()
    for index, source in enumerate(sources):
        read = _decode_source(index, source)
        if read is None:
            from compiler.manifests import careful

            read = careful.read(index, source, findings, skipped)
        batches += read
        if progress:
            progress(len(source.text))
    findings.settle()
    validate(batches, findings)
    warnings: tuple[Problem, ...] = ()
    if findings.found:
        from compiler.manifests.locate import located

        problems, warnings = located(findings.found, sources)
        if problems:
            raise InputError(problems, warnings)
    return _sorted_out(batches, skipped, warnings)


def _decode_source(index: int, source: Source) -> list[Batch] | None:
    """Decode a source; None where it has to be read with care."""
    if not is_json(source.text) or len(source.text) <= CAREFUL_BELOW:
        return None
    decoded = _decode_document(source.text)
    return None if decoded is None else [Batch(index, 0, *decoded)]


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
    batches: Iterable[Batch], skipped: Counter[str], warnings: tuple[Problem, ...]
) -> Manifests:
    manifests = Manifests(skipped_kinds=skipped, warnings=warnings)
    for batch in batches:
        for manifest in batch.objects:
            if isinstance(manifest, Service):
                manifests.services.append(manifest)
            elif isinstance(manifest, EndpointSlice):
                manifests.endpoint_slices.append(manifest)
            else:
                manifests.nodes.append(manifest)
    return manifests
