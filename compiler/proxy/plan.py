"""The plan: everything that is decided about one node's rules, before a word of them is written.

It belongs to no backend: it has no chain names, sets or rule words. A renderer
makes a projection of it that adds what its backend needs (`iptables_plan`), and decides nothing
about Services or endpoints itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from msgspec import Struct

from compiler.errors import Problem
from compiler.family import Family
from compiler.proxy.endpoint import EndpointInfo
from compiler.proxy.node import NodePorts


class Blocked(Enum):
    """Why traffic to a service port goes nowhere, which also decides what happens to it.

    Source: kubernetes `pkg/proxy/iptables/proxier.go` (`internalTrafficFilterTarget`).
    """

    NO_ENDPOINTS = "no endpoints"
    """There is none on any node: connections are rejected, so that clients see it at once."""

    NO_LOCAL_ENDPOINTS = "no local endpoints"
    """There is none on this node, and the policy is Local: packets are dropped, since a load
    balancer may still send to a node that it is about to leave out."""


class PlannedServicePort(Struct, frozen=True, gc=False):
    """One port of a Service in one family: how it can be reached, and which endpoints serve it.

    Identity: `name` is `namespace/service:port`, or `namespace/service` where the port has no name;
    `protocol` is in lower case.

    Entry points: `cluster_ip`, `external_ips` and `load_balancer_ips`, each with `port`, and
    `node_port` on the node's own addresses (`Plan.node_ports`). `health_check_node_port` answers
    load balancers. Both numbers are 0 where there is none. `externally_accessible` is whether
    there is any entry point but the cluster IP.

    Policies: traffic to the cluster IP goes to `local_endpoints` under `internal_policy_local`,
    else to `cluster_endpoints`. Traffic to the other entry points likewise, by
    `external_policy_local`; under a local external policy, pods and the node itself still reach
    `cluster_endpoints`. `affinity_seconds` is how long a client stays with its endpoint (0: not at
    all). `limits_sources` is whether the load-balancer IPs are open to `source_ranges` alone,
    and `admits_node` whether the node's own IP is in one of them.

    Endpoints: each list is sorted by address and port, and empty where the policies don't use it;
    `reachable_endpoints` has those of both. Lists may be shared: don't change them. `has_endpoints`
    is whether there is any for this service port, on whatever node. `internal_block` and
    `external_block` are None where traffic is served.
    """

    name: str
    protocol: str
    port: int
    cluster_ip: str
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    node_port: int
    health_check_node_port: int
    externally_accessible: bool
    internal_policy_local: bool
    external_policy_local: bool
    affinity_seconds: int
    source_ranges: tuple[str, ...]
    limits_sources: bool
    admits_node: bool
    cluster_endpoints: list[EndpointInfo]
    local_endpoints: list[EndpointInfo]
    reachable_endpoints: list[EndpointInfo]
    has_endpoints: bool
    internal_block: Blocked | None
    external_block: Blocked | None


@dataclass(frozen=True)
class LocalTraffic:
    """How traffic of this node's pods is recognized; exactly one of the three is set.

    By its source address (`cidr`), by the name of the interface that it comes in by, or by the
    first letters of that name.
    """

    cidr: str | None = None
    interface: str | None = None
    interface_prefix: str | None = None


@dataclass(frozen=True)
class Plan:
    """What one node does for the Services of one family.

    `masquerade_mark` is the packet mark that requests masquerading. `local_traffic` is None where
    traffic of pods can't be recognized. `total_endpoints` is the size of the cluster as kube-proxy
    measures it: the endpoints of all service ports, in any state.
    """

    family: Family
    masquerade_mark: int
    masquerade_all: bool
    local_traffic: LocalTraffic | None
    node_ports: NodePorts
    tcp_be_liberal: bool
    service_ports: list[PlannedServicePort]
    total_endpoints: int


@dataclass(frozen=True)
class Planned:
    """A plan, and what people should hear about its making."""

    plan: Plan
    other_family_service_ports: int
    """How many service ports the manifests have in the other family, which the plan leaves out."""
    warnings: tuple[Problem, ...]
