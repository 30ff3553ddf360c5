"""What the API server would refuse in an object, and kube-proxy can't be expected to meet.

These checks stand between the input and the rules: a name, address or port that passes here can
be written into a rule. Sources: kubernetes `pkg/apis/core/validation`, `pkg/apis/discovery/
validation`; kube-proxy is more lenient in places, and then so are the checks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from compiler.manifests.address import are_ipv4, canonical, family_of, parse_network
from compiler.manifests.convert import shorten
from compiler.manifests.finding import Batch, Findings
from compiler.manifests.schema import (
    EndpointPort,
    EndpointSlice,
    Node,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from compiler.yaml.plain import Path

PROTOCOLS = ("TCP", "UDP", "SCTP")
SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
AFFINITIES = ("None", "ClientIP")
POLICIES = ("Cluster", "Local")
IP_FAMILIES = ("IPv4", "IPv6")
ADDRESS_TYPES = ("IPv4", "IPv6", "FQDN")
IP_MODES = ("VIP", "Proxy")
MAX_AFFINITY_SECONDS = 86400

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
is_label = _LABEL.fullmatch
# Namespaces and port names are few, and looked at again and again.
is_frequent_label = lru_cache(maxsize=4096)(_LABEL.fullmatch)
is_subdomain = _SUBDOMAIN.fullmatch

LABEL_RULE = "at most 63 of a-z, 0-9 and -, with a letter or digit at both ends"
SUBDOMAIN_RULE = "at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends"
PORT_RULE = "a port from 1 to 65535"


def validate(batches: Sequence[Batch], findings: Findings) -> None:
    """Check every object, and the objects against one another."""
    together = _CrossObjectChecks(findings)
    for batch in batches:
        for index, manifest in enumerate(batch.objects):
            findings.start(batch, index)
            is_first = together.check_name(batch, index)
            if isinstance(manifest, Service):
                _check_service(manifest, findings)
                if is_first:  # a copy would only clash with its original once more
                    together.check_service(manifest, batch, index)
            elif isinstance(manifest, EndpointSlice):
                _check_slice(manifest, findings)
            else:
                _check_node(manifest, findings)


def is_proxied(service: Service) -> bool:
    """Tell whether kube-proxy looks at a Service at all (semantics: `shouldSkipService`)."""
    metadata, spec = service.metadata, service.spec
    labels = metadata.labels if metadata else None
    if labels and (labels.service_proxy_name is not None or labels.headless is not None):
        return False
    return (
        spec is not None
        and spec.cluster_ip not in {None, "", "None"}
        and spec.type != "ExternalName"
    )


def _one_of(value: str | None, allowed: Sequence[str], path: Path, findings: Findings) -> None:
    if value and value not in allowed:  # empty is unset, as in the API
        findings.add(path, f"unknown: {shorten(value)}", f"one of {', '.join(allowed)}")


def _check_metadata(
    metadata: ObjectMeta | None, findings: Findings, *, name_is_label: bool, namespaced: bool
) -> None:
    name = metadata.name if metadata else None
    matches, rule = (is_label, LABEL_RULE) if name_is_label else (is_subdomain, SUBDOMAIN_RULE)
    if not name:
        findings.add(("metadata", "name"), "missing", "every object has a name")
    elif not matches(name):
        findings.add(("metadata", "name"), f"Kubernetes refuses the name {shorten(name)}", rule)
    namespace = metadata.namespace if metadata and namespaced else None
    if namespace and not is_frequent_label(namespace):
        message = f"Kubernetes refuses the namespace {shorten(namespace)}"
        findings.add(("metadata", "namespace"), message, LABEL_RULE)


def _check_service(service: Service, findings: Findings) -> None:
    _check_metadata(service.metadata, findings, name_is_label=True, namespaced=True)
    spec = service.spec
    if spec is None:
        return
    _one_of(spec.type, SERVICE_TYPES, ("spec", "type"), findings)
    _one_of(spec.session_affinity, AFFINITIES, ("spec", "sessionAffinity"), findings)
    _one_of(spec.internal_traffic_policy, POLICIES, ("spec", "internalTrafficPolicy"), findings)
    _one_of(spec.external_traffic_policy, POLICIES, ("spec", "externalTrafficPolicy"), findings)
    config = spec.session_affinity_config
    seconds = config.client_ip.timeout_seconds if config and config.client_ip else None
    if seconds is not None and not 1 <= seconds <= MAX_AFFINITY_SECONDS:
        findings.add(
            ("spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"),
            f"{seconds} seconds is out of range",
            f"from 1 to {MAX_AFFINITY_SECONDS}",
        )
    health_check = spec.health_check_node_port
    if health_check is not None and not 0 <= health_check <= 65535:
        findings.add(("spec", "healthCheckNodePort"), f"no port: {health_check}", PORT_RULE)
    _check_cluster_ips(spec, findings)
    _check_lenient_addresses(service, spec, findings)
    _check_service_ports(spec.ports or [], findings)


def _check_cluster_ips(spec: ServiceSpec, findings: Findings) -> None:
    ips, families = spec.cluster_ips or [], spec.ip_families or []
    for index, family in enumerate(families):
        _one_of(family, IP_FAMILIES, ("spec", "ipFamilies", index), findings)
    if spec.cluster_ip in {None, "", "None"}:
        return
    if len(families) == 1 and ips == [spec.cluster_ip]:
        only = family_of(ips[0])
        if only is not None and only.api_name == families[0]:
            return  # as nearly all are: once looked at is enough
    named: list[tuple[str | None, Path]] = [(spec.cluster_ip, ("spec", "clusterIP"))]
    named += [(ip, ("spec", "clusterIPs", index)) for index, ip in enumerate(ips)]
    for ip, path in named:
        if ip is not None and family_of(ip) is None:
            findings.add(path, f"not an IP address: {shorten(ip)}", "such as 10.96.0.10")
    if ips and ips[0] != spec.cluster_ip:
        findings.add(
            ("spec", "clusterIPs", 0),
            f"{shorten(ips[0])} is not clusterIP {shorten(spec.cluster_ip or '')}",
            "the first of clusterIPs is clusterIP",
        )
    _check_families(families, ips or [spec.cluster_ip or ""], findings)


def _check_families(families: list[str], ips: list[str], findings: Findings) -> None:
    for index, name in enumerate(families):
        path: Path = ("spec", "ipFamilies", index)
        if index >= len(ips):
            findings.add(path, f"{shorten(name)} has no cluster IP", "one of clusterIPs a family")
            continue
        family = family_of(ips[index])
        if family is not None and family.api_name != name and name in IP_FAMILIES:
            message = f"{name} has the cluster IP {ips[index]}"
            findings.add(path, message, f"clusterIPs in the order of ipFamilies, an {name} address")


def _check_lenient_addresses(service: Service, spec: ServiceSpec, findings: Findings) -> None:
    """Check the addresses that kube-proxy skips where they are invalid: warnings."""
    for index, ip in enumerate(spec.external_ips or ()):
        if family_of(ip) is None:
            message = f"skipped, not an IP address: {shorten(ip)}"
            findings.add(("spec", "externalIPs", index), message, warning=True)
    for index, cidr in enumerate(spec.load_balancer_source_ranges or ()):
        if parse_network(cidr.strip()) is None:
            findings.add(
                ("spec", "loadBalancerSourceRanges", index),
                f"skipped, not a CIDR: {shorten(cidr)}",
                warning=True,
            )
    balancer = service.status.load_balancer if service.status else None
    for index, ingress in enumerate((balancer.ingress if balancer else None) or ()):
        path: Path = ("status", "loadBalancer", "ingress", index)
        if ingress.ip and family_of(ingress.ip) is None:
            message = f"skipped, not an IP address: {shorten(ingress.ip)}"
            findings.add((*path, "ip"), message, warning=True)
        _one_of(ingress.ip_mode, IP_MODES, (*path, "ipMode"), findings)


def _check_service_ports(ports: list[ServicePort], findings: Findings) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        path = ("spec", "ports", index)
        if port.port is None:
            findings.add((*path, "port"), "missing", PORT_RULE)
        elif not 1 <= port.port <= 65535:
            findings.add((*path, "port"), f"no port: {port.port}", PORT_RULE)
        if port.node_port is not None and not 0 <= port.node_port <= 65535:
            findings.add((*path, "nodePort"), f"no port: {port.node_port}", PORT_RULE)
        _check_port_name_and_protocol(port, path, findings)
        name = port.name or ""
        if not name and len(ports) > 1:
            findings.add((*path, "name"), "missing", "a Service with several ports names each")
        elif name in names:
            findings.add((*path, "name"), f"{shorten(name)} names two ports", "one name a port")
        names.add(name)


def _check_port_name_and_protocol(
    port: ServicePort | EndpointPort, path: Path, findings: Findings
) -> None:
    if port.name and not is_frequent_label(port.name):
        message = f"Kubernetes refuses the port name {shorten(port.name)}"
        findings.add((*path, "name"), message, LABEL_RULE)
    if port.protocol is not None and port.protocol not in PROTOCOLS:
        _one_of(port.protocol, PROTOCOLS, (*path, "protocol"), findings)


def _check_slice(endpoint_slice: EndpointSlice, findings: Findings) -> None:
    _check_metadata(endpoint_slice.metadata, findings, name_is_label=False, namespaced=True)
    address_type = endpoint_slice.address_type
    if address_type is None:
        findings.add(("addressType",), "missing", f"one of {', '.join(ADDRESS_TYPES)}")
        return
    _one_of(address_type, ADDRESS_TYPES, ("addressType",), findings)
    for index, port in enumerate(endpoint_slice.ports or ()):
        path = ("ports", index)
        if port.port is not None and not 0 <= port.port <= 65535:
            findings.add((*path, "port"), f"no port: {port.port}", PORT_RULE)
        _check_port_name_and_protocol(port, path, findings)
    if address_type in IP_FAMILIES:
        _check_endpoint_addresses(endpoint_slice, address_type, findings)


def _check_endpoint_addresses(
    endpoint_slice: EndpointSlice, address_type: str, findings: Findings
) -> None:
    endpoints = endpoint_slice.endpoints or ()
    # Nearly all slices of a large dump pass here, without a look at each endpoint.
    addresses = [address for e in endpoints for address in e.addresses or ("",)]
    if address_type == "IPv4" and are_ipv4(addresses):
        return
    for index, endpoint in enumerate(endpoints):
        if not endpoint.addresses:
            findings.add(("endpoints", index, "addresses"), "missing", "at least one address")
            continue
        for place, address in enumerate(endpoint.addresses):
            family = family_of(address)
            path: Path = ("endpoints", index, "addresses", place)
            if family is None:
                findings.add(
                    path, f"not an IP address: {shorten(address)}", f"an {address_type} address"
                )
            elif family.api_name != address_type:
                message = f"skipped, {address} in a slice of {address_type} addresses"
                findings.add(path, message, warning=True)


def _check_node(node: Node, findings: Findings) -> None:
    _check_metadata(node.metadata, findings, name_is_label=False, namespaced=False)
    for index, cidr in enumerate((node.spec.pod_cidrs if node.spec else None) or ()):
        if parse_network(cidr) is None:
            message = f"not a CIDR: {shorten(cidr)}"
            findings.add(("spec", "podCIDRs", index), message, "such as 10.244.1.0/24")
    for index, address in enumerate((node.status.addresses if node.status else None) or ()):
        if (
            address.type in {"InternalIP", "ExternalIP"}
            and family_of(address.address or "") is None
        ):
            path = ("status", "addresses", index, "address")
            message = f"not an IP address: {shorten(address.address or '')}"
            findings.add(path, message, f"an {address.type} is an IP address")


_Place = tuple[Batch, int, Path]


class _CrossObjectChecks:
    """Objects that can't stand beside one another."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._first: dict[tuple[object, ...], _Place] = {}

    def check_name(self, batch: Batch, index: int) -> bool:
        """Refuse the same object twice; tell whether it is the first."""
        manifest = batch.objects[index]
        metadata = manifest.metadata
        if metadata is None or not metadata.name:
            return True
        namespace = "" if isinstance(manifest, Node) else metadata.namespace or "default"
        key = (type(manifest), namespace, metadata.name)
        place = (batch, index, ("metadata", "name"))
        return self._once(key, place, "the same object", "each object once")

    def check_service(self, service: Service, batch: Batch, index: int) -> None:
        """Refuse two services on one node port, or one cluster IP and port."""
        spec = service.spec
        if spec is None or not is_proxied(service):
            return
        ips = spec.cluster_ips or [spec.cluster_ip or ""]
        for number, port in enumerate(spec.ports or ()):
            protocol = port.protocol or "TCP"
            if port.node_port:
                where: Path = ("spec", "ports", number, "nodePort")
                what = f"node port {port.node_port}/{protocol}"
                taken: tuple[object, ...] = ("node port", port.node_port, protocol)
                self._once(taken, (batch, index, where), what, "one Service a node port")
            if port.port is None:
                continue  # told before
            for ip in ips:
                known_as = canonical(ip) if ":" in ip and family_of(ip) else ip
                where = ("spec", "ports", number, "port")
                what = f"cluster IP {ip} port {port.port}/{protocol}"
                taken = ("cluster IP", known_as, port.port, protocol)
                self._once(taken, (batch, index, where), what, "one Service a cluster IP and port")

    def _once(self, key: tuple[object, ...], place: _Place, what: str, hint: str) -> bool:
        first = self._first.setdefault(key, place)
        if first is place:
            return True
        self._findings.add(place[2], f"{what} twice", hint, first=first)
        return False
