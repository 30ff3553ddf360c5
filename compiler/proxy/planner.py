"""From objects to the plan: all decisions, in the order in which kube-proxy takes them.

Source: kubernetes `pkg/proxy/iptables/proxier.go` (`syncProxyRules`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.manifests.reader import Manifests
from compiler.manifests.schema import EndpointSlice
from compiler.proxy.configuration import ProxyConfig
from compiler.proxy.endpoint import gather_endpoints, slices_by_service
from compiler.proxy.node import (
    LocalNode,
    NodePorts,
    check_node_port_addresses,
    choose_node,
    node_ports,
)
from compiler.proxy.node_dependence import NodeFacts
from compiler.proxy.plan import Blocked, LocalTraffic, Plan, Planned, PlannedServicePort
from compiler.proxy.release import Release, resolve_features
from compiler.proxy.service_port import ServicePortInfo, count_service_ports, service_ports
from compiler.proxy.topology import Categories, categorize


def make_plan(
    manifests: Manifests,
    config: ProxyConfig,
    family: Family,
    release: Release,
    *,
    node: str | None = None,
    node_addresses: Sequence[str] = (),
) -> Planned:
    """Decide what one node does for the Services of one family.

    `node` is the node's name; it overrides the configuration's. `node_addresses` are addresses that
    the node has beside those of its Node object. Raises `InputError` where the node has to be named
    and isn't, and where the configuration has what the release doesn't know.
    """
    problems = check_node_port_addresses(config, release)
    try:
        name = choose_node(manifests.nodes, node, config)
    except InputError as error:
        raise InputError([*problems, *error.problems]) from error
    facts = NodeFacts(manifests, config, family, name=name, addresses=node_addresses)
    planner = Planner(manifests, config, family, release, facts)
    plan = planner.plan()
    if problems or facts.problems:
        raise InputError([*problems, *facts.problems])
    return Planned(
        plan,
        other_family_service_ports=count_service_ports(manifests.services, family.other),
        warnings=planner.warnings,
    )


class Planner:
    """Plans the service ports of one node; `facts` gathers what it can't decide."""

    def __init__(
        self,
        manifests: Manifests,
        config: ProxyConfig,
        family: Family,
        release: Release,
        facts: NodeFacts,
    ) -> None:
        self._manifests, self._config = manifests, config
        self._family, self._release, self._facts = family, release, facts
        self._features, gate_warnings = resolve_features(release, config.feature_gates)
        self._total_endpoints = 0
        self.warnings: tuple[Problem, ...] = tuple(
            config.tell("feature_gates", message, hint) for message, hint in gate_warnings
        )

    def plan(self) -> Plan:
        """Plan all service ports of the manifests."""
        infos = service_ports(self._manifests.services, self._family, self._features)
        groups = slices_by_service(self._manifests.endpoint_slices, self._family)
        planned = [
            self.service_port(info, groups.get((info.namespace, info.service), ()))
            for info in infos
        ]
        return self.plan_of(planned, self._total_endpoints)

    def plan_of(self, planned: list[PlannedServicePort], total_endpoints: int) -> Plan:
        """Plan the node with these service ports alone, as `service_port` gave them.

        `total_endpoints` is how many endpoints they have, in any state.
        """
        return Plan(
            family=self._family,
            masquerade_mark=1 << self._config.masquerade_bit,
            masquerade_all=self._config.masquerade_all,
            node_ports=self._node_ports(matter=bool(planned)),
            local_traffic=self._local_traffic(
                matters=any(port.has_endpoints for port in planned),
            ),
            tcp_be_liberal=self._config.tcp_be_liberal,
            service_ports=planned,
            total_endpoints=total_endpoints,
        )

    def service_port(
        self, info: ServicePortInfo, slices: Sequence[EndpointSlice]
    ) -> PlannedServicePort:
        """Plan one service port; `slices` are those of its Service, in the order of their names."""
        endpoints, total, reasons = self._categories(self._facts.node, info, slices)
        if reasons:
            endpoints = self._common_categories(info, slices, endpoints, reasons)
        self._total_endpoints += total
        limits_sources = bool(endpoints.has_any and info.load_balancer_ips and info.source_ranges)
        admits_node = limits_sources and self._admits_node(info)
        return _planned(info, endpoints, limits_sources=limits_sources, admits_node=admits_node)

    def _categories(
        self, node: LocalNode, info: ServicePortInfo, slices: Sequence[EndpointSlice]
    ) -> tuple[Categories, int, list[str]]:
        """Categorize a port's endpoints, and count them; also say why it may depend on the node."""
        reasons: list[str] = []
        endpoints = gather_endpoints(
            slices,
            self._family,
            self._release,
            port_name=info.port_name,
            protocol=info.protocol,
            node_name=node.name,
        )
        if endpoints.copies_differ:
            reasons.append("copies of an endpoint in several slices differ")
        categories = categorize(endpoints.all, info, node, self._features, reasons.append)
        return categories, len(endpoints.all), reasons

    def _common_categories(
        self,
        info: ServicePortInfo,
        slices: Sequence[EndpointSlice],
        categories: Categories,
        reasons: Sequence[str],
    ) -> Categories:
        """Return the categories that a port has on every Node; require the name if they differ."""
        facts = self._facts
        for reason in reasons:
            if reason == "hints.forZones" and not facts.has_node_objects:
                facts.require_object(reason=reason, service_port=info.name)
            elif not facts.candidates:
                facts.require_name(reason=reason, service_port=info.name)
        common = None
        for node in facts.candidates:
            categories, _, _ = self._categories(node, info, slices)
            if common not in {None, categories.addresses}:
                for reason in reasons:
                    facts.require_name(reason=reason, service_port=info.name)
                break
            common = categories.addresses
        return categories

    def _node_ports(self, *, matter: bool) -> NodePorts:
        facts, reason = self._facts, "nodePortAddresses"
        everywhere = node_ports(self._config, facts.node, self._family).addresses is None
        known = facts.candidates or facts.node.knows_addresses
        if matter and not everywhere and not known:
            facts.require_object(reason=reason)
        return facts.common(
            lambda node: node_ports(self._config, node, self._family), reason=reason
        )

    def _local_traffic(self, *, matters: bool) -> LocalTraffic | None:
        """Decide how pods' traffic is recognized; `matters` only where there are endpoints."""
        config, reason = self._config, "detectLocalMode: NodeCIDR"
        cidr = None
        if config.detect_local_mode == "BridgeInterface":
            return LocalTraffic(interface=config.pod_interface)
        if config.detect_local_mode == "InterfaceNamePrefix":
            return LocalTraffic(interface_prefix=config.pod_interface)
        if config.detect_local_mode == "ClusterCIDR":
            cidr = config.cluster_cidrs.get(self._family)
        elif matters:
            if not self._facts.has_node_objects:
                self._facts.require_object(reason=reason)
            cidr = self._facts.common(lambda node: node.pod_cidr, reason=reason)
        return LocalTraffic(cidr=cidr) if cidr else None

    def _admits_node(self, info: ServicePortInfo) -> bool:
        """Tell whether the node's own IP is in one of the source ranges."""
        facts, reason = self._facts, "loadBalancerSourceRanges"
        if not facts.candidates and not facts.node.knows_ip:
            facts.require_object(reason=reason, service_port=info.name)
        ranges = [ipaddress.ip_network(cidr) for cidr in info.source_ranges]

        def admitted(node: LocalNode) -> bool:
            address = ipaddress.ip_address(node.ip)
            return any(address in network for network in ranges)

        return facts.common(admitted, reason=reason, service_port=info.name)


def _planned(
    info: ServicePortInfo, endpoints: Categories, *, limits_sources: bool, admits_node: bool
) -> PlannedServicePort:
    return PlannedServicePort(
        name=info.name,
        protocol=info.protocol.lower(),
        port=info.port,
        cluster_ip=info.cluster_ip,
        external_ips=info.external_ips,
        load_balancer_ips=info.load_balancer_ips,
        node_port=info.node_port,
        health_check_node_port=info.health_check_node_port,
        externally_accessible=info.externally_accessible,
        internal_policy_local=info.internal_policy_local,
        external_policy_local=info.external_policy_local,
        affinity_seconds=info.affinity_seconds,
        source_ranges=info.source_ranges,
        limits_sources=limits_sources,
        admits_node=admits_node,
        cluster_endpoints=endpoints.cluster,
        local_endpoints=endpoints.local,
        reachable_endpoints=endpoints.reachable,
        has_endpoints=endpoints.has_any,
        internal_block=_block(endpoints, policy_local=info.internal_policy_local),
        external_block=_block(endpoints, policy_local=info.external_policy_local),
    )


def _block(endpoints: Categories, *, policy_local: bool) -> Blocked | None:
    """Decide whether traffic has nowhere to go under a policy."""
    if not endpoints.has_any:
        return Blocked.NO_ENDPOINTS
    return Blocked.NO_LOCAL_ENDPOINTS if policy_local and not endpoints.local else None
