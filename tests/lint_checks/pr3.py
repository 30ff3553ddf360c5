"""Checks of the rules about exposure."""

from __future__ import annotations

from tests.generated_clusters import Cluster, Object, subject
from tests.lint_checks import check
from tests.lint_checks.endpoints import families
from tests.lint_checks.pr1 import load_balancer_ips


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
