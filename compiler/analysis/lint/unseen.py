"""Services that rules can't look at, as the input has not all of what makes their rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.words import listed
from compiler.manifests.schema import Service
from compiler.manifests.unused import lacks_cluster_ip


def unseen(context: Context) -> Iterator[str]:
    """Say which Services were left out, and why."""
    if names := without_cluster_ip(context):
        yield f"Services without a cluster IP, which kube-proxy skips: {listed(names)}"
    if names := without_slices(context):
        yield f"Services whose EndpointSlices are missing, in one IP family or all: {listed(names)}"


def without_cluster_ip(context: Context) -> Sequence[str]:
    """Name the Services whose cluster IP the API server has yet to assign."""
    return [
        _name(one)
        for one in context.services
        if one.spec and one.spec.ports and lacks_cluster_ip(one)
    ]


def without_slices(context: Context) -> Sequence[str]:
    """Name the Services that kube-proxy serves in a family of which they have no slice."""
    found = (port for port in context.ports if not port.slices)
    return list(dict.fromkeys(_name(port.service) for port in found))


def _name(service: Service) -> str:
    metadata = service.metadata
    return f"{(metadata and metadata.namespace) or 'default'}/{(metadata and metadata.name) or ''}"
