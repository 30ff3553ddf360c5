"""Sources to typed objects: the one interface behind which texts are read.

Large texts come from programs. They are decoded by msgspec, YAML after `fast_yaml` made JSON of it.
What these can't take, and all that a person may have written (texts up to `CAREFUL_BELOW`, with
duplicate keys and misspelt fields), is read by `careful`, which finds every problem and says where
it is.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from compiler.errors import InputError, Problem
from compiler.manifests import diagnostic_reader
from compiler.manifests.finding import Batch, Findings
from compiler.manifests.schema import KINDS, EndpointSlice, Manifest, Node, Service
from compiler.manifests.source import Source
from compiler.manifests.unused import report_unused
from compiler.manifests.validate import validate
from compiler.yaml import fast as fast_yaml
from compiler.yaml.plain import Path

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
_decode_manifest = msgspec.json.Decoder(Manifest).decode
_encode = msgspec.json.Encoder().encode
_DECODERS = {kind: msgspec.json.Decoder(cls) for kind, cls in KINDS.items()}


def read_manifests(
    sources: Sequence[Source],
    progress: Progress | None = None,
    *,
    without_cluster_ips: bool = False,
) -> Manifests:
    """Read and check all sources. Raises `InputError` with every problem in them.

    `without_cluster_ips` is for hand-written Services, which get their cluster IPs only later.
    """
    batches: list[Batch] = []
    skipped: Counter[str] = Counter()
    findings = Findings()
    for index, source in enumerate(sources):
        batches += _read(index, source, findings, skipped)
        if progress:
            progress(len(source.text))
    if sources and findings.is_empty and not batches and not findings.found:
        # What kubectl prints of nothing is an empty List. No document at all is what a command
        # that failed leaves behind, and its rules would take every Service away.
        raise InputError(Problem(sources[0].name, "no manifests in it", "YAML or JSON documents"))
    findings.settle()
    validate(batches, findings)
    report_unused(batches, findings, without_cluster_ips=without_cluster_ips)
    warnings: tuple[Problem, ...] = ()
    if findings.found:
        from compiler.manifests.locate import located

        problems, warnings = located(findings.found, sources)
        if problems:
            raise InputError(problems, warnings)
    return _sorted_out(batches, skipped, warnings)


def _read(index: int, source: Source, findings: Findings, skipped: Counter[str]) -> list[Batch]:
    """Read a source: fast where it is large and nothing is wrong with it, else with care."""
    if len(source.text) <= CAREFUL_BELOW:
        return diagnostic_reader.read(index, source, findings, skipped)
    if not diagnostic_reader.is_json(source.text):
        return _read_yaml(source, diagnostic_reader.Reading(index, findings, skipped))
    decoded = _decode_document(source.text)
    if decoded is None:
        return diagnostic_reader.read(index, source, findings, skipped)
    return [Batch(index, 0, *decoded)]


def _read_yaml(source: Source, reading: diagnostic_reader.Reading) -> list[Batch]:
    """Read a large YAML text piece by piece; only what is unusual in it is read with care."""
    document = -1
    for chunk in fast_yaml.chunks(source.text.removeprefix(BOM_UTF8), _shortened):
        document += chunk.item is None
        manifest = None if chunk.json is None else _decode_object(chunk.json)
        if manifest is None:
            reading.read_chunk(chunk, document)
        else:
            reading.add(manifest, document, () if chunk.item is None else ("items", chunk.item))
    return reading.batches


def _decode_object(text: bytes) -> Manifest | None:
    """Decode one object; None where anything about it is unusual."""
    try:
        manifest = _decode_manifest(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return manifest if _is_supported(manifest) else None


def _shortened(text: bytes) -> bytes:
    """Leave away what isn't decoded, where that changes nothing else."""
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
