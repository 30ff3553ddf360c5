"""Checks of the rules about traffic policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.generated_clusters import Cluster, Object
from tests.lint_checks import check
from tests.lint_checks.endpoints import End, ends, families
from tests.lint_checks.pr1 import is_external, port_subject


def ports(cluster: Cluster) -> Iterator[tuple[Object, Object, str, list[End]]]:
    """Return every service port in every family, with its endpoints."""
    for service in cluster.of("Service"):
        for port in service["spec"]["ports"]:
            for family in families(service):
                yield service, port, family, ends(cluster, service, port, family)


def nodes_without(cluster: Cluster, known: list[End]) -> list[str]:
    """Return the nodes that have no endpoint to use."""
    having = {end.node for end in known if end.usable}
    return [name for name in cluster.node_names if name not in having]


def is_local(service: Object) -> bool:
    spec = service["spec"]
    may = spec["type"] != "ClusterIP" or bool(spec.get("externalIPs"))
    return may and bool(spec.get("externalTrafficPolicy") == "Local")


@check("PR201")
def local_policy_drops(cluster: Cluster) -> set[str]:
    return {
        port_subject(service, port)
        for service, port, family, known in ports(cluster)
        # No generated load balancer has a health check.
        if is_local(service)
        and is_external(cluster, service, port, family)
        and any(end.usable for end in known)
        and nodes_without(cluster, known)
    }


@check("PR202")
def local_policy_skew(cluster: Cluster) -> set[str]:
    found = set()
    for service, port, family, known in ports(cluster):
        if not is_local(service) or not is_external(cluster, service, port, family):
            continue
        ready = Counter(end.node for end in known if end.ready)
        ending = Counter(end.node for end in known if end.usable)
        counts = {(ready[node] or ending[node]) for node in cluster.node_names} - {0}
        if len(counts) > 1:
            found.add(port_subject(service, port))
    return found


@check("PR203")
def internal_local_drops(cluster: Cluster) -> set[str]:
    running = {pod["spec"]["nodeName"] for pod in cluster.of("Pod")}
    return {
        port_subject(service, port)
        for service, port, family, known in ports(cluster)
        if service["spec"].get("internalTrafficPolicy") == "Local"
        and any(end.usable for end in known)
        and running & set(nodes_without(cluster, known))
    }


@check("PR204")
def hints_not_used(cluster: Cluster) -> set[str]:
    return {
        port_subject(service, port)
        for service, port, family, known in ports(cluster)
        if uses_cluster_policy(cluster, service, port, family)
        and hints_fail(cluster, service, [end for end in known if end.ready])
    }


def uses_cluster_policy(cluster: Cluster, service: Object, port: Object, family: str) -> bool:
    internal = service["spec"].get("internalTrafficPolicy") == "Local"
    return not internal or is_external(cluster, service, port, family)


def hints_fail(cluster: Cluster, service: Object, ready: list[End]) -> bool:
    if any(end.zones for end in ready):
        mode = service["metadata"].get("annotations", {}).get("service.kubernetes.io/topology-mode")
        if cluster.version < (1, 31) and mode != "Auto":
            return True
        if not all(end.zones for end in ready):
            return True
        hinted = {zone for end in ready for zone in end.zones}
        zones = {
            node["metadata"]["labels"].get("topology.kubernetes.io/zone")
            for node in cluster.of("Node")
        }
        return not zones <= hinted
    if any(end.nodes for end in ready):
        return cluster.version < (1, 34) or not all(end.nodes for end in ready)
    return False
