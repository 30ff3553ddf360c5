"""The plan: everything that is decided about one node's rules, before a word of them is written.

Templates turn the plan into text; it holds values and yes/no facts, never rule words.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from compiler.errors import Problem
from compiler.family import Family


class PlannedEndpoint(Struct, frozen=True, gc=False):
    """An endpoint and its chain (`KUBE-SEP-…`)."""

    text: str
    ip: str
    chain: str


class PlannedServicePort(Struct, frozen=True, gc=False):
    """A service port's chains, endpoints and facts.

    `protocol` is in lower case. `internal_chain` takes the traffic to the cluster IP,
    `external_target` what comes from outside. The endpoint lists are empty where the port doesn't
    use them; `reachable_endpoints` have chains.
    """

    name: str
    protocol: str
    port: int
    cluster_ip: str
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    node_port: int
    health_check_node_port: int
    source_ranges: tuple[str, ...]
    admits_node: bool
    affinity_seconds: int
    cluster_chain: str
    local_chain: str
    external_chain: str
    firewall_chain: str
    internal_chain: str
    external_target: str
    has_endpoints: bool
    has_internal_endpoints: bool
    has_external_endpoints: bool
    has_external_chain: bool
    has_firewall: bool
    external_policy_local: bool
    cluster_endpoints: list[PlannedEndpoint]
    local_endpoints: list[PlannedEndpoint]
    reachable_endpoints: list[PlannedEndpoint]


@dataclass(frozen=True)
class Plan:
    """All that the templates need.

    `mark` is the bit that asks for masquerading. Pods' traffic is told apart by `local_cidr`,
    `local_interface` or `local_interface_prefix`; where all are None, it can't be.
    `node_port_addresses` is None where node ports listen on every local address, but for those of
    `loopback_without_node_ports`. The last n of
    `probabilities` are those of n endpoints in turn: 1/n to 1/2, and none for the last.
    """

    family: Family
    mark: int
    masquerade_all: bool
    local_cidr: str | None
    local_interface: str | None
    local_interface_prefix: str | None
    localhost_node_ports: bool
    node_port_addresses: tuple[str, ...] | None
    node_port_excluded_cidr: str | None
    tcp_be_liberal: bool
    nfacct: bool
    endpoint_comments: bool
    probabilities: tuple[str, ...]
    service_ports: list[PlannedServicePort]
    endpoints: int
    other_family_service_ports: int
    warnings: tuple[Problem, ...]
