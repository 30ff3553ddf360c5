"""What the control plane adds to hand-written manifests: addresses, node ports, EndpointSlices.

A Service with a selector and the Pods that it selects are all that a person writes. In a cluster
the scheduler then places the Pods, the network gives them addresses, the API server gives the
Service its cluster IPs and node ports, and the EndpointSlice controller writes the slices that
kube-proxy reads. `complete` does the same to plain objects; what is given is kept.

Sources: kubernetes `pkg/registry/core/service/storage/alloc.go`; `staging/src/k8s.io/
endpointslice/{reconciler,utils}.go` and `trafficdist`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import msgspec
from ruamel.yaml import YAML

from compiler.control_plane.address_pool import AddressPool, ExhaustedError, Pool, digest
from compiler.control_plane.endpoint_slices import node_zones, service_problems, slices_for
from compiler.control_plane.objects import PlainObject, kind_of, list_at, map_at, text_at
from compiler.control_plane.pods import Pod, read_pods
from compiler.errors import InputError, Problem
from compiler.family import IPV4, IPV6, Family
from compiler.manifests.address import family_of, parse_network
from compiler.manifests.source import Source
from compiler.manifests.validate import NODE_PORTS

# kubeadm's and kind's own defaults.
POD_NETWORKS = {IPV4: "10.244.0.0/16", IPV6: "fd00:10:244::/56"}
SERVICE_NETWORKS = {IPV4: "10.96.0.0/16", IPV6: "fd00:10:96::/112"}

SOURCE_NAME = "<control plane>"
CONTROL_PLANE_ROLE = "node-role.kubernetes.io/control-plane"
SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Completed:
    """The objects as a cluster would show them, and one note per thing that was added.

    `warnings` are about the manifests as they were written.
    """

    objects: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def source(self) -> Source:
        """The objects as a List, to be read like any other manifests; the Pods are done with."""
        items = [found for found in self.objects if kind_of(found) != "Pod"]
        whole = {"apiVersion": "v1", "kind": "List", "items": items}
        return Source(SOURCE_NAME, msgspec.json.encode(whole))

    def warnings_with(self, later: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return the warnings, with those of compiling `source` but for what it repeats."""
        return self.warnings + tuple(one for one in later if one.file != SOURCE_NAME)

    @property
    def yaml(self) -> str:
        """The objects as YAML documents, keys in the order in which they were written."""
        writer = YAML(typ="safe", pure=True)
        writer.default_flow_style = False
        writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        text = StringIO()
        writer.dump_all(self.objects, text)
        return text.getvalue()


def complete(objects: Sequence[PlainObject], pod_networks: Iterable[str] = ()) -> Completed:
    """Add what the control plane would have added.

    `pod_networks` is kube-proxy's clusterCIDR, one network per family: Pods get their addresses
    there unless their Node has podCIDRs. Raises InputError where addresses or node ports run out.
    """
    if problems := check(objects):
        raise InputError(problems)
    pods, _ = read_pods(objects)
    return _ControlPlane(objects, pods, pod_networks).run()


def check(objects: Sequence[PlainObject]) -> list[Problem]:
    """Find what is wrong with the Pods and with what of the Services the rules don't depend on.

    The problems are in reading order. The rest of the Services is for `reader` to check; `complete`
    expects that it has.
    """
    _, problems = read_pods(objects)
    for found in objects:
        if found.kind == "Service":
            problems += service_problems(found)
    order = {name: number for number, name in enumerate(dict.fromkeys(one.file for one in objects))}
    return sorted(problems, key=lambda one: (order[one.file], one.line or 0, one.column or 0))


class _ControlPlane:
    def __init__(
        self, objects: Sequence[PlainObject], pods: Sequence[Pod], pod_networks: Iterable[str]
    ) -> None:
        self.originals = objects
        self.objects = [_copy(found.value) for found in objects]
        self.nodes = {found.name: found.value for found in objects if found.kind == "Node"}
        self.pods = list(pods)
        self.notes: list[str] = []
        self.problems: list[Problem] = []
        given = {
            family: network
            for network in pod_networks
            if (family := family_of(network.partition("/")[0]))
        }
        self.families = tuple(given) or _families_seen(objects)
        networks = {family: given.get(family, POD_NETWORKS[family]) for family in Family}
        taken = [address for pod in pods for address in pod.addresses]
        self.networks = {family: AddressPool(networks[family], taken) for family in Family}
        self.node_networks: dict[tuple[str, Family], AddressPool] = {}
        for name, node in self.nodes.items():
            for cidr in list_at(node, "spec", "podCIDRs") or [text_at(node, "spec", "podCIDR")]:
                if isinstance(cidr, str) and (network := parse_network(cidr)):
                    family = IPV4 if network.version == 4 else IPV6
                    self.node_networks[name, family] = AddressPool(cidr, taken)

    def run(self) -> Completed:
        pods = [self._placed(pod) for pod in self.pods]
        services = [
            (original, value)
            for original, value in zip(self.originals, self.objects, strict=True)
            if original.kind == "Service"
        ]
        self._give_cluster_ips(services)
        self._give_node_ports(services)
        slices = self._make_slices(services, pods)
        if self.problems:
            raise InputError(self.problems)
        return Completed((*self.objects, *slices), tuple(self.notes))

    def _placed(self, pod: Pod) -> Pod:
        """Schedule a Pod and give it addresses, in the Pod and in its object."""
        node = pod.node or self._schedule(pod)
        addresses = pod.addresses or tuple(self._pod_addresses(pod, node))
        value = self.objects[pod.index]
        if node and not pod.node:
            value.setdefault("spec", {})["nodeName"] = node
        if addresses and not pod.addresses:
            status = value.setdefault("status", {})
            status["podIP"] = addresses[0]
            status["podIPs"] = [{"ip": address} for address in addresses]
        news = [f"runs on {node}"] if node != pod.node else []
        if addresses != pod.addresses:
            news.append(f"has the address {' and '.join(addresses)}")
        if news:
            self.notes.append(f"{pod.origin.subject} {' and '.join(news)}")
        return pod.placed(node, addresses)

    def _schedule(self, pod: Pod) -> str:
        """Pick a node by the Pod's name; control-plane nodes only where there is no other."""
        workers = [
            name
            for name, node in self.nodes.items()
            if CONTROL_PLANE_ROLE not in map_at(node, "metadata", "labels")
        ]
        names = sorted(workers or self.nodes)
        return names[digest(pod.origin.subject) % len(names)] if names else ""

    def _pod_addresses(self, pod: Pod, node: str) -> list[str]:
        if pod.host_network:
            return _node_addresses(self.nodes.get(node, {}), self.families)
        addresses = []
        for family in self.families:
            pool = self.node_networks.get((node, family), self.networks[family])
            try:
                addresses.append(pool.take(pod.origin.subject))
            except ExhaustedError:
                message = f"the pod network {pool.network} has no free address"
                self.problems.append(pod.origin.problem((), message, "use a larger one"))
        return addresses

    def _give_cluster_ips(self, services: Sequence[tuple[PlainObject, dict[str, Any]]]) -> None:
        taken = {ip for _, value in services for ip in _cluster_ips(value)}
        pools = {family: AddressPool(SERVICE_NETWORKS[family], taken) for family in Family}
        for original, value in services:
            spec = value.setdefault("spec", {})
            if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
                continue
            given = _cluster_ips(value)
            families = _service_families(spec, given, self.families)
            # Those given stand for the first families; the rest is handed out.
            missing = families[len(given) :]
            try:
                new = [pools[family].take(original.subject) for family in missing]
            except ExhaustedError:
                networks = " or ".join(str(pools[family].network) for family in missing)
                message = f"the service network {networks} has no free address"
                self.problems.append(original.problem((), message, "set clusterIP"))
                continue
            ips = [*given, *new]
            spec["clusterIP"], spec["clusterIPs"] = ips[0], ips
            spec["ipFamilies"] = [family.api_name for family in families]
            if new:
                self.notes.append(f"{original.subject} has the cluster IP {' and '.join(new)}")

    def _give_node_ports(self, services: Sequence[tuple[PlainObject, dict[str, Any]]]) -> None:
        """Hand out node ports, those of health checks too."""
        specs = [(original, value["spec"]) for original, value in services]
        taken = {
            port.get("nodePort")
            for _, spec in specs
            for port in list_at(spec, "ports")
            if isinstance(port, dict)
        } | {spec.get("healthCheckNodePort") for _, spec in specs}
        pool = Pool(NODE_PORTS.start, len(NODE_PORTS), (n for n in taken if isinstance(n, int)))
        for original, spec in specs:
            try:
                self._give_its_node_ports(original, spec, pool)
            except ExhaustedError:
                message = f"no node port from {NODE_PORTS.start} to {NODE_PORTS.stop - 1} is free"
                hint = "set nodePort, or allocateLoadBalancerNodePorts: false"
                self.problems.append(original.problem((), message, hint))

    def _give_its_node_ports(self, original: PlainObject, spec: dict[str, Any], pool: Pool) -> None:
        kind = spec.get("type")
        wanted = kind == "NodePort" or (
            kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
        )
        for index, port in enumerate(list_at(spec, "ports")):
            if wanted and isinstance(port, dict) and not port.get("nodePort"):
                port["nodePort"] = pool.take(f"{original.subject} {index}")
                self.notes.append(f"{original.subject} has the node port {port['nodePort']}")
        local = spec.get("externalTrafficPolicy") == "Local"
        if kind == "LoadBalancer" and local and not spec.get("healthCheckNodePort"):
            number = spec["healthCheckNodePort"] = pool.take(original.subject)
            self.notes.append(f"{original.subject} has the health check node port {number}")

    def _make_slices(
        self, services: Sequence[tuple[PlainObject, dict[str, Any]]], pods: Sequence[Pod]
    ) -> list[dict[str, Any]]:
        """Write the slices of every Service that has a selector and none yet."""
        served = {
            (found.namespace, text_at(found.value, "metadata", "labels", SERVICE_NAME))
            for found in self.originals
            if found.kind == "EndpointSlice"
        }
        by_namespace: defaultdict[str, list[Pod]] = defaultdict(list)
        for pod in pods:
            by_namespace[pod.origin.namespace].append(pod)
        zones = node_zones(self.nodes)
        made: list[dict[str, Any]] = []
        for original, value in services:
            if not map_at(value, "spec", "selector"):
                continue
            if (original.namespace, original.name) in served:
                continue
            slices = slices_for(original, value, by_namespace[original.namespace], zones)
            made += slices
            for one in slices:
                count = len(one["endpoints"])
                self.notes.append(
                    f"EndpointSlice {original.namespace}/{one['metadata']['name']} "
                    f"lists {count} endpoint{'' if count == 1 else 's'} of {original.subject}"
                )
        return made


def _copy(value: object) -> Any:
    """Copy a plain value, so that what was read stays as it was; null is as good as absent."""
    if isinstance(value, dict):
        return {name: _copy(child) for name, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_copy(child) for child in value]
    return value


def _families_seen(objects: Sequence[PlainObject]) -> tuple[Family, ...]:
    """Return the cluster's families, the first one first, as the objects show them."""
    seen: list[Family] = []
    for found in objects:
        if found.kind not in {"Service", "Pod", "Node"}:
            continue
        texts = [
            text_at(found.value, "status", "podIP"),
            *(text_at(ip, "ip") for ip in list_at(found.value, "status", "podIPs")),
            text_at(found.value, "spec", "clusterIP"),
            *list_at(found.value, "spec", "clusterIPs"),
            *list_at(found.value, "spec", "podCIDRs"),
        ]
        networks = (str(text).partition("/")[0] for text in texts)
        seen += [family for text in networks if (family := family_of(text))]
        names = list_at(found.value, "spec", "ipFamilies")
        seen += [family for name in names for family in Family if family.api_name == name]
        if text_at(found.value, "spec", "ipFamilyPolicy") == "RequireDualStack":
            seen += [IPV4, IPV6]
    return tuple(dict.fromkeys(seen)) or (IPV4,)


def _node_addresses(node: dict[str, object], families: Sequence[Family]) -> list[str]:
    internal = [
        text_at(entry, "address")
        for entry in list_at(node, "status", "addresses")
        if text_at(entry, "type") == "InternalIP"
    ]
    first = (next((ip for ip in internal if family_of(ip) is family), "") for family in families)
    return [address for address in first if address]


def _cluster_ips(service: dict[str, Any]) -> list[str]:
    """Return the cluster IPs that are given."""
    ips = list_at(service, "spec", "clusterIPs") or [text_at(service, "spec", "clusterIP")]
    return [ip for ip in ips if isinstance(ip, str) and family_of(ip)]


def _service_families(
    spec: dict[str, Any], given: Sequence[str], cluster: Sequence[Family]
) -> list[Family]:
    """Return a Service's families, as the API server defaults them."""
    named = [
        family
        for name in spec.get("ipFamilies") or ()
        for family in Family
        if family.api_name == name
    ]
    families = named or [family for ip in given if (family := family_of(ip))] or [cluster[0]]
    policy = spec.get("ipFamilyPolicy") or ""
    dual = policy == "RequireDualStack" or (policy == "PreferDualStack" and len(cluster) == 2)
    if dual and len(families) == 1:
        families.append(families[0].other)
    return families
