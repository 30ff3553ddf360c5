"""A cluster's objects while they change: endpoints that come, go and become ready.

Changes are made to EndpointSlices, since these are what kube-proxy reads, and what a dump of a
cluster has; a Pod is what the endpoints with one `targetRef` (or address) have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import chain
from typing import Any

import msgspec

from compiler.analysis.sticky.errors import StickyError
from compiler.control_plane.endpoint_slices import ZONE
from compiler.control_plane.objects import at, kind_of, list_at, map_at, text_at
from compiler.control_plane.workloads import WORKLOADS, selects
from compiler.manifests.address import parse_network
from compiler.manifests.convert import shorten
from compiler.manifests.source import Source

CONTROL_PLANE_ROLE = "node-role.kubernetes.io/control-plane"
SERVICE_NAME = "kubernetes.io/service-name"
SOURCE_NAME = "<simulated cluster>"

Object = dict[str, Any]

# A free address is looked for among so many.
_SEARCHED = 1 << 16


@dataclass
class World:
    """The objects.

    `cordoned` are nodes that get no new Pods, `serial` numbers new ones. `known` are the endpoints
    by Pod, each with its slice, None where they have to be looked up anew; `ended` are those of
    Pods that are gone, `used` their addresses. `patterns` has for each workload the Pod that new
    ones are made like.
    """

    objects: list[Object]
    cordoned: set[str] = field(default_factory=set)
    serial: int = 0
    known: dict[str, list[tuple[Object, Object]]] | None = None
    ended: dict[str, list[tuple[Object, Object]]] = field(default_factory=dict)
    patterns: dict[str, str] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)

    def source(self) -> Source:
        """Return the objects as manifests; Pods and workloads are done with."""
        items = [one for one in self.objects if kind_of(one) not in ("Pod", *WORKLOADS)]
        whole = {"apiVersion": "v1", "kind": "List", "items": items}
        return Source(SOURCE_NAME, msgspec.json.encode(whole))

    def of_kind(self, kind: str) -> list[Object]:
        """Return all objects of a kind."""
        return [one for one in self.objects if kind_of(one) == kind]

    # What names refer to.

    def find(self, kind: str, name: str) -> Object | None:
        """Return the object that `name` or `namespace/name` names, None where there is none.

        Raises StickyError where several namespaces have one of this name.
        """
        namespace, _, bare = name.rpartition("/")
        found = [
            one
            for one in self.of_kind(kind)
            if text_at(one, "metadata", "name") == bare and namespace in ("", _namespace(one))
        ]
        if len(found) > 1:
            places = ", ".join(f"{_namespace(one)}/{bare}" for one in found)
            raise StickyError(f"{shorten(name)} is the name of several", f"write one of {places}")
        return found[0] if found else None

    def workload(self, name: str) -> Object | None:
        """Return the Deployment, ReplicaSet or StatefulSet of a name."""
        return next((one for kind in WORKLOADS if (one := self.find(kind, name))), None)

    def workload_of(self, service: Object) -> Object | None:
        """Return the workload whose Pods a Service selects, None where the objects have none."""
        selector = map_at(service, "spec", "selector")
        for kind in WORKLOADS:
            for one in self.of_kind(kind):
                labels = map_at(one, "spec", "template", "metadata", "labels")
                chosen = selector and all(labels.get(key) == selector[key] for key in selector)
                if chosen and _namespace(one) == _namespace(service):
                    return one
        return None

    def pods_of_workload(self, workload: Object) -> list[str]:
        """Return a workload's Pods: by its selector, or where no Pods are known, by their names."""
        namespace, name = _namespace(workload), text_at(workload, "metadata", "name")
        known = {
            f"{_namespace(one)}/{text_at(one, 'metadata', 'name')}": one
            for one in self.of_kind("Pod")
        }
        found = []
        for pod in self.pods():
            if pod in known:
                chosen = _namespace(known[pod]) == namespace and selects(
                    workload, map_at(known[pod], "metadata", "labels")
                )
            else:
                chosen = pod.startswith(f"{namespace}/{name}-")
            if chosen:
                found.append(pod)
        return found

    def pods_of_service(self, service: Object) -> list[str]:
        """Return the Pods behind a Service."""
        namespace, name = _namespace(service), text_at(service, "metadata", "name")
        found: dict[str, None] = {}
        for one in self.of_kind("EndpointSlice"):
            mine = text_at(one, "metadata", "labels", SERVICE_NAME) == name
            if mine and _namespace(one) == namespace:
                found |= dict.fromkeys(_pod_of(one, entry) for entry in list_at(one, "endpoints"))
        return list(found)

    def pod(self, name: str) -> str:
        """Return the Pod that a name, a `namespace/name` or an address means.

        Raises StickyError where it is no endpoint's Pod.
        """
        found = [
            pod
            for pod in self.pods()
            if name in (pod, pod.rpartition("/")[2]) or name in self.addresses(pod)
        ]
        if len(found) != 1:
            names = ", ".join(self.pods()[:5])
            problem = "is the name of several Pods" if found else "is no Pod behind a Service"
            raise StickyError(f"{shorten(name)} {problem}", f"there are {names}" if names else "")
        return found[0]

    def pods(self) -> list[str]:
        """Return the Pods of all endpoints, in the order of the slices."""
        return list(self._by_pod())

    def addresses(self, pod: str) -> list[str]:
        """Return a Pod's addresses."""
        return [
            address
            for _, entry in self._of(pod)
            for address in list_at(entry, "addresses")
            if isinstance(address, str)
        ]

    def node(self, pod: str) -> str:
        """Return the node of a Pod, empty where it is unknown."""
        return next((text_at(entry, "nodeName") for _, entry in self._of(pod)), "")

    def is_ready(self, pod: str) -> bool:
        """Say whether a Pod's endpoints are ready."""
        return all(at(entry, "conditions", "ready") is not False for _, entry in self._of(pod))

    def is_terminating(self, pod: str) -> bool:
        """Say whether a Pod is on its way out."""
        return any(at(entry, "conditions", "terminating") is True for _, entry in self._of(pod))

    def nodes(self) -> list[str]:
        """Return the names of all Nodes."""
        return [text_at(one, "metadata", "name") for one in self.of_kind("Node")]

    def _by_pod(self) -> dict[str, list[tuple[Object, Object]]]:
        if self.known is None:
            self.known = {}
            for one in self.of_kind("EndpointSlice"):
                for entry in list_at(one, "endpoints"):
                    if isinstance(entry, dict):
                        self.known.setdefault(_pod_of(one, entry), []).append((one, entry))
        return self.known

    def _of(self, pod: str) -> list[tuple[Object, Object]]:
        return self._by_pod().get(pod, [])

    def pattern(self, owner: str, pods: Sequence[str]) -> str:
        """Return the Pod that new ones of a workload are made like; empty if it never had one.

        It is one of its Pods, or where it was scaled to zero, one that it had.
        """
        if pods:
            self.patterns[owner] = pods[0]
        return self.patterns.get(owner, "")

    # What changes.

    def set_ready(self, pod: str, *, ready: bool) -> None:
        """Make a Pod ready, or not."""
        for _, entry in self._of(pod):
            entry["conditions"] = {"ready": ready, "serving": ready, "terminating": False}

    def terminate(self, pod: str) -> None:
        """Begin to end a Pod, as the deletion of the Pod does: it serves on, and is not ready."""
        for _, entry in self._of(pod):
            serving = at(entry, "conditions", "serving")
            ready = at(entry, "conditions", "ready") is not False
            entry["conditions"] = {
                "ready": False,
                "serving": ready if serving is None else serving,
                "terminating": True,
            }

    def remove(self, pod: str) -> None:
        """Remove a Pod's endpoints."""
        self.ended[pod] = self._of(pod)
        self.used |= {int(ip_address(address)) for address in self.addresses(pod)}
        for one, entry in self.ended[pod]:
            one["endpoints"] = [other for other in one["endpoints"] if other is not entry]
        self.known = None

    def add(self, like: str, owner: str) -> str:
        """Add a Pod like another, not ready yet, on the node with the fewest Pods of its kind.

        Returns its name, empty where no node takes new Pods: it stays pending then. Raises
        StickyError where no address is free.
        """
        node = self._emptiest(like)
        if not node and (self.cordoned or self.of_kind("Node")):
            return ""
        self.serial += 1
        namespace = like.rpartition("/")[0] or "default"
        name = f"{owner.rpartition('/')[2]}-new-{self.serial}"
        for one, entry in self._of(like) or self.ended[like]:
            new = deepcopy(entry)
            new["addresses"] = [self._free(str(entry["addresses"][0]), node)]
            new["conditions"] = {"ready": False, "serving": False, "terminating": False}
            new["targetRef"] = {"kind": "Pod", "namespace": namespace, "name": name}
            self._place(new, node)
            one["endpoints"].append(new)
        self.known = None
        return f"{namespace}/{name}"

    def _place(self, entry: Object, node: str) -> None:
        if node:
            entry["nodeName"] = node
        zones = {
            text_at(one, "metadata", "name"): text_at(one, "metadata", "labels", ZONE)
            for one in self.of_kind("Node")
        }
        zone = zones.get(node, "")
        entry.pop("zone", None)
        if zone:
            entry["zone"] = zone
        hints = entry.pop("hints", None)
        if isinstance(hints, dict):
            new: Object = {}
            if zone and hints.get("forZones"):
                new["forZones"] = [{"name": zone}]
            if node and hints.get("forNodes"):
                new["forNodes"] = [{"name": node}]
            entry["hints"] = new

    def _emptiest(self, like: str) -> str:
        """Choose a node: with the fewest Pods behind the same Services, by name among equals."""
        workers = [
            text_at(one, "metadata", "name")
            for one in self.of_kind("Node")
            if CONTROL_PLANE_ROLE not in map_at(one, "metadata", "labels")
            and at(one, "spec", "unschedulable") is not True
        ]
        slices = [one for one, _ in self._of(like) or self.ended[like]]
        used = [
            text_at(entry, "nodeName")
            for one in slices
            for entry in list_at(one, "endpoints")
            if at(entry, "conditions", "terminating") is not True
        ]
        names = [name for name in (workers or sorted(set(used))) if name not in self.cordoned]
        return min(names, key=lambda name: (used.count(name), name), default="")

    def _free(self, near: str, node: str) -> str:
        """Return a free address: of the node's Pod network, or where that is unknown, after one."""
        version = ip_address(near).version
        kind = type(ip_address(near))
        written = [
            str(address)
            for found in self._by_pod().values()
            for _, entry in found
            for address in list_at(entry, "addresses")
        ]
        written += [text_at(one, "status", "podIP") for one in self.of_kind("Pod")]
        sixth = version == 6
        taken = {int(ip_address(one)) for one in written if one and (":" in one) == sixth}
        first, last = self._network(node, version)
        if not first <= int(ip_address(near)) <= last:
            # a Pod's own neighbours tell more than the network of a node that it is not in
            inside = [number for number in taken if first <= number <= last]
            begin = min(inside, default=first)
        else:
            begin = int(ip_address(near))
        # an address that was another Pod's is given again only where there is no other
        for avoided in (taken | self.used, taken):
            for number in chain(range(begin, min(last, begin + _SEARCHED)), range(first, begin)):
                if number not in avoided:
                    return str(kind(number))
        raise StickyError(f"no address near {near} is free for a new Pod")

    def _network(self, node: str, version: int) -> tuple[int, int]:
        """Return the first and last address of a node's Pods; all there are where not known."""
        for one in self.of_kind("Node"):
            if text_at(one, "metadata", "name") != node:
                continue
            for cidr in list_at(one, "spec", "podCIDRs") or [text_at(one, "spec", "podCIDR")]:
                network = parse_network(str(cidr)) if cidr else None
                if network is not None and network.version == version:
                    first = int(network.network_address) + 2
                    return first, int(network.broadcast_address)
        return 1, (1 << (32 if version == 4 else 128)) - 1

    def set_affinity(self, service: Object, affinity: str) -> None:
        """Turn session affinity on (`ClientIP`) or off (`None`)."""
        service["spec"]["sessionAffinity"] = affinity
        if affinity == "None":
            service["spec"].pop("sessionAffinityConfig", None)

    def set_timeout(self, service: Object, seconds: int) -> None:
        """Change the timeout of session affinity. Raises StickyError where there is none."""
        if at(service, "spec", "sessionAffinity") != "ClientIP":
            name = f"{_namespace(service)}/{text_at(service, 'metadata', 'name')}"
            message = f"Service {name} has no session affinity whose timeout could change"
            raise StickyError(
                message, "set sessionAffinity: ClientIP, or add an event affinity=ClientIP before"
            )
        service["spec"]["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}

    def set_policy(self, service: Object, policy: str) -> None:
        """Set the external traffic policy, and the internal one: `Cluster` or `Local`."""
        service["spec"]["internalTrafficPolicy"] = policy
        if service["spec"].get("type") in ("NodePort", "LoadBalancer"):
            service["spec"]["externalTrafficPolicy"] = policy

    def put_slice(self, new: Object) -> None:
        """Add an EndpointSlice, or replace the one of its name."""
        self.drop_slice(new)
        self.objects.append(new)
        self.known = None

    def drop_slice(self, old: Object) -> None:
        """Remove the EndpointSlice of a name."""
        key = (_namespace(old), text_at(old, "metadata", "name"))
        self.objects = [
            one
            for one in self.objects
            if kind_of(one) != "EndpointSlice"
            or (_namespace(one), text_at(one, "metadata", "name")) != key
        ]
        self.known = None


def _namespace(value: Object) -> str:
    return text_at(value, "metadata", "namespace") or "default"


def _pod_of(slice_: Object, entry: object) -> str:
    name = text_at(entry, "targetRef", "name")
    if not name or text_at(entry, "targetRef", "kind") not in ("", "Pod"):
        return str(next(iter(list_at(entry, "addresses")), ""))
    return f"{text_at(entry, 'targetRef', 'namespace') or _namespace(slice_)}/{name}"


def services_named(world: World, names: Iterable[str]) -> Sequence[Object]:
    """Return Services by name. Raises StickyError for one that is not there."""
    found = []
    for name in names:
        one = world.find("Service", name)
        if one is None:
            raise StickyError(f"no Service {shorten(name)}")
        found.append(one)
    return found
