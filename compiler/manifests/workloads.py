"""Pods, and the workloads that make them: read only where somebody asks for them.

The rules depend on none of these. `lint` holds Services against them: which containers have a named
port, which node a client runs on, which port of the node a Pod takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from compiler.manifests.remark import Place
from compiler.manifests.source import Source
from compiler.manifests.text import OUTLINE, decode, group_of, is_json
from compiler.yaml import fast
from compiler.yaml.composed import compose
from compiler.yaml.plain import Path, json_documents

# Kind -> its API group, and the path from the object to the Pod's metadata and spec.
_TEMPLATES: Mapping[str, tuple[str, Path]] = {
    "Pod": ("", ()),
    "ReplicationController": ("", ("spec", "template")),
    "Deployment": ("apps", ("spec", "template")),
    "ReplicaSet": ("apps", ("spec", "template")),
    "StatefulSet": ("apps", ("spec", "template")),
    "DaemonSet": ("apps", ("spec", "template")),
    "Job": ("batch", ("spec", "template")),
    "CronJob": ("batch", ("spec", "jobTemplate", "spec", "template")),
}
WORKLOAD_KINDS = frozenset(_TEMPLATES)
_READ = frozenset(name.encode() for kind in _TEMPLATES for name in (kind, f"{kind}List", "List"))
_OUTLINE = replace(OUTLINE, is_read=_READ.__contains__)


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port of a container; `path` leads to it from the object. `host_port` is 0 without one."""

    name: str
    number: int
    protocol: str
    host_port: int
    path: Path


@dataclass(frozen=True, slots=True)
class Workload:
    """A Pod, or what makes Pods: `labels` and the rest are those of its Pods.

    `node` is the node of a Pod that was scheduled, empty otherwise; `ended` is whether the Pod's
    containers have all ended. `ports` are those of all
    containers that keep running (init containers with `restartPolicy: Always` among them), `ips`
    the addresses that a Pod has. `spec` is the path from the object to the Pod's spec.
    """

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    node: str
    ended: bool
    host_network: bool
    ips: tuple[str, ...]
    ports: tuple[ContainerPort, ...]
    spec: Path
    place: Place

    @property
    def subject(self) -> str:
        """What messages call it, such as `Pod default/web-1`."""
        return f"{self.kind} {self.namespace}/{self.name}"


def read_workloads(sources: Sequence[Source]) -> list[Workload]:
    """Read the Pods and workloads of sources in which nothing was found wrong before."""
    return [
        workload
        for index, source in enumerate(sources)
        for value, place in _values(index, source)
        for workload in _of(value, place, "", "")
    ]


def _values(index: int, source: Source) -> Iterator[tuple[object, Place]]:
    """Give every document, or item of a long list, with its place."""
    text = decode(source.text)
    if is_json(text):
        for number, document in enumerate(json_documents(text)):
            yield document.value, Place(index, number, ())
        return
    number = -1
    for chunk in fast.chunks(text.encode(), _OUTLINE):
        number += chunk.item is None
        base: Path = () if chunk.item is None else ("items", chunk.item)
        if chunk.head is not None:
            continue
        if chunk.json is not None:
            yield msgspec.json.decode(chunk.json), Place(index, number, base)
            continue
        documents = compose(decode(chunk.text), chunk.line, is_item=chunk.item is not None)
        for offset, one in enumerate(documents):
            yield one.value, Place(index, number + offset, base)


def _of(value: object, place: Place, kind: str, version: str) -> Iterator[Workload]:
    """Find the workloads in a value; items of a typed list may leave kind and version out."""
    if not isinstance(value, dict):
        return
    kind = str(value.get("kind") or kind)
    version = str(value.get("apiVersion") or version)
    items = value.get("items")
    if kind.endswith("List") and isinstance(items, list):
        bare = kind.removesuffix("List")
        for index, item in enumerate(items):
            where = Place(place.source, place.document, (*place.path, "items", index))
            yield from _of(item, where, bare, version if bare else "")
    elif kind in _TEMPLATES and group_of(version) == _TEMPLATES[kind][0]:
        yield _workload(value, kind, place)


def _workload(value: Mapping[str, object], kind: str, place: Place) -> Workload:
    template: Mapping[str, object] = value
    path = _TEMPLATES[kind][1]
    for step in path:
        template = _map(template, str(step))
    spec, metadata = _map(template, "spec"), _map(template, "metadata")
    own = _map(value, "metadata")
    status = _map(value, "status") if kind == "Pod" else {}
    ips = [str(_as_map(one).get("ip") or "") for one in _list(status, "podIPs")]
    ips = ips or [str(status.get("podIP") or "")]
    return Workload(
        kind,
        str(own.get("namespace") or "default"),
        str(own.get("name") or own.get("generateName") or ""),
        {str(key): str(label) for key, label in _map(metadata, "labels").items()},
        str(spec.get("nodeName") or ""),
        status.get("phase") in {"Succeeded", "Failed"},
        spec.get("hostNetwork") is True,
        tuple(filter(None, ips)),
        tuple(_ports(spec, (*path, "spec"))),
        (*path, "spec"),
        place,
    )


def _ports(spec: Mapping[str, object], path: Path) -> Iterator[ContainerPort]:
    host_network = spec.get("hostNetwork") is True
    for key in ("initContainers", "containers"):
        for place, container in enumerate(map(_as_map, _list(spec, key))):
            if key == "initContainers" and container.get("restartPolicy") != "Always":
                continue
            for index, port in enumerate(map(_as_map, _list(container, "ports"))):
                number, host = port.get("containerPort"), port.get("hostPort")
                number = number if isinstance(number, int) else 0
                yield ContainerPort(
                    str(port.get("name") or ""),
                    number,
                    str(port.get("protocol") or "TCP"),
                    host if isinstance(host, int) else number if host_network else 0,
                    (*path, key, place, "ports", index),
                )


def _map(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    return _as_map(value.get(key))


def _as_map(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: Mapping[str, object], key: str) -> list[object]:
    found = value.get(key)
    return found if isinstance(found, list) else []
