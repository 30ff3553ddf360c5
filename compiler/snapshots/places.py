"""Where service ports are in the manifests of a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from compiler.errors import InputError
from compiler.kube_rules.service_port import Key
from compiler.manifests.origins import Origins
from compiler.manifests.reader import read_manifests
from compiler.manifests.source import Source
from compiler.yaml.plain import Path


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A line of a file, from the folder of `proxyrules.yaml`."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def places_of(keys: Collection[Key], sources: Sequence[Source]) -> dict[Key, FilePlace]:
    """Find service ports in manifests; of one that is not there, its Service's name."""
    if not keys or not sources:
        return {}
    try:
        manifests = read_manifests(sources, without_cluster_ips=True)
    except InputError:
        return {}
    origins = Origins(manifests, sources)
    wanted = {key.name.partition(":")[0] for key in keys}
    found: dict[Key, FilePlace] = {}
    for service in manifests.services:
        metadata, spec = service.metadata, service.spec
        name = f"{(metadata and metadata.namespace) or 'default'}/{metadata and metadata.name}"
        if name not in wanted:
            continue
        paths: dict[tuple[str, str], Path] = {}
        for index, port in enumerate((spec and spec.ports) or ()):
            full = f"{name}:{port.name}" if port.name else name
            paths[full, (port.protocol or "TCP").lower()] = ("spec", "ports", index)
        for key in keys:
            if key.name.partition(":")[0] == name:
                path = paths.get((key.name, key.protocol), ("metadata", "name"))
                origin = origins.origin(service, path)
                if origin.line:
                    found[key] = FilePlace(origin.file, origin.line, origin.column or 1)
    return found
