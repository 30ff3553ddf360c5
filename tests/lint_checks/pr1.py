"""Checks of the rules about affinity."""

from __future__ import annotations

from tests.generated_clusters import Cluster, Object, subject
from tests.lint_checks import check
from tests.lint_checks.endpoints import End, ends, families


def pinned(service: Object) -> bool:
    return bool(service["spec"].get("sessionAffinity") == "ClientIP")


def choices(cluster: Cluster, service: Object, port: Object, family: str) -> list[list[End]]:
    """Return the sets of endpoints that nodes choose among: cluster-wide ones, and local ones."""
    spec = service["spec"]
    known = ends(cluster, service, port, family)
    ready = [end for end in known if end.ready]
    usable = ready or [end for end in known if end.usable]
    external = (
        bool(port.get("nodePort"))
        or any((":" in ip) == (family == "IPv6") for ip in spec.get("externalIPs", ()))
        or bool(load_balancer_ips(cluster, service, family))
    )
    found = []
    internal_local = spec.get("internalTrafficPolicy") == "Local"
    if not internal_local or external:
        found += [by_hints(cluster, service, ready, node) or usable for node in all_nodes(cluster)]
    external_local = (
        external
        and spec.get("externalTrafficPolicy") == "Local"
        and (spec["type"] != "ClusterIP" or bool(spec.get("externalIPs")))
    )
    if internal_local or external_local:
        for node in all_nodes(cluster):
            local = [end for end in known if end.node == node]
            found.append([e for e in local if e.ready] or [e for e in local if e.usable])
    return found


def all_nodes(cluster: Cluster) -> list[str]:
    return cluster.node_names or [""]


def by_hints(cluster: Cluster, service: Object, ready: list[End], node: str) -> list[End]:
    """Return the endpoints that hints leave to a node; empty where they are not used."""
    if not ready:
        return []
    if cluster.version >= (1, 34) and all(end.nodes for end in ready):
        mine = [end for end in ready if node in end.nodes]
        if mine:
            return mine
    annotated = (
        service["metadata"]
        .get("annotations", {})
        .get("service.kubernetes.io/topology-mode", "disabled")
    )
    if (cluster.version >= (1, 31) or annotated != "disabled") and all(e.zones for e in ready):
        labels = [
            one["metadata"]["labels"].get("topology.kubernetes.io/zone")
            for one in cluster.of("Node")
            if one["metadata"]["name"] == node
        ]
        return [end for end in ready if labels and labels[0] in end.zones]
    return []


def load_balancer_ips(cluster: Cluster, service: Object, family: str) -> list[str]:
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return [
        one["ip"]
        for one in ingress
        if one.get("ipMode", "VIP") == "VIP" and (":" in one["ip"]) == (family == "IPv6")
    ]


@check("PR101")
def affinity_per_port(cluster: Cluster) -> set[str]:
    return {
        subject(service)
        for service in cluster.of("Service")
        if pinned(service)
        and sum(
            any(
                len(some) > 1
                for family in families(service)
                for some in choices(cluster, service, port, family)
            )
            for port in service["spec"]["ports"]
        )
        > 1
    }


def pinned_to_several(cluster: Cluster, service: Object, port: Object) -> list[list[End]]:
    """Return the choices of a port with affinity, if one of them is among several endpoints."""
    if not pinned(service):
        return []
    return [
        some
        for family in families(service)
        for some in choices(cluster, service, port, family)
        if len(some) > 1
    ]


def pinned_services(cluster: Cluster, *seconds: int) -> set[str]:
    """Return the Services with affinity among several endpoints and one of these timeouts."""
    return {
        subject(service)
        for service in cluster.of("Service")
        if service["spec"]
        .get("sessionAffinityConfig", {})
        .get("clientIP", {})
        .get("timeoutSeconds", 10800)
        in seconds
        and any(pinned_to_several(cluster, service, port) for port in service["spec"]["ports"])
    }


@check("PR102")
def affinity_list_limit(cluster: Cluster) -> set[str]:
    clients = cluster.options.get("clients", 0)
    return {
        subject(service)
        for service in cluster.of("Service")
        for port in service["spec"]["ports"]
        if any(clients > 100 * len(some) for some in pinned_to_several(cluster, service, port))
    }


def port_subject(service: Object, port: Object) -> str:
    return f"{subject(service)}:{port['name']}" if "name" in port else subject(service)


def external_ips(service: Object, family: str) -> list[str]:
    ips = service["spec"].get("externalIPs", ())
    return [ip for ip in ips if (":" in ip) == (family == "IPv6")]


def is_external(cluster: Cluster, service: Object, port: Object, family: str) -> bool:
    return bool(
        port.get("nodePort")
        or external_ips(service, family)
        or load_balancer_ips(cluster, service, family)
    )


@check("PR103")
def affinity_per_node(cluster: Cluster) -> set[str]:
    return {
        port_subject(service, port)
        for service in cluster.of("Service")
        if pinned(service) and len(cluster.node_names) > 1
        for port in service["spec"]["ports"]
        for family in families(service)
        if is_external(cluster, service, port, family)
        and any(len(some) > 1 for some in choices(cluster, service, port, family))
    }


@check("PR104")
def affinity_timeout_short(cluster: Cluster) -> set[str]:
    return pinned_services(cluster, 1, 10, 59, 60)


@check("PR105")
def affinity_timeout_long(cluster: Cluster) -> set[str]:
    return pinned_services(cluster, 86400)


@check("PR106")
def affinity_on_udp(cluster: Cluster) -> set[str]:
    return {
        port_subject(service, port)
        for service in cluster.of("Service")
        for port in service["spec"]["ports"]
        if port["protocol"] == "UDP" and pinned_to_several(cluster, service, port)
    }
