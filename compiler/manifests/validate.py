"""What the API server would reject in an object, and kube-proxy can't be expected to meet.

These checks stand between the input and the rules: a name, address or port that passes here can
be written into a rule. Sources: kubernetes `pkg/apis/core/validation`, `pkg/apis/discovery/
validation`; kube-proxy is more lenient in places, and then so are the checks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from compiler.manifests.address import (
    are_ordinary_ipv4,
    canonical,
    family_of,
    parse_network,
    special_use,
)
from compiler.manifests.convert import shorten
from compiler.manifests.remark import Batch, Remarks
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
# The API server's default --service-node-port-range.
NODE_PORTS = range(30000, 32768)
# A Service's ports differ in number or protocol, so that more than this can't all be valid.
MAX_SERVICE_PORTS = 65535 * len(PROTOCOLS)

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
is_label = _LABEL.fullmatch
# Namespaces and port names are few, and looked at again and again.
is_frequent_label = lru_cache(maxsize=4096)(_LABEL.fullmatch)
is_subdomain = _SUBDOMAIN.fullmatch

LABEL_RULE = "must be at most 63 of a-z, 0-9 and -, with a letter or digit at both ends"
SUBDOMAIN_RULE = "must be at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends"
PORT_RULE = "must be between 1 and 65535"
CLUSTER_IP_RULE = "use one like 10.96.0.10"
ENDPOINT_USES = frozenset({"unspecified", "loopback", "link-local", "link-local multicast"})
CLUSTER_IP_USES = frozenset({"unspecified", "loopback", "link-local multicast", "multicast"})


def validate(batches: Sequence[Batch], remarks: Remarks) -> None:
    """Check every object, and the objects against one another."""
    together = _CrossObjectChecks(remarks)
    for batch in batches:
        for index, manifest in enumerate(batch.objects):
            remarks.start(batch, index)
            is_first = together.check_name(batch, index)
            if isinstance(manifest, Service):
                _check_service(manifest, remarks)
                if is_first:  # a copy would only clash with its original once more
                    together.check_service(manifest, batch, index)
            elif isinstance(manifest, EndpointSlice):
                _check_slice(manifest, remarks)
            else:
                _check_node(manifest, remarks)
    together.report_node_ports()


def is_proxied(service: Service) -> bool:
    """Return whether kube-proxy looks at a Service at all (its `ShouldSkipService`)."""
    metadata, spec = service.metadata, service.spec
    labels = metadata.labels if metadata else None
    if labels and (labels.service_proxy_name is not None or labels.headless is not None):
        return False
    return (
        spec is not None
        and spec.cluster_ip not in {None, "", "None"}
        and spec.type != "ExternalName"
    )


def _one_of(value: str | None, allowed: Sequence[str], path: Path, remarks: Remarks) -> None:
    if value and value not in allowed:  # empty is unset, as in the API
        message = f"unsupported value {shorten(value)}"
        remarks.add(path, message, f"supported values: {', '.join(allowed)}")


def _check_metadata(
    metadata: ObjectMeta | None, remarks: Remarks, *, name_is_label: bool, namespaced: bool
) -> None:
    name = metadata.name if metadata else None
    matches, rule = (is_label, LABEL_RULE) if name_is_label else (is_subdomain, SUBDOMAIN_RULE)
    if not name:
        remarks.add(("metadata", "name"), "missing", "every object needs a name")
    elif not matches(name):
        remarks.add(("metadata", "name"), f"invalid name {shorten(name)}", rule)
    namespace = metadata.namespace if metadata and namespaced else None
    if namespace and not is_frequent_label(namespace):
        message = f"invalid namespace {shorten(namespace)}"
        remarks.add(("metadata", "namespace"), message, LABEL_RULE)


def _check_service(service: Service, remarks: Remarks) -> None:
    _check_metadata(service.metadata, remarks, name_is_label=True, namespaced=True)
    spec = service.spec
    if spec is None:
        return
    _one_of(spec.type, SERVICE_TYPES, ("spec", "type"), remarks)
    _one_of(spec.session_affinity, AFFINITIES, ("spec", "sessionAffinity"), remarks)
    _one_of(spec.internal_traffic_policy, POLICIES, ("spec", "internalTrafficPolicy"), remarks)
    _one_of(spec.external_traffic_policy, POLICIES, ("spec", "externalTrafficPolicy"), remarks)
    config = spec.session_affinity_config
    seconds = config.client_ip.timeout_seconds if config and config.client_ip else None
    if seconds is not None and not 1 <= seconds <= MAX_AFFINITY_SECONDS:
        remarks.add(
            ("spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"),
            f"{seconds} is out of range",
            f"must be between 1 and {MAX_AFFINITY_SECONDS} seconds",
        )
    health_check = spec.health_check_node_port
    if health_check is not None and not 0 <= health_check <= 65535:
        remarks.add(("spec", "healthCheckNodePort"), f"invalid port {health_check}", PORT_RULE)
    _check_cluster_ips(spec, remarks)
    _check_lenient_addresses(service, spec, remarks)
    _check_service_ports(spec.ports or [], remarks)


def _check_cluster_ips(spec: ServiceSpec, remarks: Remarks) -> None:
    ips, families = spec.cluster_ips or [], spec.ip_families or []
    for index, family in enumerate(families):
        _one_of(family, IP_FAMILIES, ("spec", "ipFamilies", index), remarks)
    if spec.cluster_ip in {None, "", "None"}:
        return
    if len(families) == 1 and ips == [spec.cluster_ip]:
        only = family_of(ips[0])
        if only is not None and only.api_name == families[0] and not special_use(ips[0]):
            return  # as nearly all are: once looked at is enough
    named: list[tuple[str | None, Path]] = [(spec.cluster_ip, ("spec", "clusterIP"))]
    named += [(ip, ("spec", "clusterIPs", index)) for index, ip in enumerate(ips)]
    for ip, path in named:
        if ip is None:
            continue
        if family_of(ip) is None:
            remarks.add(path, f"{shorten(ip)} is not an IP address", CLUSTER_IP_RULE)
        else:
            _check_use(ip, path, remarks, unusable=CLUSTER_IP_USES, purpose="a cluster IP")
    if ips and ips[0] != spec.cluster_ip:
        remarks.add(
            ("spec", "clusterIPs", 0),
            f"{shorten(ips[0])} differs from clusterIP {shorten(spec.cluster_ip or '')}",
            "the first of clusterIPs must equal clusterIP",
        )
    _check_families(families, ips or [spec.cluster_ip or ""], remarks)


def _check_use(
    ip: str, path: Path, remarks: Remarks, *, unusable: frozenset[str], purpose: str
) -> None:
    """Reject an address whose special use rules a purpose out."""
    use = special_use(ip)
    if use in unusable:
        message = f"{ip} is {'an' if use == 'unspecified' else 'a'} {use} address"
        remarks.add(path, message, f"it can't be {purpose}")


def _check_families(families: list[str], ips: list[str], remarks: Remarks) -> None:
    for index, name in enumerate(families):
        path: Path = ("spec", "ipFamilies", index)
        if index >= len(ips):
            message = f"{shorten(name)} has no cluster IP"
            remarks.add(path, message, "clusterIPs needs one address per family")
            continue
        family = family_of(ips[index])
        if family is not None and family.api_name != name and name in IP_FAMILIES:
            message = f"{shorten(name)} has the cluster IP {ips[index]}"
            remarks.add(path, message, "clusterIPs must be in the order of ipFamilies")


def _check_lenient_addresses(service: Service, spec: ServiceSpec, remarks: Remarks) -> None:
    """Check the addresses that kube-proxy skips where they are invalid: warnings."""
    for index, ip in enumerate(spec.external_ips or ()):
        path: Path = ("spec", "externalIPs", index)
        if family_of(ip) is None:
            message = f"{shorten(ip)} is not an IP address, so kube-proxy skips it"
            remarks.add(path, message, warning=True)
        else:
            _check_use(ip, path, remarks, unusable=ENDPOINT_USES, purpose="an external IP")
    for index, cidr in enumerate(spec.load_balancer_source_ranges or ()):
        if parse_network(cidr.strip()) is None:
            message = f"{shorten(cidr)} is not a CIDR, so kube-proxy skips it"
            remarks.add(("spec", "loadBalancerSourceRanges", index), message, warning=True)
    balancer = service.status.load_balancer if service.status else None
    for index, ingress in enumerate((balancer.ingress if balancer else None) or ()):
        path = ("status", "loadBalancer", "ingress", index)
        if ingress.ip and family_of(ingress.ip) is None:
            message = f"{shorten(ingress.ip)} is not an IP address, so kube-proxy skips it"
            remarks.add((*path, "ip"), message, warning=True)
        _one_of(ingress.ip_mode, IP_MODES, (*path, "ipMode"), remarks)


def _check_service_ports(ports: list[ServicePort], remarks: Remarks) -> None:
    if len(ports) > MAX_SERVICE_PORTS:
        # Each would have a remark of its own: a million of them take minutes and gigabytes.
        remarks.add(
            ("spec", "ports"),
            f"{len(ports)} ports",
            f"a Service can have at most {MAX_SERVICE_PORTS}, one per number and protocol",
        )
        return
    names: set[str] = set()
    for index, port in enumerate(ports):
        path = ("spec", "ports", index)
        if port.port is None:
            remarks.add((*path, "port"), "missing", PORT_RULE)
        elif not 1 <= port.port <= 65535:
            remarks.add((*path, "port"), f"invalid port {port.port}", PORT_RULE)
        if port.node_port is not None and not 0 <= port.node_port <= 65535:
            remarks.add((*path, "nodePort"), f"invalid port {port.node_port}", PORT_RULE)
        _check_port_name_and_protocol(port, path, remarks)
        name = port.name or ""
        if not name and len(ports) > 1:
            hint = "every port of a Service with several ports needs a name"
            remarks.add((*path, "name"), "missing", hint)
        elif name in names:
            message = f"duplicate port name {shorten(name)}"
            remarks.add((*path, "name"), message, "port names must be unique")
        names.add(name)


def _check_port_name_and_protocol(
    port: ServicePort | EndpointPort, path: Path, remarks: Remarks
) -> None:
    if port.name and not is_frequent_label(port.name):
        message = f"invalid port name {shorten(port.name)}"
        remarks.add((*path, "name"), message, LABEL_RULE)
    if port.protocol is not None and port.protocol not in PROTOCOLS:
        _one_of(port.protocol, PROTOCOLS, (*path, "protocol"), remarks)


def _check_slice(endpoint_slice: EndpointSlice, remarks: Remarks) -> None:
    _check_metadata(endpoint_slice.metadata, remarks, name_is_label=False, namespaced=True)
    address_type = endpoint_slice.address_type
    if address_type is None:
        supported = ", ".join(ADDRESS_TYPES)
        remarks.add(("addressType",), "missing", f"supported values: {supported}")
        return
    _one_of(address_type, ADDRESS_TYPES, ("addressType",), remarks)
    for index, port in enumerate(endpoint_slice.ports or ()):
        path = ("ports", index)
        if port.port is not None and not 0 <= port.port <= 65535:
            remarks.add((*path, "port"), f"invalid port {port.port}", PORT_RULE)
        _check_port_name_and_protocol(port, path, remarks)
    if address_type in IP_FAMILIES:
        _check_endpoint_addresses(endpoint_slice, address_type, remarks)


def _check_endpoint_addresses(
    endpoint_slice: EndpointSlice, address_type: str, remarks: Remarks
) -> None:
    endpoints = endpoint_slice.endpoints or ()
    # Nearly all slices of a large dump pass here, without a look at each endpoint.
    addresses = [address for e in endpoints for address in e.addresses or ("",)]
    if address_type == "IPv4" and are_ordinary_ipv4(addresses):
        return
    for index, endpoint in enumerate(endpoints):
        if not endpoint.addresses:
            hint = "every endpoint needs at least one address"
            remarks.add(("endpoints", index, "addresses"), "missing", hint)
            continue
        for place, address in enumerate(endpoint.addresses):
            family = family_of(address)
            path: Path = ("endpoints", index, "addresses", place)
            if family is None:
                message = f"{shorten(address)} is not an IP address"
                remarks.add(path, message, f"must be an {address_type} address")
            elif family.api_name != address_type:
                message = (
                    f"{address} is not an {address_type} address (addressType), so it is skipped"
                )
                remarks.add(path, message, warning=True)
            else:
                _check_use(address, path, remarks, unusable=ENDPOINT_USES, purpose="an endpoint")


def _check_node(node: Node, remarks: Remarks) -> None:
    _check_metadata(node.metadata, remarks, name_is_label=False, namespaced=False)
    for index, cidr in enumerate((node.spec.pod_cidrs if node.spec else None) or ()):
        if parse_network(cidr) is None:
            message = f"{shorten(cidr)} is not a CIDR"
            remarks.add(("spec", "podCIDRs", index), message, "use one like 10.244.1.0/24")
    for index, address in enumerate((node.status.addresses if node.status else None) or ()):
        if (
            address.type in {"InternalIP", "ExternalIP"}
            and family_of(address.address or "") is None
        ):
            path = ("status", "addresses", index, "address")
            message = f"{shorten(address.address or '')} is not an IP address"
            remarks.add(path, message, f"the address of type {address.type} must be one")


_Place = tuple[Batch, int, Path]
_Key = tuple[object, ...]


class _CrossObjectChecks:
    """Objects that can't exist beside one another."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        self._first: dict[_Key, _Place] = {}
        self._unusual_node_ports: list[tuple[int, _Place]] = []

    def check_name(self, batch: Batch, index: int) -> bool:
        """Reject the same object twice; return whether it is the first."""
        manifest = batch.objects[index]
        metadata = manifest.metadata
        if metadata is None or not metadata.name:
            return True
        namespace = "" if isinstance(manifest, Node) else metadata.namespace or "default"
        key = (type(manifest), namespace, metadata.name)
        place = (batch, index, ("metadata", "name"))
        if self._is_new(key, place):
            return True
        self._clash(key, place, "duplicate object", "an object can appear only once")
        return False

    def check_service(self, service: Service, batch: Batch, index: int) -> None:
        """Reject two Services on one node port, or on one cluster IP and port."""
        spec = service.spec
        if spec is None or len(spec.ports or ()) > MAX_SERVICE_PORTS:
            return
        ips = (spec.cluster_ips or [spec.cluster_ip or ""]) if is_proxied(service) else ()
        for number, port in enumerate(spec.ports or ()):
            path: Path = ("spec", "ports", number)
            if port.node_port:
                self._check_node_port(port, (batch, index, (*path, "nodePort")), bool(ips))
            if port.port is None:
                continue  # reported before
            protocol = port.protocol or "TCP"
            for ip in ips:
                known_as = canonical(ip) if ":" in ip and family_of(ip) else ip
                key = ("cluster IP", known_as, port.port, protocol)
                place = (batch, index, (*path, "port"))
                if not self._is_new(key, place):
                    message = f"cluster IP {ip} port {port.port}/{protocol} is used twice"
                    hint = "a cluster IP and port can belong to only one Service"
                    self._clash(key, place, message, hint)

    def _check_node_port(self, port: ServicePort, place: _Place, is_proxied: bool) -> None:
        number, protocol = port.node_port or 0, port.protocol or "TCP"
        if number not in NODE_PORTS:
            self._unusual_node_ports.append((number, place))
        key = ("node port", number, protocol)
        if is_proxied and not self._is_new(key, place):
            message = f"node port {number}/{protocol} is used twice"
            self._clash(key, place, message, "a node port can belong to only one Service")

    def _is_new(self, key: _Key, place: _Place) -> bool:
        """Note who has something; return whether nobody had it before."""
        return self._first.setdefault(key, place) is place

    def _clash(self, key: _Key, place: _Place, message: str, hint: str) -> None:
        self._remarks.add(place[2], message, hint, first=self._first[key])

    def report_node_ports(self) -> None:
        """Warn of node ports outside the default range: once, since a range is the cluster's."""
        if not self._unusual_node_ports:
            return
        number, (batch, index, path) = self._unusual_node_ports[0]
        others = len(self._unusual_node_ports) - 1
        more = f", as {'is' if others == 1 else 'are'} {others} more" if others else ""
        self._remarks.start(batch, index)
        self._remarks.add(
            path,
            f"node port {number} is outside {NODE_PORTS.start} to {NODE_PORTS.stop - 1}{more}",
            "the API server rejects it unless its --service-node-port-range allows it",
            warning=True,
        )
