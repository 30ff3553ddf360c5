"""Checks of the rules about endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from tests.generated_clusters import Cluster, Object, name_of, subject
from tests.lint_checks import check
from tests.lint_checks.endpoints import End, ends, families
from tests.lint_checks.pr1 import port_subject
from tests.lint_checks.pr3 import of


def slices_of(cluster: Cluster, service: Object, family: str) -> list[Object]:
    return [
        one
        for one in cluster.of("EndpointSlice")
        if one["addressType"] == family
        and one["metadata"]["namespace"] == service["metadata"]["namespace"]
        and one["metadata"]["labels"].get("kubernetes.io/service-name")
        == service["metadata"]["name"]
    ]


def pod_templates(cluster: Cluster) -> Iterator[tuple[Object, dict[str, Any]]]:
    """Give each workload with what is a Pod of it: `metadata` and `spec`."""
    for one in cluster.of("Deployment"):
        yield one, one["spec"]["template"]
    for one in cluster.of("Pod"):
        yield one, one


def selected(cluster: Cluster, service: Object) -> list[dict[str, Any]]:
    selector = service["spec"].get("selector", {})
    return [
        pod
        for workload, pod in pod_templates(cluster)
        if workload["metadata"]["namespace"] == service["metadata"]["namespace"]
        and selector
        and all(pod["metadata"]["labels"].get(key) == value for key, value in selector.items())
    ]


def container_ports(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [port for one in pod["spec"]["containers"] for port in one["ports"]]


@check("PR401")
def port_without_endpoints(cluster: Cluster) -> set[str]:
    found = set()
    for service in cluster.of("Service"):
        sliced = any(slices_of(cluster, service, family) for family in ("IPv4", "IPv6"))
        for port in service["spec"]["ports"]:
            pods = selected(cluster, service)
            named = isinstance(port["targetPort"], str)
            fits = any(
                (one["name"], one["protocol"]) == (port["targetPort"], port["protocol"])
                for pod in pods
                for one in container_ports(pod)
            )
            if not sliced and pods and named and not fits:
                found.add(port_subject(service, port))
            for family in families(service):
                full = any(one["endpoints"] for one in slices_of(cluster, service, family))
                if full and not ends(cluster, service, port, family):
                    found.add(port_subject(service, port))
    return found


@check("PR402")
def no_ready_endpoints(cluster: Cluster) -> set[str]:
    found = set()
    for service in cluster.of("Service"):
        for family in families(service):
            slices = slices_of(cluster, service, family)
            if slices and not any(one["endpoints"] for one in slices):
                found.add(subject(service))
            for port in service["spec"]["ports"]:
                some = ends(cluster, service, port, family)
                if some and not any(end.ready for end in some):
                    found.add(subject(service))
    return found


@check("PR403")
def slice_without_service(cluster: Cluster) -> set[str]:
    return {
        f"EndpointSlice {name_of(one)}"
        for one in cluster.of("EndpointSlice")
        if one["endpoints"] and not one["metadata"]["labels"]
    }


@check("PR404")
def endpoint_outside_pod_networks(cluster: Cluster) -> set[str]:
    if not cluster.of("Node"):
        return set()
    cidrs = (cluster.config or {}).get("clusterCIDR", "").split(",")
    cidrs += [cidr for node in cluster.of("Node") for cidr in node["spec"]["podCIDRs"]]
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs if cidr]
    found = set()
    for family in ("IPv4", "IPv6"):
        inside, outside, owners = set(), set(), set()
        for service in cluster.of("Service"):
            if family not in families(service):
                continue
            for one in slices_of(cluster, service, family):
                for endpoint in one["endpoints"]:
                    address = ipaddress.ip_address(endpoint["addresses"][0])
                    if endpoint.get("nodeName") not in cluster.node_names:
                        continue
                    if any(address in network for network in networks):
                        inside.add(address)
                    elif endpoint.get("conditions", {}).get("ready", True):
                        outside.add(address)
                        owners.add(subject(service))
        if len(outside) <= len(inside):
            found |= owners
    return found


def exclude(some: Object, other: Object) -> bool:
    """Whether no Pod has the labels that two Services select."""
    first, second = (one["spec"].get("selector", {}) for one in (some, other))
    if not first or not second:
        return False
    apart = some["metadata"]["namespace"] != other["metadata"]["namespace"]
    return apart or any(first[key] != second[key] for key in {*first} & {*second})


@check("PR405")
def endpoint_of_two_services(cluster: Cluster) -> set[str]:
    def ready(service: Object) -> set[tuple[str, int, str]]:
        some: list[tuple[End, str]] = [
            (end, port["protocol"])
            for family in families(service)
            for port in service["spec"]["ports"]
            for end in ends(cluster, service, port, family)
        ]
        return {(end.ip, end.port, protocol) for end, protocol in some if end.ready}

    found = set()
    services = sorted(cluster.of("Service"), key=name_of)
    for some, other in combinations(services, 2):
        if ready(some) & ready(other) and exclude(some, other):
            found.add(subject(other))
    return found


@check("PR406")
def endpoints_without_comments(cluster: Cluster) -> set[str]:
    counts = [
        sum(
            len(ends(cluster, service, port, family))
            for service in cluster.of("Service")
            if family in families(service)
            for port in service["spec"]["ports"]
        )
        for family in ("IPv4", "IPv6")
    ]
    return {""} if max(counts) > 1000 else set()


@check("PR407")
def node_port_is_host_port(cluster: Cluster) -> set[str]:
    found = set()
    for service in cluster.of("Service"):
        mine = selected(cluster, service)
        for port in service["spec"]["ports"]:
            for _, pod in pod_templates(cluster):
                for one in container_ports(pod):
                    host = one.get("hostPort") or (
                        one["containerPort"] if pod["spec"].get("hostNetwork") else None
                    )
                    if (
                        host == port.get("nodePort", 0)
                        and one["protocol"] == port["protocol"]
                        and all(pod is not own for own in mine)
                        and any(
                            meets(cluster, one.get("hostIP", ""), family)
                            for family in families(service)
                        )
                    ):
                        found.add(port_subject(service, port))
    return found


def listens_on(cluster: Cluster) -> list[str]:
    """Return nodePortAddresses, which has one IPv4 network at most in generated clusters."""
    return list((cluster.config or {}).get("nodePortAddresses", []))


def node_ports_are_open(cluster: Cluster, family: str) -> bool:
    """Whether node ports of a family are known to accept connections of other machines."""
    some = of(family, listens_on(cluster))
    # The Nodes' addresses are all in 172.18.0.0/16.
    return not some or some == ["0.0.0.0/0"] or bool(cluster.of("Node"))


def meets(cluster: Cluster, address: str, family: str) -> bool:
    """Whether node ports of a family are known to be open where a host port is."""
    if not address or (address == "0.0.0.0" and family == "IPv4"):
        return node_ports_are_open(cluster, family)
    everywhere = listens_on(cluster) in ([], ["0.0.0.0/0"])
    return address == "172.18.0.2" and family == "IPv4" and everywhere
