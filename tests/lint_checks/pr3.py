"""Checks of the rules about exposure."""

from __future__ import annotations

from tests.generated_clusters import Cluster, Object, subject
from tests.lint_checks import check
from tests.lint_checks.endpoints import families
from tests.lint_checks.pr1 import load_balancer_ips, port_subject


def of(family: str, addresses: list[str]) -> list[str]:
    """Return the addresses or CIDRs of a family."""
    return [one for one in addresses if (":" in one) == (family == "IPv6")]


def external_ips(service: Object, family: str) -> list[str]:
    return of(family, service["spec"].get("externalIPs", []))


@check("PR301")
def source_ranges_bypassed(cluster: Cluster) -> set[str]:
    found = set()
    for service in cluster.of("Service"):
        spec = service["spec"]
        ranges = spec.get("loadBalancerSourceRanges", [])
        # No generated range but this one contains every address.
        if not ranges or ranges == ["0.0.0.0/0"]:
            continue
        for family in families(service):
            with_node_port = any(port.get("nodePort") for port in spec["ports"])
            unlimited = not of(family, ranges) and load_balancer_ips(cluster, service, family)
            if with_node_port or external_ips(service, family) or unlimited:
                found.add(subject(service))
    return found


@check("PR302")
def external_ips_at_all(cluster: Cluster) -> set[str]:
    return {
        subject(service)
        for service in cluster.of("Service")
        for family in families(service)
        if external_ips(service, family)
    }


@check("PR303")
def address_claimed_twice(cluster: Cluster) -> set[str]:
    claims: dict[tuple[str, int, str], list[tuple[str, str, str, str]]] = {}
    for service in cluster.of("Service"):
        for port in service["spec"]["ports"]:
            for family in families(service):
                ips = external_ips(service, family) + load_balancer_ips(cluster, service, family)
                for ip in set(ips):
                    meta = service["metadata"]
                    name = (meta["namespace"], meta["name"], port.get("name", ""))
                    key = ip, port["port"], port["protocol"]
                    claims.setdefault(key, []).append((*name, port_subject(service, port)))
    # No external address is a cluster IP here.
    return {max(some)[3] for some in claims.values() if len(some) > 1}


def with_node_ports(cluster: Cluster, family: str) -> bool:
    return any(
        port.get("nodePort")
        for service in cluster.of("Service")
        if family in families(service)
        for port in service["spec"]["ports"]
    )


@check("PR304")
def node_ports_everywhere(cluster: Cluster) -> set[str]:
    if cluster.config is None:
        return set()
    addresses = cluster.config.get("nodePortAddresses", [])
    return {
        ""
        for family in ("IPv4", "IPv6")
        if not of(family, addresses) and with_node_ports(cluster, family)
    }


@check("PR305")
def localhost_node_ports(cluster: Cluster) -> set[str]:
    config = cluster.config
    if config is None or not config.get("iptables", {}).get("localhostNodePorts", True):
        return set()
    # Of what is generated this network alone has no loopback address.
    limited = config.get("nodePortAddresses") == ["172.18.0.0/16"]
    return {""} if not limited and with_node_ports(cluster, "IPv4") else set()


@check("PR306")
def node_ports_not_needed(cluster: Cluster) -> set[str]:
    found = set()
    for service in cluster.of("Service"):
        spec, annotations = service["spec"], service["metadata"].get("annotations", {})
        if spec["type"] != "LoadBalancer" or "nodePort" not in spec["ports"][0]:
            continue
        if (
            spec.get("allocateLoadBalancerNodePorts") is False
            or spec.get("loadBalancerClass") == "tailscale"
            or any(name.startswith("metallb.") for name in annotations)
            or any(
                name.endswith("nlb-target-type") and annotations[name] == "ip"
                for name in annotations
            )
        ):
            found.add(subject(service))
    return found
