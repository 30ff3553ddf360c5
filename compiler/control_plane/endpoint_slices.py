"""EndpointSlices, as the EndpointSlice controller writes them for a Service and its Pods.

Sources: kubernetes `staging/src/k8s.io/endpointslice/reconciler.go` (grouping by ports, the
placeholder), `utils.go` (conditions, ports, labels), `trafficdist/trafficdist.go` (hints).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compiler.control_plane.address_pool import digest
from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.control_plane.pods import Pod
from compiler.errors import Problem
from compiler.family import Family
from compiler.manifests.address import family_of
from compiler.manifests.convert import shorten
from compiler.manifests.validate import PORT_RULE

# The controller's --max-endpoints-per-slice.
MAX_ENDPOINTS = 100

MANAGED_BY = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
# What the API server's generated names are made of.
SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9](?:-?[a-z0-9])*")
# Fields that decide addresses and hints, and their values.
WORDS = {
    "ipFamilyPolicy": ("SingleStack", "PreferDualStack", "RequireDualStack"),
    "trafficDistribution": ("PreferClose", "PreferSameZone", "PreferSameNode"),
}

Ports = tuple[tuple[tuple[str, Any], ...], ...]


def node_zones(nodes: Mapping[str, dict[str, object]]) -> dict[str, str]:
    """Return each node's zone, where it has one."""
    zones = {name: text_at(node, "metadata", "labels", ZONE) for name, node in nodes.items()}
    return {name: zone for name, zone in zones.items() if zone}


def service_problems(found: PlainObject) -> Iterator[Problem]:
    """Find what the API server would reject in a Service's selector, target ports and policies."""
    selector = at(found.value, "spec", "selector")
    if selector is not None and not isinstance(selector, dict):
        yield found.wrong_type(("spec", "selector"), "a mapping", selector)
    for name, value in map_at(found.value, "spec", "selector").items():
        if not isinstance(value, str):
            yield found.wrong_type(("spec", "selector", name), "a string", value)
    for index, port in enumerate(list_at(found.value, "spec", "ports")):
        target = at(port, "targetPort")
        number = type(target) is int and 1 <= target <= 65535
        if target is not None and not number and not _is_port_name(target):
            path = ("spec", "ports", index, "targetPort")
            message = f"invalid target port {shorten(str(target))}"
            yield found.problem(path, message, f"{PORT_RULE}, or the name of a container's port")
    for name, allowed in WORDS.items():
        word = at(found.value, "spec", name)
        if word is not None and word not in allowed:
            message = f"unsupported value {shorten(str(word))}"
            yield found.problem(("spec", name), message, f"supported values: {', '.join(allowed)}")


def _is_port_name(value: object) -> bool:
    """Return whether a value is an IANA service name, as container ports have.

    It has letters, digits and -, and not digits alone.
    """
    return isinstance(value, str) and bool(PORT_NAME.fullmatch(value))


def slices_for(
    original: PlainObject,
    service: dict[str, Any],
    pods: Sequence[Pod],
    zones: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Write a Service's slices: one per family, set of port numbers and hundred Pods.

    A family without any Pod gets the controller's placeholder, a slice without endpoints. `pods`
    are those that the Service selects.
    """
    made = []
    for family in _families(service):
        groups: defaultdict[Ports, list[dict[str, Any]]] = defaultdict(list)
        for pod in sorted(pods, key=lambda one: one.origin.name):
            address = next((one for one in pod.addresses if family_of(one) is family), None)
            if address is not None:
                ports = _ports(service, pod)
                groups[ports].append(_endpoint(service, pod, address, zones))
        if not groups:
            groups[()] = []
        for ports, endpoints in sorted(groups.items(), key=lambda group: repr(group[0])):
            for number, first in enumerate(range(0, max(len(endpoints), 1), MAX_ENDPOINTS)):
                part = endpoints[first : first + MAX_ENDPOINTS]
                made.append(
                    _slice(original, service, family, ports=ports, endpoints=part, number=number)
                )
    return made


def _families(service: dict[str, Any]) -> list[Family]:
    """Return the Service's families; a headless one that names none has IPv4."""
    names = list_at(service, "spec", "ipFamilies") or [Family.IPV4.api_name]
    return [family for name in names for family in Family if family.api_name == name]


def _ports(service: dict[str, Any], pod: Pod) -> Ports:
    """Return the slice ports that the Service's ports are on this Pod, as sorted items.

    A `targetPort` that is a name is looked up in the Pod's containers; a Pod without it doesn't
    serve that port.
    """
    found = []
    for port in list_at(service, "spec", "ports"):
        protocol = text_at(port, "protocol") or "TCP"
        target = at(port, "targetPort") or at(port, "port")
        if isinstance(target, str):
            numbers = (
                one.number for one in pod.ports if (one.name, one.protocol) == (target, protocol)
            )
            target = next(numbers, None)
        if target is not None:
            entry = {"name": text_at(port, "name"), "port": target, "protocol": protocol}
            if application := text_at(port, "appProtocol"):
                entry["appProtocol"] = application
            found.append(tuple(entry.items()))
    return tuple(found)


def _endpoint(
    service: dict[str, Any], pod: Pod, address: str, zones: Mapping[str, str]
) -> dict[str, Any]:
    ready_anyway = at(service, "spec", "publishNotReadyAddresses") is True
    ready = ready_anyway or (pod.ready and not pod.terminating)
    endpoint: dict[str, Any] = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": pod.ready, "terminating": pod.terminating},
    }
    if pod.node:
        endpoint["nodeName"] = pod.node
    zone = zones.get(pod.node)
    if zone:
        endpoint["zone"] = zone
    if hints := _hints(text_at(service, "spec", "trafficDistribution"), pod.node, zone):
        endpoint["hints"] = hints if ready else {}
    endpoint["targetRef"] = {
        "kind": "Pod",
        "name": pod.origin.name,
        "namespace": pod.origin.namespace,
    }
    return endpoint


def _hints(distribution: str, node: str, zone: str | None) -> dict[str, Any]:
    """Return the hints for `spec.trafficDistribution` (KEP-4444, KEP-3015)."""
    hints: dict[str, Any] = {}
    if zone and distribution in {"PreferClose", "PreferSameZone", "PreferSameNode"}:
        hints["forZones"] = [{"name": zone}]
    if node and distribution == "PreferSameNode":
        hints["forNodes"] = [{"name": node}]
    return hints


def _slice(
    original: PlainObject,
    service: dict[str, Any],
    family: Family,
    *,
    ports: Ports,
    endpoints: list[dict[str, Any]],
    number: int,
) -> dict[str, Any]:
    # The Service's own labels go along (so that another proxy's Services stay the other proxy's).
    labels = dict(map_at(service, "metadata", "labels"))
    labels[SERVICE_NAME] = original.name
    labels["endpointslice.kubernetes.io/managed-by"] = MANAGED_BY
    if text_at(service, "spec", "clusterIP") == "None":
        labels["service.kubernetes.io/headless"] = ""
    identity = f"{original.namespace}/{original.name} {family} {ports} {number}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{original.name}-{suffix(identity)}",
            "namespace": original.namespace,
            "labels": labels,
        },
        "addressType": family.api_name,
        "endpoints": endpoints,
        "ports": [dict(port) for port in ports],
    }


def suffix(identity: str) -> str:
    """Return five letters as the API server puts behind a generated name, by hash."""
    number, letters = digest(identity), ""
    for _ in range(5):
        number, letter = divmod(number, len(SUFFIX_LETTERS))
        letters += SUFFIX_LETTERS[letter]
    return letters
