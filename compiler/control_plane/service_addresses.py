"""Cluster IPs and node ports, as the API server hands them out.

Source: kubernetes `pkg/registry/core/service/storage/alloc.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compiler.control_plane.address_pool import AddressPool, ExhaustedError, Pool
from compiler.control_plane.families import SERVICE_NETWORKS, cluster_ips, service_families
from compiler.control_plane.objects import PlainObject, list_at, text_at
from compiler.errors import Problem
from compiler.family import Family
from compiler.manifests.validate import NODE_PORTS

Service = tuple[PlainObject, dict[str, Any]]
"""A Service as it was written, and its copy, which gets what is missing."""


class ServiceAddresses:
    """Gives Services what they lack; `others` are Services whose addresses and ports are taken."""

    def __init__(
        self,
        services: Sequence[Service],
        families: Sequence[Family],
        others: Sequence[PlainObject] = (),
    ) -> None:
        # By name: in which order they were written makes no difference.
        self.services = sorted(services, key=lambda one: one[0].subject)
        self.families = families
        self.values = [value for _, value in services] + [dict(one.value) for one in others]
        self.notes: dict[str, list[str]] = {}
        self.problems: list[Problem] = []

    def give(self) -> None:
        """Hand out cluster IPs and node ports."""
        taken = {ip for value in self.values for ip in cluster_ips(value)}
        pools = {family: AddressPool(SERVICE_NETWORKS[family], taken) for family in Family}
        for original, value in self.services:
            self._give_cluster_ips(original, value.setdefault("spec", {}), pools)
        numbers = {number for value in self.values for number in _node_ports(value)}
        ports = Pool(NODE_PORTS.start, len(NODE_PORTS), numbers)
        for original, value in self.services:
            try:
                self._give_node_ports(original, value["spec"], ports)
            except ExhaustedError:
                message = f"no node port from {NODE_PORTS.start} to {NODE_PORTS.stop - 1} is free"
                hint = "set nodePort, or allocateLoadBalancerNodePorts: false"
                self.problems.append(original.problem((), message, hint))

    def notes_of(self, service: PlainObject) -> list[str]:
        """Return what a Service got, in words."""
        return self.notes.get(service.subject, [])

    def _note(self, original: PlainObject, text: str) -> None:
        self.notes.setdefault(original.subject, []).append(f"{original.subject} has {text}")

    def _give_cluster_ips(
        self, original: PlainObject, spec: dict[str, Any], pools: dict[Family, AddressPool]
    ) -> None:
        if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
            return
        given = cluster_ips({"spec": spec})
        families = service_families(spec, given, self.families)
        # Those given stand for the first families; the rest is handed out.
        missing = families[len(given) :]
        try:
            new = [pools[family].take(original.subject) for family in missing]
        except ExhaustedError:
            networks = " or ".join(str(pools[family].network) for family in missing)
            message = f"the service network {networks} has no free address"
            self.problems.append(original.problem((), message, "set clusterIP"))
            return
        ips = [*given, *new]
        spec["clusterIP"], spec["clusterIPs"] = ips[0], ips
        spec["ipFamilies"] = [family.api_name for family in families]
        if new:
            self._note(original, f"the cluster IP {' and '.join(new)}")

    def _give_node_ports(self, original: PlainObject, spec: dict[str, Any], pool: Pool) -> None:
        """Hand out node ports, those of health checks too.

        A port's own name decides, as the API server knows it by that when a Service changes.
        """
        for index, port in enumerate(list_at(spec, "ports")):
            if wants_node_ports(spec) and isinstance(port, dict) and not port.get("nodePort"):
                name = text_at(port, "name") or index
                port["nodePort"] = pool.take(f"{original.subject} {name}")
                self._note(original, f"the node port {port['nodePort']}")
        if wants_health_check(spec) and not spec.get("healthCheckNodePort"):
            number = spec["healthCheckNodePort"] = pool.take(original.subject)
            self._note(original, f"the health check node port {number}")


def wants_node_ports(spec: dict[str, Any]) -> bool:
    """Say whether a Service's ports have node ports."""
    return spec.get("type") == "NodePort" or (
        spec.get("type") == "LoadBalancer"
        and spec.get("allocateLoadBalancerNodePorts") is not False
    )


def wants_health_check(spec: dict[str, Any]) -> bool:
    """Say whether a Service has a node port for health checks."""
    local = spec.get("externalTrafficPolicy") == "Local"
    return spec.get("type") == "LoadBalancer" and local


def _node_ports(service: dict[str, Any]) -> list[int]:
    ports = [
        port.get("nodePort") for port in list_at(service, "spec", "ports") if isinstance(port, dict)
    ]
    spec = service.get("spec")
    ports.append(spec.get("healthCheckNodePort") if isinstance(spec, dict) else None)
    return [number for number in ports if isinstance(number, int)]
