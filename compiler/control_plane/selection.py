"""Which Pods a Service selects, and warnings where that will not be what was meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.control_plane.pods import Pod
from compiler.control_plane.workload_checks import TEMPLATE, VERSIONS
from compiler.errors import Problem
from compiler.manifests.convert import shorten

# So many names of ports a hint lists.
_LISTED = 5


_Label = tuple[str, str, str]
"""Namespace, name and value."""


class PodIndex:
    """Pods by namespace and label, since a cluster has as many Services as it has workloads."""

    def __init__(self, pods: Sequence[Pod]) -> None:
        self._by_label: defaultdict[tuple[str, str, object], list[Pod]] = defaultdict(list)
        self._namespaces: defaultdict[tuple[str, object], dict[str, None]] = defaultdict(dict)
        for pod in pods:
            if not pod.ended:
                for name, value in pod.labels.items():
                    self._by_label[pod.origin.namespace, name, value].append(pod)
                    self._namespaces[name, value][pod.origin.namespace] = None

    def selected(self, namespace: str, selector: Mapping[str, object]) -> list[Pod]:
        """Return the Pods of a namespace that a selector matches; an empty one matches none."""
        lists = [self._by_label.get((namespace, *one), []) for one in selector.items()]
        return [
            pod
            for pod in min(lists, key=len, default=[])
            if all(pod.labels.get(name) == value for name, value in selector.items())
        ]

    def namespaces(self, selector: Mapping[str, object]) -> list[str]:
        """Return the namespaces that have Pods which a selector matches."""
        named = min((self._namespaces.get(one, {}) for one in selector.items()), key=len)
        return sorted(one for one in named if self.selected(one, selector))


class SelectionWarnings:
    """Finds Services that select nothing, or whose ports no Pod has."""

    def __init__(self, objects: Sequence[PlainObject], pods: PodIndex) -> None:
        self._pods = pods
        self._templates: defaultdict[_Label, list[tuple[PlainObject, Mapping[str, object]]]]
        self._templates = defaultdict(list)
        for found in objects:
            labels = map_at(found.value, *TEMPLATE, "metadata", "labels")
            for name, value in labels.items():
                self._templates[found.namespace, name, str(value)].append((found, labels))

    def of(self, service: PlainObject, chosen: Sequence[Pod]) -> Iterator[Problem]:
        """Warn about a Service that selects these Pods."""
        if text_at(service.value, "metadata", "namespace") != service.namespace:
            service_named = f"{service.namespace} (by default)"
        else:
            service_named = service.namespace
        if chosen:
            yield from _of_ports(service, chosen)
            yield from _of_policies(service, chosen)
            return
        selector = map_at(service.value, "spec", "selector")
        hint = ""
        first, value = next(iter(selector.items()))
        for found, labels in self._templates.get((service.namespace, first, str(value)), ()):
            if all(labels.get(name) == value for name, value in selector.items()):
                if found.kind in VERSIONS:
                    return  # it has no Pods now, which is reported where that is a mistake
                hint = (
                    f"{found.subject} has them, but Pods are not made for this kind; add its Pods"
                )
        if not hint and (elsewhere := self._pods.namespaces(selector)):
            hint = f"there are some in the namespace {elsewhere[0]}"
        message = (
            f"no Pod in the namespace {service_named} has these labels, so it has no endpoints"
        )
        yield service.problem(("spec", "selector"), message, hint)


def _of_ports(service: PlainObject, chosen: Sequence[Pod]) -> Iterator[Problem]:
    for index, port in enumerate(list_at(service.value, "spec", "ports")):
        target, protocol = at(port, "targetPort"), text_at(port, "protocol") or "TCP"
        if not isinstance(target, str):
            continue
        known = {(one.name, one.protocol): None for pod in chosen for one in pod.ports if one.name}
        if (target, protocol) in known:
            continue
        names = [f"{name} ({itself})" for name, itself in known][:_LISTED]
        message = f"no container of the selected Pods has a {protocol} port {shorten(target)}, "
        hint = f"their ports are {', '.join(names)}" if names else "their ports have no names"
        path = ("spec", "ports", index, "targetPort")
        yield service.problem(path, f"{message}so this port has no endpoints", hint)


def _of_policies(service: PlainObject, chosen: Sequence[Pod]) -> Iterator[Problem]:
    """Warn where local endpoints are asked for and no Pod has a Node."""
    if any(pod.node or pod.pending for pod in chosen):
        return
    for name in ("internalTrafficPolicy", "externalTrafficPolicy"):
        if text_at(service.value, "spec", name) == "Local":
            message = "is Local, but on which Nodes the Pods run is not known, so none is local"
            yield service.problem(("spec", name), message, "add the cluster's Nodes")
