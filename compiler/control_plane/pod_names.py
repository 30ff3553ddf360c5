"""Addresses of Pods by their names, from Pods and from what EndpointSlices refer to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.control_plane.objects import PlainObject, list_at, plain_objects, text_at
from compiler.family import Family
from compiler.manifests.address import canonical, family_of
from compiler.manifests.source import Source


def pod_addresses(sources: Sequence[Source], wanted: str, family: Family) -> tuple[str, ...]:
    """Return the addresses of the Pods or endpoints called `[NAMESPACE/]NAME`, each once."""
    namespace, _, name = wanted.rpartition("/")
    found: dict[str, None] = {}
    for one in plain_objects(sources):
        if namespace and one.namespace != namespace:
            continue
        for address in _addresses(one, name):
            if family_of(address) is family:
                found[canonical(address)] = None
    return tuple(found)


def pods_of_service(sources: Sequence[Source], service: str) -> dict[str, str]:
    """Return the names of a Service's Pods (`default/web`), by address, as its slices have them."""
    pods = pods_of_services(sources)
    return {address: pod for (owner, address), pod in pods.items() if owner == service}


def pods_of_services(sources: Sequence[Source]) -> dict[tuple[str, str], str]:
    """Return the names of Pods by Service (`default/web`) and address, as slices have them."""
    found: dict[tuple[str, str], str] = {}
    for one in plain_objects(sources):
        service = text_at(one.value, "metadata", "labels", "kubernetes.io/service-name")
        if one.kind != "EndpointSlice" or not service:
            continue
        for endpoint in list_at(one.value, "endpoints"):
            pod = text_at(endpoint, "targetRef", "name") or text_at(endpoint, "hostname")
            for address in list_at(endpoint, "addresses") if pod else ():
                found[f"{one.namespace}/{service}", canonical(str(address))] = pod
    return found


def _addresses(one: PlainObject, name: str) -> Iterator[str]:
    if one.kind == "Pod" and one.name == name:
        for entry in list_at(one.value, "status", "podIPs"):
            yield text_at(entry, "ip")
        yield text_at(one.value, "status", "podIP")
    if one.kind == "EndpointSlice":
        for endpoint in list_at(one.value, "endpoints"):
            names = (text_at(endpoint, "targetRef", "name"), text_at(endpoint, "hostname"))
            if name in names:
                yield from (str(address) for address in list_at(endpoint, "addresses"))
