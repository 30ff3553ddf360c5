"""How many rules kube-proxy writes, as its own metrics count them, without writing them.

Source: kubernetes `pkg/proxy/iptables/proxier.go` (`syncProxyRules`), which sets the metrics from
`filterRules.Lines()` and from `natRules.Lines() + skippedNatRules.Lines() - deletedChains`. These
buffers have the `-A` lines alone: chain lines are in other buffers, `COMMIT` in none, and the `-X`
lines of stale chains are subtracted. A partial sync counts the rules that it leaves out as well,
so the numbers are those of a full sync.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

from compiler.proxy.plan import Blocked, Plan, PlannedServicePort


class RuleCounts(NamedTuple):
    """What one kube-proxy reports of one IP family after a sync.

    `filter` and `nat` are its rules in these tables: the metric
    `kubeproxy_sync_proxy_rules_iptables_total`. `no_local_internal` and `no_local_external` count
    the service ports whose internal or external traffic policy is Local and that have endpoints,
    but none on this node: `kubeproxy_sync_proxy_rules_no_local_endpoints_total`.

    `localhost_counted` is how many rules `nat` has on top where the node has nfacct counters and
    node ports listen on the loopback address: one for each node port with endpoints.
    """

    filter: int = 0
    nat: int = 0
    no_local_internal: int = 0
    no_local_external: int = 0
    localhost_counted: int = 0

    def plus(self, other: Self, times: int = 1) -> RuleCounts:
        """Add other counts, once or several times; -1 subtracts them."""
        return RuleCounts(
            *(mine + times * theirs for mine, theirs in zip(self, other, strict=True))
        )

    def with_nfacct(self) -> RuleCounts:
        """Return the counts of a node that has nfacct counters."""
        return self._replace(nat=self.nat + self.localhost_counted)


class Counting(NamedTuple):
    """What of a node's own settings decides how many rules each service port has."""

    masquerade_all: bool
    detects_local: bool
    localhost_node_ports: bool

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Take the settings from a plan of the node."""
        localhost = plan.node_ports.localhost
        return cls(plan.masquerade_all, plan.local_traffic is not None, localhost)


def count_rules(plan: Plan, *, nfacct: bool = False) -> RuleCounts:
    """Count the rules of a plan's node as `syncProxyRules` does; `nfacct` as in `compile_rules`."""
    ports = count_service_ports(plan.service_ports, Counting.of(plan))
    counts = count_common_rules(plan).plus(ports)
    return counts.with_nfacct() if nfacct else counts


def count_common_rules(plan: Plan) -> RuleCounts:
    """Count the rules that belong to no service port.

    In filter: KUBE-FORWARD's two or three, and KUBE-FIREWALL's one where node ports listen on the
    loopback address. In nat: KUBE-POSTROUTING's three, KUBE-MARK-MASQ's one, and the jumps to
    KUBE-NODEPORTS, one for each address that node ports are limited to.
    """
    ports = plan.node_ports
    return RuleCounts(
        filter=2 + (not plan.tcp_be_liberal) + ports.localhost,
        nat=4 + (1 if ports.addresses is None else len(ports.addresses)),
    )


def count_service_ports(ports: Iterable[PlannedServicePort], counting: Counting) -> RuleCounts:
    """Count the rules of service ports together."""
    total = RuleCounts()
    for port in ports:
        total = total.plus(count_service_port(port, counting))
    return total


def count_service_port(port: PlannedServicePort, counting: Counting) -> RuleCounts:
    """Count the rules of one service port and its endpoints."""
    localhost = port.has_endpoints and bool(port.node_port) and counting.localhost_node_ports
    return RuleCounts(
        _filter_rules(port),
        _nat_rules(port, counting),
        no_local_internal=port.internal_block is Blocked.NO_LOCAL_ENDPOINTS,
        no_local_external=port.external_block is Blocked.NO_LOCAL_ENDPOINTS,
        localhost_counted=int(localhost),
    )


def _filter_rules(port: PlannedServicePort) -> int:
    """Count what is rejected or dropped, the firewall of load balancers, and health checks."""
    count = int(port.internal_block is not None) + bool(port.health_check_node_port)
    if port.external_block is not None:
        count += _entry_points(port)
    if port.limits_sources:
        count += len(port.load_balancer_ips)
    return count


def _nat_rules(port: PlannedServicePort, counting: Counting) -> int:
    count = 0
    if port.internal_block is None:
        count += 1 + (counting.masquerade_all or counting.detects_local)
    if port.has_endpoints:
        count += _entry_points(port)
        if port.externally_accessible:  # KUBE-EXT-…
            count += 2 + counting.detects_local if port.external_policy_local else 1
            count += port.external_block is None
    if port.limits_sources:  # KUBE-FW-…
        admitted = len(port.load_balancer_ips) if port.admits_node else 0
        count += len(port.source_ranges) + admitted + 1
    # KUBE-SVC-…, KUBE-SVL-… and KUBE-SEP-…
    dispatched = len(port.cluster_endpoints) + len(port.local_endpoints)
    return (
        count + dispatched * (1 + bool(port.affinity_seconds)) + 2 * len(port.reachable_endpoints)
    )


def _entry_points(port: PlannedServicePort) -> int:
    """Count the entry points but for the cluster IP."""
    return len(port.external_ips) + len(port.load_balancer_ips) + bool(port.node_port)
