"""The plan as iptables mode sees it: it adds chains, their names, and how rules are written.

Templates see this projection alone. Source: kubernetes `pkg/proxy/iptables/proxier.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Struct

from compiler.family import Family
from compiler.proxy.chain_name import chain_names
from compiler.proxy.endpoint import EndpointInfo
from compiler.proxy.node import LOCALHOST
from compiler.proxy.plan import Blocked, LocalTraffic, Plan, PlannedServicePort

# Above this many endpoints, in any state, kube-proxy saves the comments of endpoints' rules.
LARGE_CLUSTER_ENDPOINTS = 1000


class Block(NamedTuple):
    """The comment and the target of rules for traffic that has no endpoint to go to."""

    reason: str
    target: str


_BLOCKS: dict[Blocked | None, Block | None] = {
    None: None,
    Blocked.NO_ENDPOINTS: Block("has no endpoints", "REJECT"),
    Blocked.NO_LOCAL_ENDPOINTS: Block("has no local endpoints", "DROP"),
}


class Dispatching(NamedTuple):
    """A chain that distributes traffic to endpoints, with the chain of each."""

    chain: str
    endpoint_chains: list[str]
    endpoints: list[EndpointInfo]


class Chains(Struct, frozen=True, gc=False):
    """The names of one service port's chains, whether they exist or not, and where traffic goes.

    `cluster` and `local` (`KUBE-SVC-…`, `KUBE-SVL-…`) distribute traffic to endpoints;
    `dispatching` has those of the two that exist. `endpoints` are the chains (`KUBE-SEP-…`) of the
    port's reachable endpoints, in the same order.

    Traffic to the cluster IP goes to `internal`, to load-balancer IPs to `load_balancer`, and all
    other to `external` (`KUBE-EXT-…`), from where it goes on to `external_target`.
    """

    cluster: str
    local: str
    external: str
    firewall: str
    internal: str
    external_target: str
    load_balancer: str
    has_external: bool
    has_firewall: bool
    dispatching: list[Dispatching]
    endpoints: list[str]
    internal_block: Block | None
    external_block: Block | None

    def declared(self) -> Iterator[str]:
        """List the chains that exist, in kube-proxy's order."""
        if self.has_external:
            yield self.external
        if self.has_firewall:
            yield self.firewall
        for dispatching in self.dispatching:
            yield dispatching.chain
        yield from self.endpoints


class IptablesServicePort(NamedTuple):
    """A service port of the neutral plan, and its chains."""

    port: PlannedServicePort
    chains: Chains


@dataclass(frozen=True)
class IptablesPlan:
    """All that the templates need.

    `mark` is the packet mark that requests masquerading, in the form that rules show.
    `local_traffic` is the match for traffic of this node's pods (`-s 10.244.0.0/16`), None where
    there is none. `nfacct` adds kube-proxy's counters, `counts_localhost` the one of node ports on
    the loopback address. `node_port_addresses` is None where node ports listen on every local
    address, but for those of `node_port_excluded_cidr`. `chains` are those of all service ports, in
    the order in which they are declared. The last n of `probabilities` are those of n endpoints in
    turn: 1/n to 1/2, and none for the last.
    """

    family: Family
    mark: str
    masquerade_all: bool
    local_traffic: str | None
    localhost_node_ports: bool
    node_port_addresses: tuple[str, ...] | None
    node_port_excluded_cidr: str | None
    tcp_be_liberal: bool
    nfacct: bool
    counts_localhost: bool
    random_fully: bool
    endpoint_comments: bool
    probabilities: tuple[str, ...]
    service_ports: list[IptablesServicePort]
    chains: list[str]


def project(plan: Plan, *, nfacct: bool = False, random_fully: bool = True) -> IptablesPlan:
    """Make the iptables projection of a plan.

    `nfacct` and `random_fully` are what kube-proxy finds on the node when it starts: nfacct
    counters in the kernel, and an iptables that knows `--random-fully` (1.6.2 and later).
    """
    service_ports = _service_ports(plan.service_ports)
    longest = max((len(chains.endpoints) for _, chains in service_ports), default=0)
    localhost = plan.node_ports.localhost
    return IptablesPlan(
        family=plan.family,
        mark=f"0x{plan.masquerade_mark:08x}",
        masquerade_all=plan.masquerade_all,
        local_traffic=_local_traffic(plan.local_traffic),
        localhost_node_ports=localhost,
        node_port_addresses=plan.node_ports.addresses,
        node_port_excluded_cidr=None if localhost else LOCALHOST[plan.family],
        tcp_be_liberal=plan.tcp_be_liberal,
        nfacct=nfacct,
        counts_localhost=nfacct and localhost,
        random_fully=random_fully,
        endpoint_comments=plan.total_endpoints <= LARGE_CLUSTER_ENDPOINTS,
        probabilities=(*(f"{1 / n:.10f}" for n in range(longest, 1, -1)), ""),
        service_ports=service_ports,
        chains=[name for _, chains in service_ports for name in chains.declared()],
    )


def _local_traffic(local: LocalTraffic | None) -> str | None:
    if local is None:
        return None
    if local.cidr is not None:
        return f"-s {local.cidr}"
    if local.interface is not None:
        return f"-i {local.interface}"
    return f"-i {local.interface_prefix}+"


def _service_ports(ports: Sequence[PlannedServicePort]) -> list[IptablesServicePort]:
    """Name the chains of all ports in one go, which takes half the time."""
    keys = [port.name + port.protocol for port in ports]
    endpoint_chains = chain_names(
        "KUBE-SEP-",
        [
            key + endpoint.address_port
            for key, port in zip(keys, ports, strict=True)
            for endpoint in port.reachable_endpoints
        ],
    )
    projected, start = [], 0
    for port, port_hash in zip(ports, chain_names("", keys), strict=True):
        end = start + len(port.reachable_endpoints)
        chains = _chains(port, port_hash, endpoint_chains[start:end])
        projected.append(IptablesServicePort(port, chains))
        start = end
    return projected


def _chains(port: PlannedServicePort, port_hash: str, endpoints: list[str]) -> Chains:
    cluster, local = "KUBE-SVC-" + port_hash, "KUBE-SVL-" + port_hash
    external, firewall = "KUBE-EXT-" + port_hash, "KUBE-FW-" + port_hash
    return Chains(
        cluster=cluster,
        local=local,
        external=external,
        firewall=firewall,
        internal=local if port.internal_policy_local else cluster,
        external_target=local if port.external_policy_local else cluster,
        load_balancer=firewall if port.limits_sources else external,
        has_external=port.has_endpoints and port.externally_accessible,
        has_firewall=port.limits_sources,
        dispatching=[
            Dispatching(chain, _among(endpoints, some, reachable=port.reachable_endpoints), some)
            for chain, some in ((cluster, port.cluster_endpoints), (local, port.local_endpoints))
            if some
        ],
        endpoints=endpoints,
        internal_block=_BLOCKS[port.internal_block],
        external_block=_BLOCKS[port.external_block],
    )


def _among(
    chains: list[str], some: list[EndpointInfo], *, reachable: list[EndpointInfo]
) -> list[str]:
    """Find the chains of some of the reachable endpoints."""
    if len(some) == len(reachable):
        return chains
    wanted = {endpoint.address_port for endpoint in some}
    return [
        chain
        for chain, endpoint in zip(chains, reachable, strict=True)
        if endpoint.address_port in wanted
    ]
