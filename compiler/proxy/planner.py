"""From objects to the plan: all decisions, in the order in which kube-proxy takes them.

Source: kubernetes `pkg/proxy/iptables/proxier.go` (`syncProxyRules`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

from msgspec import Struct

from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.manifests.reader import Manifests
from compiler.manifests.schema import EndpointSlice
from compiler.proxy.chain_name import chain_hashes, chain_names
from compiler.proxy.configuration import ProxyConfig
from compiler.proxy.endpoint import EndpointInfo, gather_endpoints, slices_by_service
from compiler.proxy.node import (
    LOCALHOST,
    LocalNode,
    NodePorts,
    check_node_port_addresses,
    choose_node,
    local_node,
    node_name,
    node_ports,
    one_of_nodes,
)
from compiler.proxy.plan import Plan, PlannedEndpoint, PlannedServicePort
from compiler.proxy.release import Release, resolve_features
from compiler.proxy.service_port import ServicePortInfo, count_service_ports, service_ports
from compiler.proxy.topology import Categories, categorize

# Above this many endpoints, in any state, kube-proxy saves the comments of endpoints' rules.
LARGE_CLUSTER_ENDPOINTS = 1000

F = TypeVar("F")


def make_plan(
    manifests: Manifests,
    config: ProxyConfig,
    family: Family,
    release: Release,
    *,
    node: str | None = None,
    node_addresses: Sequence[str] = (),
    nfacct: bool = False,
) -> Plan:
    """Decide what the rules of one family on one node are.

    `node` and `node_addresses` are what the command line says. Raises `InputError` where the node
    has to be named and isn't, or the configuration asks for what can't be.
    """
    planner = _Planner(
        manifests,
        config,
        family,
        release,
        node=node,
        node_addresses=node_addresses,
        nfacct=nfacct,
    )
    return planner.plan()


class _Decided(Struct, frozen=True, gc=False):
    info: ServicePortInfo
    endpoints: Categories
    admits_node: bool


class _Planner:
    def __init__(
        self,
        manifests: Manifests,
        config: ProxyConfig,
        family: Family,
        release: Release,
        *,
        node: str | None,
        node_addresses: Sequence[str],
        nfacct: bool,
    ) -> None:
        self._manifests, self._config = manifests, config
        self._family, self._release, self._nfacct = family, release, nfacct
        self._problems = check_node_port_addresses(config, release)
        if nfacct and not release.has_nfacct:
            message = f"kube-proxy {release} doesn't count with nfacct"
            self._problems.append(Problem("--nfacct", message, "--kube-version 1.31 or later"))
        try:
            name = choose_node(manifests.nodes, node, config)
        except InputError as error:
            raise InputError([*self._problems, *error.problems]) from error
        self._node = self._local_node(name, node_addresses)
        self._node_addresses = node_addresses
        self._features, self._gate_warnings = resolve_features(release, config.feature_gates)

    def _local_node(self, name: str | None, addresses: Sequence[str]) -> LocalNode:
        found = next((n for n in self._manifests.nodes if node_name(n) == name), None)
        return local_node(name, found, self._config, self._family, addresses)

    def plan(self) -> Plan:
        infos = service_ports(self._manifests.services, self._family, self._features)
        decided, endpoints = self._decide(infos)
        listening = self._node_ports(infos)
        cidr = self._local_cidr(decided)
        if self._problems:
            raise InputError(self._problems)
        mode, interface = self._config.detect_local_mode, self._config.pod_interface
        planned = _planned(decided)
        longest = max((len(port.reachable_endpoints) for port in planned), default=0)
        others = count_service_ports(self._manifests.services, self._family.other)
        return Plan(
            family=self._family,
            mark=1 << self._config.masquerade_bit,
            masquerade_all=self._config.masquerade_all,
            local_cidr=cidr,
            local_interface=interface if mode == "BridgeInterface" else None,
            local_interface_prefix=interface if mode == "InterfaceNamePrefix" else None,
            localhost_node_ports=listening.localhost,
            node_port_addresses=listening.addresses,
            node_port_excluded_cidr=None if listening.localhost else LOCALHOST[self._family],
            tcp_be_liberal=self._config.tcp_be_liberal,
            nfacct=self._nfacct,
            endpoint_comments=endpoints <= LARGE_CLUSTER_ENDPOINTS,
            probabilities=(*(f"{1 / n:.10f}" for n in range(longest, 1, -1)), ""),
            service_ports=planned,
            endpoints=endpoints,
            other_family_service_ports=others,
            warnings=tuple(
                self._config.tell("feature_gates", message, hint)
                for message, hint in self._gate_warnings
            ),
        )

    def _needs_node(self, subject: str, reason: str) -> None:
        message = f"missing, and the rules depend on the node ({reason})"
        hint = one_of_nodes(self._node_names)
        self._problems.append(Problem("--node", message, hint, subject=subject))

    def _needs_node_object(self, subject: str, reason: str) -> None:
        name = self._node.name
        which = f"the Node {name}, which is" if name else "Nodes, which are"
        message = f"the rules depend on {which} not in the manifests ({reason})"
        self._problems.append(
            Problem("--node", message, "kubectl get nodes -o yaml", subject=subject)
        )

    @cached_property
    def _node_names(self) -> list[str]:
        """The names that may be meant: of Nodes, or of the endpoints' nodes where none is there."""
        return [node_name(node) for node in self._manifests.nodes] or [
            endpoint.node_name
            for endpoint_slice in self._manifests.endpoint_slices
            for endpoint in endpoint_slice.endpoints or ()
            if endpoint.node_name
        ]

    def _decide(self, infos: Sequence[ServicePortInfo]) -> tuple[list[_Decided], int]:
        groups = slices_by_service(self._manifests.endpoint_slices, self._family)
        decided, total = [], 0
        for info in infos:
            slices = groups.get((info.namespace, info.service), ())
            categories, endpoints, reasons = self._categories(self._node, info, slices)
            if reasons:
                categories = self._common_categories(info, slices, categories, reasons)
            total += endpoints
            admits_node = categories.has_any and self._admits_node(info)
            decided.append(_Decided(info, categories, admits_node))
        return decided, total

    def _categories(
        self, node: LocalNode, info: ServicePortInfo, slices: Sequence[EndpointSlice]
    ) -> tuple[Categories, int, list[str]]:
        """Categorize a port's endpoints, and count them; also say why it may depend on the node."""
        reasons: list[str] = []
        endpoints = gather_endpoints(
            slices, info.port_name, info.protocol, self._family, self._release, node.name
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
        """Give the categories that a port has on every Node; say that it has none in common."""
        subject = f"Service {info.name}"
        for reason in reasons:
            if reason == "hints.forZones" and not self._manifests.nodes:
                self._needs_node_object(subject, reason)
            elif not self._candidates:
                self._needs_node(subject, reason)
        common = None
        for node in self._candidates:
            categories, _, _ = self._categories(node, info, slices)
            if common not in {None, categories.texts}:
                for reason in reasons:
                    self._needs_node(subject, reason)
                break
            common = categories.texts
        return categories

    def _node_ports(self, infos: Sequence[ServicePortInfo]) -> NodePorts:
        listening = node_ports(self._config, self._node, self._family)
        everywhere = listening.addresses is None
        if not everywhere and not self._candidates and not self._node.tells_addresses and infos:
            self._needs_node_object("", "nodePortAddresses")
        return self._common(
            lambda node: node_ports(self._config, node, self._family), "", "nodePortAddresses"
        )

    def _common(self, fact: Callable[[LocalNode], F], subject: str, reason: str) -> F:
        """Give a fact of the node, or of all Nodes where none is named; say if they differ."""
        if not self._candidates:
            return fact(self._node)
        facts = {fact(node) for node in self._candidates}
        if len(facts) > 1:
            self._needs_node(subject, reason)
        return facts.pop()

    @cached_property
    def _candidates(self) -> list[LocalNode]:
        """The Nodes that may be meant where none is named."""
        if self._node.name is not None:
            return []
        return [
            local_node(node_name(n), n, self._config, self._family, self._node_addresses)
            for n in self._manifests.nodes
        ]

    def _local_cidr(self, decided: Sequence[_Decided]) -> str | None:
        if self._config.detect_local_mode == "ClusterCIDR":
            return self._config.cluster_cidrs.get(self._family)
        matters = any(entry.endpoints.has_any for entry in decided)
        if self._config.detect_local_mode != "NodeCIDR" or not matters:
            return None
        if not self._manifests.nodes:
            self._needs_node_object("", "detectLocalMode: NodeCIDR")
        return self._common(lambda node: node.pod_cidr, "", "detectLocalMode: NodeCIDR")

    def _admits_node(self, info: ServicePortInfo) -> bool:
        """Tell whether the node's own IP is in one of the source ranges."""
        if not info.source_ranges or not info.load_balancer_ips:
            return False
        if not self._candidates and not self._node.tells_ip:
            self._needs_node_object(f"Service {info.name}", "loadBalancerSourceRanges")
        ranges = [ipaddress.ip_network(cidr) for cidr in info.source_ranges]

        def admitted(node: LocalNode) -> bool:
            address = ipaddress.ip_address(node.ip)
            return any(address in network for network in ranges)

        return self._common(admitted, f"Service {info.name}", "loadBalancerSourceRanges")


def _planned(decided: Sequence[_Decided]) -> list[PlannedServicePort]:
    """Name the chains of what was decided."""
    keys = [entry.info.name + entry.info.protocol.lower() for entry in decided]
    endpoint_chains = chain_names(
        "KUBE-SEP-",
        [
            key + endpoint.text
            for key, entry in zip(keys, decided, strict=True)
            for endpoint in entry.endpoints.reachable
        ],
    )
    planned, start = [], 0
    for entry, port_hash in zip(decided, chain_hashes(keys), strict=True):
        end = start + len(entry.endpoints.reachable)
        planned.append(_planned_port(entry, port_hash, endpoint_chains[start:end]))
        start = end
    return planned


def _planned_port(
    entry: _Decided, port_hash: str, endpoint_chains: Sequence[str]
) -> PlannedServicePort:
    info, endpoints = entry.info, entry.endpoints
    reachable = [
        PlannedEndpoint(endpoint.text, endpoint.ip, chain)
        for endpoint, chain in zip(endpoints.reachable, endpoint_chains, strict=True)
    ]
    cluster = _among(reachable, endpoints.cluster, endpoints.reachable)
    local = _among(reachable, endpoints.local, endpoints.reachable)
    cluster_chain, local_chain = "KUBE-SVC-" + port_hash, "KUBE-SVL-" + port_hash
    has_any = endpoints.has_any
    return PlannedServicePort(
        name=info.name,
        protocol=info.protocol.lower(),
        port=info.port,
        cluster_ip=info.cluster_ip,
        external_ips=info.external_ips,
        load_balancer_ips=info.load_balancer_ips,
        node_port=info.node_port,
        health_check_node_port=info.health_check_node_port,
        source_ranges=info.source_ranges,
        admits_node=entry.admits_node,
        affinity_seconds=info.affinity_seconds,
        cluster_chain=cluster_chain,
        local_chain=local_chain,
        external_chain="KUBE-EXT-" + port_hash,
        firewall_chain="KUBE-FW-" + port_hash,
        internal_chain=local_chain if info.internal_policy_local else cluster_chain,
        external_target=local_chain if info.external_policy_local else cluster_chain,
        has_endpoints=has_any,
        has_internal_endpoints=has_any and (bool(local) or not info.internal_policy_local),
        has_external_endpoints=has_any and (bool(local) or not info.external_policy_local),
        has_external_chain=has_any and info.externally_accessible,
        has_firewall=has_any and bool(info.load_balancer_ips) and bool(info.source_ranges),
        external_policy_local=info.external_policy_local,
        cluster_endpoints=cluster,
        local_endpoints=local,
        reachable_endpoints=reachable,
    )


def _among(
    planned: list[PlannedEndpoint], some: list[EndpointInfo], reachable: list[EndpointInfo]
) -> list[PlannedEndpoint]:
    """Find the planned ones of some of the reachable endpoints."""
    if len(some) == len(reachable):
        return planned
    texts = {endpoint.text for endpoint in some}
    return [endpoint for endpoint in planned if endpoint.text in texts]
