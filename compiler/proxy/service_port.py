"""Service ports: what of a Service one port of it means for the rules.

Source: kubernetes `pkg/proxy/serviceport.go` (`newBaseServiceInfo`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from compiler.family import Family
from compiler.manifests.address import canonical, family_of, network_family, parse_network
from compiler.manifests.schema import Service, ServiceSpec
from compiler.manifests.validate import is_proxied
from compiler.proxy.release import Features

DEFAULT_AFFINITY_SECONDS = 10800

HINTS_OFF = {"", "disabled", "Disabled"}


class ServicePortInfo(Struct, frozen=True, gc=False):
    """A service port in one family, named as kube-proxy names it (`namespace/name:port`).

    `affinity_seconds` is 0 without session affinity, `node_port` and `health_check_node_port` are 0
    where there is none. `hints_annotated` is whether the Service asks for topology hints by
    annotation.
    """

    namespace: str
    service: str
    port_name: str
    name: str
    protocol: str
    port: int
    cluster_ip: str
    node_port: int
    health_check_node_port: int
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    affinity_seconds: int
    internal_policy_local: bool
    external_policy_local: bool
    hints_annotated: bool

    @property
    def externally_accessible(self) -> bool:
        """Whether it has a node port, a load-balancer IP or an external IP."""
        return bool(self.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Whether any traffic goes to endpoints anywhere.

        True for `externalTrafficPolicy: Local` too: pods and the node itself reach external
        addresses with the cluster policy.
        """
        return not self.internal_policy_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        """Whether any traffic goes to endpoints on this node alone."""
        return self.internal_policy_local or (
            self.external_policy_local and self.externally_accessible
        )


def service_ports(
    services: Sequence[Service], family: Family, features: Features
) -> list[ServicePortInfo]:
    """List the service ports of a family, in the order in which rules are written.

    kube-proxy's order is arbitrary; here it is byte order of namespace, name, port name and
    protocol.
    """
    infos = [
        info
        for service in services
        if is_proxied(service)
        for info in _of(service, family, features)
    ]
    infos.sort(key=lambda info: (info.namespace, info.service, info.port_name, info.protocol))
    return infos


def count_service_ports(services: Sequence[Service], family: Family) -> int:
    """Count the service ports of a family without making them."""
    return sum(
        len(service.spec.ports)
        for service in services
        if is_proxied(service)
        if service.spec and service.spec.ports and has_cluster_ip(service.spec, family)
    )


def has_cluster_ip(spec: ServiceSpec, family: Family) -> bool:
    """Tell whether a Service has a cluster IP of a family."""
    if spec.ip_families and family.api_name not in spec.ip_families:
        return False
    return cluster_ip(spec, family) is not None


def cluster_ip(spec: ServiceSpec, family: Family) -> str | None:
    """Find a family's cluster IP: the one of `clusterIPs` at the index of the family."""
    if spec.ip_families and spec.cluster_ips:
        if family.api_name not in spec.ip_families:
            return None
        place = spec.ip_families.index(family.api_name)
        # A dual-stack headless Service has two families, and "None" alone for a cluster IP.
        ip = spec.cluster_ips[place] if place < len(spec.cluster_ips) else ""
    elif spec.ip_families or not spec.cluster_ips:
        ip = spec.cluster_ip or ""
    else:
        ip = next((ip for ip in spec.cluster_ips if family_of(ip) is family), "")
    return canonical(ip) if family_of(ip) is family else None


def _of(service: Service, family: Family, features: Features) -> Iterator[ServicePortInfo]:
    spec, metadata = service.spec, service.metadata
    if spec is None or metadata is None or metadata.name is None:
        return
    ip = cluster_ip(spec, family)
    if ip is None:
        return
    namespace = metadata.namespace or "default"
    full_name = f"{namespace}/{metadata.name}"
    named_ips = spec.external_ips if features.allow_service_external_ips else None
    external_ips = _of_family(named_ips, family)
    facts = _facts_of_service(service, spec, has_external_ips=bool(named_ips))
    load_balancer_ips = _load_balancer_ips(service, family, features)
    source_ranges = _source_ranges(spec.load_balancer_source_ranges, family)
    for port in spec.ports or ():
        port_name = port.name or ""
        yield ServicePortInfo(
            namespace=namespace,
            service=metadata.name,
            port_name=port_name,
            name=f"{full_name}:{port_name}" if port_name else full_name,
            protocol=port.protocol or "TCP",
            port=port.port or 0,
            cluster_ip=ip,
            node_port=port.node_port or 0,
            health_check_node_port=facts.health_check_node_port,
            external_ips=external_ips,
            load_balancer_ips=load_balancer_ips,
            source_ranges=source_ranges,
            affinity_seconds=facts.affinity_seconds,
            internal_policy_local=spec.internal_traffic_policy == "Local",
            external_policy_local=facts.external_policy_local,
            hints_annotated=facts.hints_annotated,
        )


class _Facts(Struct, frozen=True, gc=False):
    health_check_node_port: int
    affinity_seconds: int
    external_policy_local: bool
    hints_annotated: bool


def _facts_of_service(service: Service, spec: ServiceSpec, *, has_external_ips: bool) -> _Facts:
    type_ = spec.type or "ClusterIP"
    local = spec.external_traffic_policy == "Local"
    health_check = spec.health_check_node_port or 0 if type_ == "LoadBalancer" and local else 0
    seconds = 0
    if spec.session_affinity == "ClientIP":
        config = spec.session_affinity_config
        client_ip = config.client_ip if config else None
        seconds = (client_ip.timeout_seconds if client_ip else None) or DEFAULT_AFFINITY_SECONDS
    annotations = service.metadata.annotations if service.metadata else None
    asked = None
    if annotations:
        asked = annotations.topology_aware_hints
        if asked is None:
            asked = annotations.topology_mode
    return _Facts(
        health_check_node_port=health_check,
        affinity_seconds=seconds,
        external_policy_local=local and (type_ in {"NodePort", "LoadBalancer"} or has_external_ips),
        hints_annotated=asked is not None and asked not in HINTS_OFF,
    )


def _of_family(ips: Sequence[str] | None, family: Family) -> tuple[str, ...]:
    return tuple([canonical(ip) for ip in ips if family_of(ip) is family]) if ips else ()


def _load_balancer_ips(service: Service, family: Family, features: Features) -> tuple[str, ...]:
    balancer = service.status.load_balancer if service.status else None
    if balancer is None or not balancer.ingress:
        return ()
    ips = [
        ingress.ip or ""
        for ingress in balancer.ingress
        if ingress.ip_mode in {None, "VIP"} or not features.load_balancer_ip_mode
    ]
    return _of_family(ips, family)


def _source_ranges(cidrs: Sequence[str] | None, family: Family) -> tuple[str, ...]:
    if not cidrs:
        return ()
    networks = [parse_network(cidr.strip()) for cidr in cidrs]
    return tuple(str(net) for net in networks if net and network_family(net) is family)
