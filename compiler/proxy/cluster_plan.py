"""Service ports as every node of a cluster plans them.

Most service ports are planned alike on all nodes, and the others on few kinds of nodes: those with
an endpoint and those without, those of each zone. A service port is planned once for each kind.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from compiler.errors import Problem
from compiler.family import Family
from compiler.manifests.reader import Manifests
from compiler.manifests.schema import EndpointSlice, Node
from compiler.proxy.configuration import ProxyConfig
from compiler.proxy.endpoint import EndpointInfo, Endpoints, gather_endpoints, slices_by_service
from compiler.proxy.node import node_name
from compiler.proxy.node_dependence import NodeFacts
from compiler.proxy.plan import Plan, PlannedServicePort
from compiler.proxy.planner import Planner
from compiler.proxy.release import Features, Release, resolve_features
from compiler.proxy.service_port import ServicePortInfo, service_ports

NodeName = str | None
"""A node; None where the manifests name none at all."""


class ClusterPlan:
    """One family's service ports, planned for the nodes that may be asked for.

    `nodes` are the Nodes of the manifests, without any those that endpoints name, without any of
    those too the one that is not named. With `node` it is that one alone.
    """

    def __init__(
        self,
        manifests: Manifests,
        config: ProxyConfig,
        family: Family,
        release: Release,
        *,
        node: str | None = None,
        node_addresses: Sequence[str] = (),
    ) -> None:
        self.family = family
        self.config = config
        self.release = release
        self._manifests = manifests
        self._addresses = node_addresses
        self._asked = node or config.hostname_override
        self._facts: dict[NodeName, NodeFacts] = {}
        self._planners: dict[NodeName, Planner] = {}
        self._gathered: dict[int, Endpoints] = {}
        self._sensitivities: dict[int, _Sensitivity] = {}
        self._groups: dict[int, list[tuple[tuple[NodeName, ...], PlannedServicePort]]] = {}
        self._planned: dict[tuple[int, object], PlannedServicePort] = {}
        self._admitted: dict[tuple[str, ...], frozenset[NodeName]] = {}

    @cached_property
    def features(self) -> Features:
        """The feature gates of the release and the configuration."""
        return resolve_features(self.release, self.config.feature_gates)[0]

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Feature gates that can't be set as configured."""
        _, warnings = resolve_features(self.release, self.config.feature_gates)
        return tuple(self.config.tell("feature_gates", *warning) for warning in warnings)

    @cached_property
    def nodes(self) -> tuple[NodeName, ...]:
        """The nodes that service ports are planned for."""
        return (self._asked,) if self._asked else self.all_nodes

    @cached_property
    def all_nodes(self) -> tuple[NodeName, ...]:
        """The nodes of the cluster, however many are asked for."""
        names = [node_name(node) for node in self._manifests.nodes] or sorted(
            {
                endpoint.node_name
                for one in self._manifests.endpoint_slices
                for endpoint in one.endpoints or ()
                if endpoint.node_name
            }
        )
        return tuple(names) or (None,)

    @cached_property
    def infos(self) -> list[ServicePortInfo]:
        """All service ports, in the order in which rules are written."""
        return service_ports(self._manifests.services, self.family, self.features)

    @cached_property
    def _slices(self) -> Mapping[tuple[str, str], list[EndpointSlice]]:
        return slices_by_service(self._manifests.endpoint_slices, self.family)

    def slices(self, info: ServicePortInfo) -> Sequence[EndpointSlice]:
        """Return the slices of a service port's Service that kube-proxy looks at, by name."""
        return self._slices.get((info.namespace, info.service), ())

    def endpoints(self, info: ServicePortInfo) -> list[EndpointInfo]:
        """Return all endpoints of a service port, in any state, by address and port."""
        return self._endpoints(info).all

    def _endpoints(self, info: ServicePortInfo) -> Endpoints:
        if id(info) not in self._gathered:
            self._gathered[id(info)] = gather_endpoints(
                self.slices(info),
                self.family,
                self.release,
                port_name=info.port_name,
                protocol=info.protocol,
                node_name=None,
            )
        return self._gathered[id(info)]

    def on(self, info: ServicePortInfo, node: NodeName) -> PlannedServicePort:
        """Return a service port as a node plans it."""
        key = (id(info), self._kind(info, node))
        if key not in self._planned:
            self._planned[key] = self._planner(node).service_port(info, self.slices(info))
        return self._planned[key]

    def groups(
        self, info: ServicePortInfo
    ) -> list[tuple[tuple[NodeName, ...], PlannedServicePort]]:
        """Return the different plans of a service port, each with the nodes that have it."""
        if id(info) not in self._groups:
            self._groups[id(info)] = self._group(info)
        return self._groups[id(info)]

    def _group(
        self, info: ServicePortInfo
    ) -> list[tuple[tuple[NodeName, ...], PlannedServicePort]]:
        if not self._sensitivity(info).differs:
            return [(self.nodes, self.on(info, self.nodes[0]))]
        nodes: defaultdict[object, list[NodeName]] = defaultdict(list)
        names, admitted = self._sensitivity(info).names, self._admits(info)
        to_name = self._sensitivity(info).to_name
        zones = self._zones if self._sensitivity(info).to_zone else {}
        for node in self.nodes:
            # `_kind` without its look-ups: there may be 5,000 nodes for each of 10,000 ports.
            name = node if to_name or node in names else None
            nodes[name, zones.get(node), node in admitted].append(node)
        return [(tuple(some), self.on(info, some[0])) for some in nodes.values()]

    @cached_property
    def _zones(self) -> dict[NodeName, str | None]:
        return {node: self._facts_of(node).node.zone for node in self.nodes}

    def frame(self, node: NodeName) -> Plan:
        """Return a node's plan without service ports: what its rules show of the node itself."""
        plan = self._planner(node).plan_of(self._one_with_endpoints, self._total_endpoints)
        return replace(plan, service_ports=[])

    @cached_property
    def _one_with_endpoints(self) -> list[PlannedServicePort]:
        """A service port with endpoints, for which Pods' traffic matters; empty if none has any."""
        groups = (group for info in self.infos for group in self.groups(info))
        return [port for _, port in groups if port.has_endpoints][:1]

    @cached_property
    def _total_endpoints(self) -> int:
        return sum(len(self.endpoints(info)) for info in self.infos)

    def plan(self, node: NodeName, infos: Sequence[ServicePortInfo] | None = None) -> Plan:
        """Return a node's plan, with all service ports or with `infos` alone."""
        some = self.infos if infos is None else infos
        total = sum(len(self.endpoints(info)) for info in some)
        return self._planner(node).plan_of([self.on(info, node) for info in some], total)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be decided without knowing more about nodes, of what was planned."""
        found = (problem for facts in self._facts.values() for problem in facts.problems)
        return tuple(dict.fromkeys(found))

    def _facts_of(self, node: NodeName) -> NodeFacts:
        if node not in self._facts:
            self._facts[node] = NodeFacts(
                self._manifests,
                self.config,
                self.family,
                name=node,
                addresses=self._addresses,
                found=self._by_name.get(node),
            )
        return self._facts[node]

    @cached_property
    def _by_name(self) -> dict[NodeName, Node]:
        return {node_name(node): node for node in self._manifests.nodes}

    def _planner(self, node: NodeName) -> Planner:
        if node not in self._planners:
            facts = self._facts_of(node)
            self._planners[node] = Planner(
                self._manifests, self.config, self.family, self.release, facts
            )
        return self._planners[node]

    def _sensitivity(self, info: ServicePortInfo) -> _Sensitivity:
        if id(info) not in self._sensitivities:
            gathered = self._endpoints(info)
            names = {one.node for one in gathered.all if info.uses_local_endpoints}
            names.update(name for one in gathered.all for name in one.nodes or ())
            hinted = any(one.zones or one.nodes for one in gathered.all)
            differs = info.uses_local_endpoints or hinted or gathered.copies_differ
            self._sensitivities[id(info)] = _Sensitivity(
                differs or bool(info.load_balancer_ips and info.source_ranges),
                frozenset(names),
                gathered.copies_differ,
                any(one.zones for one in gathered.all),
            )
        return self._sensitivities[id(info)]

    def _kind(self, info: ServicePortInfo, node: NodeName) -> object:
        """Return what of a node a service port's plan may depend on."""
        sensitivity = self._sensitivity(info)
        if not sensitivity.differs:
            return None
        local = self._facts_of(node).node
        return (
            node if sensitivity.to_name or node in sensitivity.names else None,
            local.zone if sensitivity.to_zone else None,
            node in self._admits(info),
            local.is_known,
        )

    def _admits(self, info: ServicePortInfo) -> frozenset[NodeName]:
        """Return the nodes whose own IP is in a service port's source ranges."""
        ranges = info.source_ranges
        if not ranges or not info.load_balancer_ips:
            return frozenset()
        if ranges not in self._admitted:
            numbers, names = self._by_ip
            self._admitted[ranges] = frozenset(
                name
                for network in map(ipaddress.ip_network, ranges)
                for name in names[
                    bisect_left(numbers, int(network.network_address)) : bisect_right(
                        numbers, int(network.broadcast_address)
                    )
                ]
            )
        return self._admitted[ranges]

    @cached_property
    def _by_ip(self) -> tuple[list[int], list[NodeName]]:
        """The nodes' own IPs as numbers, in order, and their names."""
        nodes = dict.fromkeys((*self.all_nodes, *self.nodes))
        by_ip = sorted(
            ((int(ipaddress.ip_address(self._facts_of(node).node.ip)), node) for node in nodes),
            key=lambda one: one[0],
        )
        return [number for number, _ in by_ip], [node for _, node in by_ip]


class _Sensitivity(NamedTuple):
    """Whether a service port's plan may differ between nodes, and by what of them.

    `names` are the nodes that count for local endpoints, or that hints name; `to_name` is whether
    the plan may depend on any other name too, `to_zone` whether on the zone. Beside them, whether
    the node's IP is in source ranges may decide.
    """

    differs: bool
    names: frozenset[str | None]
    to_name: bool
    to_zone: bool
