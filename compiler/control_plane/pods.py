"""Pods, as far as the control plane looks at them to write EndpointSlices.

Source: kubernetes `api/core/v1` Pod; `pkg/api/v1/pod/util.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.control_plane.scheduling import spec_problems
from compiler.errors import Problem
from compiler.manifests.address import family_of
from compiler.manifests.convert import shorten
from compiler.manifests.validate import (
    LABEL_RULE,
    PORT_RULE,
    SUBDOMAIN_RULE,
    is_label,
    is_subdomain,
)
from compiler.yaml.plain import Path

# What the fields that are used have to be.
_MAPPING, _LIST, _STRING = (dict, "a mapping"), (list, "a list"), (str, "a string")
TYPES: dict[tuple[str, ...], tuple[type, str]] = {
    ("metadata",): _MAPPING,
    ("metadata", "labels"): _MAPPING,
    ("spec",): _MAPPING,
    ("spec", "nodeName"): _STRING,
    ("spec", "hostNetwork"): (bool, "true or false"),
    ("spec", "containers"): _LIST,
    ("spec", "initContainers"): _LIST,
    ("status",): _MAPPING,
    ("status", "phase"): _STRING,
    ("status", "podIP"): _STRING,
    ("status", "podIPs"): _LIST,
    ("status", "conditions"): _LIST,
}


@dataclass(frozen=True)
class ContainerPort:
    """A port that a container names, for a Service's `targetPort` to refer to."""

    name: str
    number: int
    protocol: str


@dataclass(frozen=True)
class Pod:
    """A Pod: where it was written (`index` counts all objects), and what decides its endpoint.

    `ready` is its Ready condition. A Pod written by hand has no conditions; it counts as running
    and ready, as it would be a moment after it was made. `pending` is one that fits on no Node.
    """

    origin: PlainObject
    index: int
    labels: dict[str, object]
    node: str
    addresses: tuple[str, ...]
    host_network: bool
    ports: tuple[ContainerPort, ...]
    ready: bool
    terminating: bool
    ended: bool
    pending: bool = False

    @property
    def rank(self) -> tuple[int, str]:
        """The order in which Pods get addresses; of a workload's, those that are added come last.

        By name alone otherwise: where it was written makes no difference.
        """
        return self.origin.number, self.origin.subject

    def placed(self, node: str, addresses: tuple[str, ...]) -> Pod:
        """Return the Pod on a node, with addresses."""
        return replace(self, node=node, addresses=addresses)


def read_pods(objects: Sequence[PlainObject]) -> tuple[list[Pod], list[Problem]]:
    """Read the Pods among the objects, and find all that is wrong with them."""
    pods: list[Pod] = []
    problems: list[Problem] = []
    first: dict[tuple[str, str], PlainObject] = {}
    for index, found in enumerate(objects):
        if found.kind != "Pod":
            continue
        if found.within is not None:  # its template was checked
            pods.append(_pod(found, index))
            continue
        its_problems = [*name_problems(found), *pod_problems(found), *spec_problems(found)]
        earlier = first.setdefault((found.namespace, found.name), found)
        if earlier is not found:
            place = earlier.problem(("metadata", "name"), "")
            message = f"duplicate object, first at {place.file}:{place.line}:{place.column}"
            hint = "an object can appear only once"
            its_problems.append(found.problem(("metadata", "name"), message, hint))
        problems += its_problems
        if not its_problems:
            pods.append(_pod(found, index))
    return pods, problems


def _pod(found: PlainObject, index: int) -> Pod:
    value = found.value
    conditions = {
        text_at(entry, "type"): text_at(entry, "status")
        for entry in list_at(value, "status", "conditions")
    }
    return Pod(
        origin=found,
        index=index,
        labels=map_at(value, "metadata", "labels"),
        node=text_at(value, "spec", "nodeName"),
        addresses=tuple(address for _, address in _addresses(value)),
        host_network=at(value, "spec", "hostNetwork") is True,
        ports=tuple(_container_ports(value)),
        ready=not conditions or conditions.get("Ready") == "True",
        terminating=at(value, "metadata", "deletionTimestamp") is not None,
        ended=text_at(value, "status", "phase") in {"Succeeded", "Failed"},
        pending=conditions.get("PodScheduled") == "False",
    )


def _addresses(value: dict[str, object]) -> Iterator[tuple[Path, str]]:
    """Find the addresses that are given, with their paths; podIP is podIPs' first."""
    ips = list_at(value, "status", "podIPs")
    for index, entry in enumerate(ips):
        yield ("status", "podIPs", index, "ip"), text_at(entry, "ip")
    if not ips and (address := text_at(value, "status", "podIP")):
        yield ("status", "podIP"), address


def _containers(value: dict[str, object]) -> Iterator[tuple[Path, object]]:
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(list_at(value, "spec", kind)):
            # Of init containers only those that run on (sidecars) have ports to call.
            if kind == "containers" or text_at(container, "restartPolicy") == "Always":
                yield ("spec", kind, index), container


def _container_ports(value: dict[str, object]) -> Iterator[ContainerPort]:
    for _, container in _containers(value):
        for entry in list_at(container, "ports"):
            number = at(entry, "containerPort")
            if isinstance(number, int):
                protocol = text_at(entry, "protocol") or "TCP"
                yield ContainerPort(text_at(entry, "name"), number, protocol)


def _type_problems(found: PlainObject) -> Iterator[Problem]:
    for path, (type_, expected) in TYPES.items():
        value = at(found.value, *path)
        if value is not None and not isinstance(value, type_):
            yield found.wrong_type(path, expected, value)


def name_problems(found: PlainObject) -> Iterator[Problem]:
    """Find what is wrong with an object's name and namespace."""
    if not is_subdomain(found.name):
        message = f"invalid name {shorten(found.name)}" if found.name else "missing"
        yield found.problem(("metadata", "name"), message, SUBDOMAIN_RULE)
    if not is_label(found.namespace):
        message = f"invalid namespace {shorten(found.namespace)}"
        yield found.problem(("metadata", "namespace"), message, LABEL_RULE)


def pod_problems(found: PlainObject) -> Iterator[Problem]:
    """Find what the API server would reject in a Pod or a template, of the fields that are used."""
    yield from _type_problems(found)
    value = found.value
    for name, label in map_at(value, "metadata", "labels").items():
        if not isinstance(label, str):
            yield found.wrong_type(("metadata", "labels", name), "a string", label)
    node = text_at(value, "spec", "nodeName")
    if node and not is_subdomain(node):
        message = f"invalid node name {shorten(node)}"
        yield found.problem(("spec", "nodeName"), message, SUBDOMAIN_RULE)
    for path, address in _addresses(value):
        if family_of(address) is None:
            message = f"{shorten(address)} is not an IP address"
            yield found.problem(path, message, "use one like 10.244.1.2")
    for base, container in _containers(value):
        for index, entry in enumerate(list_at(container, "ports")):
            number = at(entry, "containerPort")
            where: Path = (*base, "ports", index, "containerPort")
            if type(number) is not int:
                yield found.wrong_type(where, "a port number", number)
            elif not 1 <= number <= 65535:
                yield found.problem(where, f"invalid port {number}", PORT_RULE)
