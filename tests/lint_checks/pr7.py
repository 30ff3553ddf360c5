"""Checks of the rules about upgrades."""

from __future__ import annotations

from dataclasses import replace

from tests.generated_clusters import Cluster, Object, subject
from tests.lint_checks import check
from tests.lint_checks.endpoints import End, ends, families
from tests.lint_checks.pr1 import all_nodes, by_hints, load_balancer_ips

# The release that no longer has the gate.
GONE = {"LoadBalancerIPMode": 35, "TopologyAwareHints": 36}


def newer(cluster: Cluster) -> Cluster | None:
    version = cluster.options.get("upgrade_to")
    if version is None:
        return None
    return replace(cluster, options={**cluster.options, "kube_version": version})


@check("PR701")
def upgrade_changes_traffic(cluster: Cluster) -> set[str]:
    later = newer(cluster)
    if later is None:
        return set()
    return {
        f"{subject(service)}:{port['name']}" if "name" in port else subject(service)
        for service in cluster.of("Service")
        for port in service["spec"]["ports"]
        for family in families(service)
        for node in all_nodes(cluster)
        if uses_cluster_endpoints(cluster, service, port, family)
        and chosen(cluster, service, port, family, node)
        != chosen(later, service, port, family, node)
    }


def uses_cluster_endpoints(cluster: Cluster, service: Object, port: Object, family: str) -> bool:
    spec = service["spec"]
    external = [ip for ip in spec.get("externalIPs", ()) if (":" in ip) == (family == "IPv6")]
    return (
        spec.get("internalTrafficPolicy") != "Local"
        or bool(external)
        or bool(port.get("nodePort"))
        or bool(load_balancer_ips(cluster, service, family))
    )


def chosen(
    cluster: Cluster, service: Object, port: Object, family: str, node: str
) -> set[tuple[str, int]]:
    known = ends(cluster, service, port, family)
    ready = [end for end in known if end.ready]
    some: list[End] = by_hints(cluster, service, ready, node) or ready
    return {(end.ip, end.port) for end in some or [end for end in known if end.usable]}


@check("PR702")
def upgrade_rejects_settings(cluster: Cluster) -> set[str]:
    later = newer(cluster)
    gates = (cluster.config or {}).get("featureGates", {})
    return {"" for gate in gates if later and later.version[1] >= GONE[gate]}
