"""EndpointSlices of Endpoints, as the EndpointSliceMirroring controller writes them.

It is for Services without a selector, whose endpoints somebody wrote by hand. Source: kubernetes
`pkg/controller/endpointslicemirroring/endpointslicemirroring_controller.go` (`syncEndpoints`,
`shouldMirror`), `reconciler.go` (`reconcile`: one slice per family and set of ports), `utils.go`
(`newEndpointSlice`, `addressToEndpoint`); that notReadyAddresses are not ready is its PR 102683.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compiler.control_plane.endpoint_slices import SERVICE_NAME, suffix
from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.control_plane.pods import name_problems
from compiler.errors import Problem
from compiler.family import Family
from compiler.manifests.address import canonical, family_of
from compiler.manifests.convert import shorten
from compiler.manifests.validate import PORT_RULE, PROTOCOLS
from compiler.yaml.plain import Path

# The controller's --mirroring-max-endpoints-per-subset.
MAX_ENDPOINTS = 1000
MANAGER_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGED_BY = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
# Annotations that are not copied.
_NOT_COPIED = (
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
)

_Group = tuple[Family, str]
"""A family, and the ports of a subset as JSON."""


def endpoints_problems(found: PlainObject) -> Iterator[Problem]:
    """Find what the API server would reject in an Endpoints object."""
    yield from name_problems(found)
    subsets = found.value.get("subsets")
    if subsets is not None and not isinstance(subsets, list):
        yield found.wrong_type(("subsets",), "a list", subsets)
    for number, subset in enumerate(list_at(found.value, "subsets")):
        where: Path = ("subsets", number)
        if not isinstance(subset, dict):
            yield found.wrong_type(where, "a mapping", subset)
        for kind in ("addresses", "notReadyAddresses"):
            for index, one in enumerate(list_at(subset, kind)):
                if family_of(text_at(one, "ip")) is None:
                    address = shorten(str(at(one, "ip") or ""))
                    path = (*where, kind, index, "ip")
                    yield found.problem(
                        path, f"{address} is not an IP address", "use one like 192.168.0.2"
                    )
        for index, port in enumerate(list_at(subset, "ports")):
            yield from _port_problems(found, (*where, "ports", index), port)


def _port_problems(found: PlainObject, where: Path, port: object) -> Iterator[Problem]:
    number, protocol = at(port, "port"), at(port, "protocol")
    if type(number) is not int:
        yield found.wrong_type((*where, "port"), "a port number", number)
    elif not 1 <= number <= 65535:
        yield found.problem((*where, "port"), f"invalid port {number}", PORT_RULE)
    if protocol is not None and protocol not in PROTOCOLS:
        message = f"unsupported value {shorten(str(protocol))}"
        hint = f"supported values: {', '.join(PROTOCOLS)}"
        yield found.problem((*where, "protocol"), message, hint)
    if (name := at(port, "name")) is not None and not isinstance(name, str):
        yield found.wrong_type((*where, "name"), "a string", name)


class Mirroring:
    """Mirrors Endpoints; `notes` and `warnings` say what was done with them."""

    def __init__(self, objects: Sequence[PlainObject]) -> None:
        self._objects = objects
        self._services = {
            (one.namespace, one.name): one for one in objects if one.kind == "Service"
        }
        self._mirrored = {
            (one.namespace, text_at(one.value, "metadata", "labels", SERVICE_NAME))
            for one in objects
            if one.kind == "EndpointSlice"
            and text_at(one.value, "metadata", "labels", MANAGER_LABEL) == MANAGED_BY
        }
        self.notes: list[str] = []
        self.warnings: list[Problem] = []

    def slices(self) -> list[dict[str, Any]]:
        """Return the slices of all Endpoints that are mirrored."""
        made: list[dict[str, Any]] = []
        for found in self._objects:
            if found.kind == "Endpoints" and self._is_mirrored(found):
                slices = list(self._slices_of(found))
                made += slices
                for one in slices:
                    count = len(one["endpoints"])
                    self.notes.append(
                        f"EndpointSlice {found.namespace}/{one['metadata']['name']} mirrors "
                        f"{count} address{'' if count == 1 else 'es'} of {found.subject}"
                    )
        return made

    def _is_mirrored(self, found: PlainObject) -> bool:
        key = found.namespace, found.name
        if text_at(found.value, "metadata", "labels", SKIP) == "true":
            return False
        if LEADER in map_at(found.value, "metadata", "annotations") or key in self._mirrored:
            return False
        service = self._services.get(key)
        if service is None:
            message = "there is no Service of this name, so it is not mirrored and has no effect"
            problem = found.problem(("metadata", "name"), message, "add the Service")
            self.warnings.append(problem)
            return False
        return not map_at(service.value, "spec", "selector")

    def _slices_of(self, found: PlainObject) -> Iterator[dict[str, Any]]:
        groups: dict[_Group, dict[str, dict[str, Any]]] = {}
        for number, subset in enumerate(list_at(found.value, "subsets")):
            ports = json.dumps(sorted(map(_port, list_at(subset, "ports")), key=str))
            entries = [(one, True) for one in list_at(subset, "addresses")]
            entries += [(one, False) for one in list_at(subset, "notReadyAddresses")]
            for one, ready in entries[:MAX_ENDPOINTS]:
                _add(groups, ports, _endpoint(one, ready=ready))
            self._check_size(found, ("subsets", number), len(entries))
        for (family, ports), endpoints in groups.items():
            self._check_size(found, ("subsets",), len(endpoints))
            yield _slice(found, family, ports, [*endpoints.values()][:MAX_ENDPOINTS])

    def _check_size(self, found: PlainObject, path: Path, size: int) -> None:
        if size > MAX_ENDPOINTS:
            message = f"{size} addresses, of which only {MAX_ENDPOINTS} are mirrored"
            hint = "write EndpointSlices instead"
            self.warnings.append(found.problem(path, message, hint))


def _port(port: object) -> dict[str, object]:
    entry = {
        "name": text_at(port, "name"),
        "port": at(port, "port"),
        "protocol": text_at(port, "protocol") or "TCP",
    }
    if application := text_at(port, "appProtocol"):
        entry["appProtocol"] = application
    return entry


def _endpoint(address: object, *, ready: bool) -> dict[str, Any]:
    ip = canonical(text_at(address, "ip"))
    endpoint: dict[str, Any] = {"addresses": [ip], "conditions": {"ready": ready}}
    for name in ("nodeName", "hostname"):
        if text := text_at(address, name):
            endpoint[name] = text
    if target := map_at(address, "targetRef"):
        endpoint["targetRef"] = target
    return endpoint


def _add(
    groups: dict[_Group, dict[str, dict[str, Any]]], ports: str, endpoint: dict[str, Any]
) -> None:
    """Add an endpoint; of two that are the same but for being ready, the later one stands."""
    family = family_of(endpoint["addresses"][0])
    assert family is not None  # noqa: S101  # `endpoints_problems` found nothing
    same = {name: value for name, value in endpoint.items() if name != "conditions"}
    groups.setdefault((family, ports), {})[json.dumps(same, sort_keys=True)] = endpoint


def _slice(
    found: PlainObject, family: Family, ports: str, endpoints: list[dict[str, Any]]
) -> dict[str, Any]:
    labels: dict[str, object] = {**map_at(found.value, "metadata", "labels")}
    labels |= {SERVICE_NAME: found.name, MANAGER_LABEL: MANAGED_BY}
    annotations: Mapping[str, object] = map_at(found.value, "metadata", "annotations")
    identity = f"{found.subject} {family} {ports}"
    metadata: dict[str, Any] = {
        "name": f"{found.name}-{suffix(identity)}",
        "namespace": found.namespace,
        "labels": labels,
    }
    kept = {name: value for name, value in annotations.items() if name not in _NOT_COPIED}
    if kept:
        metadata["annotations"] = kept
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": family.api_name,
        "endpoints": endpoints,
        "ports": json.loads(ports),
    }
