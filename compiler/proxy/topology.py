"""Which endpoints a service port's traffic may reach from a node.

Source: kubernetes `pkg/proxy/topology.go` (`CategorizeEndpoints`, `topologyModeFromHints`);
KEP-1669 (terminating endpoints), KEP-2086 (internal traffic policy), KEP-3015 and KEP-4444 (hints).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from msgspec import Struct

from compiler.proxy.endpoint import EndpointInfo
from compiler.proxy.node import LocalNode
from compiler.proxy.release import Features
from compiler.proxy.service_port import ServicePortInfo

NeedsNode = Callable[[str], None]
"""Takes a reason why a result depends on the node, where no node is named."""


class Categories(Struct, frozen=True, gc=False):
    """The endpoints that a service port uses, each list sorted by address and port.

    `has_any` is whether there is an endpoint for the port at all; without one traffic is
    rejected, while without a local one under a Local policy it is dropped.
    """

    cluster: list[EndpointInfo]
    local: list[EndpointInfo]
    reachable: list[EndpointInfo]
    has_any: bool

    @property
    def addresses(self) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
        """All that the rules show of it: equal for what gives the same rules."""
        cluster, local = (
            tuple(e.address_port for e in some) for some in (self.cluster, self.local)
        )
        return cluster, local, self.has_any


def categorize(
    endpoints: list[EndpointInfo],
    port: ServicePortInfo,
    node: LocalNode,
    features: Features,
    needs_node: NeedsNode,
) -> Categories:
    """Sort out which endpoints are used for cluster traffic, for local traffic, and for any."""
    ready = [endpoint for endpoint in endpoints if endpoint.ready]
    if len(ready) == len(endpoints):
        ready = endpoints  # the same list, so that what is equal stays shared
    cluster: list[EndpointInfo] = []
    if port.uses_cluster_endpoints:
        cluster = _under_topology(ready, port, node, features, needs_node) or [
            endpoint for endpoint in endpoints if endpoint.serves_while_terminating
        ]
    if not port.uses_local_endpoints:
        return Categories(cluster=cluster, local=[], reachable=cluster, has_any=bool(cluster))

    usable = [e for e in endpoints if e.ready or e.serves_while_terminating]
    if node.name is None and any(e.node for e in usable):
        policy = "internal" if port.internal_policy_local else "external"
        needs_node(f"{policy}TrafficPolicy: Local")
    local = [e for e in ready if e.node == node.name]
    local = local or [e for e in usable if not e.ready and e.node == node.name]
    has_any = bool(cluster or usable)
    if not port.uses_cluster_endpoints:
        return Categories(cluster=[], local=local, reachable=local, has_any=has_any)
    reachable = _union(cluster, local)
    return Categories(cluster=cluster, local=local, reachable=reachable, has_any=has_any)


def _union(some: list[EndpointInfo], others: list[EndpointInfo]) -> list[EndpointInfo]:
    known = {endpoint.address_port for endpoint in some}
    missing = [endpoint for endpoint in others if endpoint.address_port not in known]
    return sorted(some + missing, key=attrgetter("address_port")) if missing else some


def _under_topology(
    ready: list[EndpointInfo],
    port: ServicePortInfo,
    node: LocalNode,
    features: Features,
    needs_node: NeedsNode,
) -> list[EndpointInfo]:
    """Filter ready endpoints by hints, where every one of them has a hint of that kind."""
    if features.prefer_same_traffic_distribution and all(e.nodes for e in ready):
        hints = [endpoint.nodes or () for endpoint in ready]
        if node.name is None and _differ(hints):
            needs_node("hints.forNodes")
        same_node = _hinted(ready, hints, node.name)
        if same_node:
            return same_node
    if zone_hints_apply(port, features) and all(e.zones for e in ready):
        hints = [endpoint.zones or () for endpoint in ready]
        if not node.is_known and _differ(hints):
            needs_node("hints.forZones")
        return _hinted(ready, hints, node.zone) or ready
    return ready


def zone_hints_apply(port: ServicePortInfo, features: Features) -> bool:
    """Return whether hints for zones are used at all, where every endpoint has one."""
    return features.service_traffic_distribution or (
        features.topology_aware_hints and port.hints_annotated
    )


def _differ(hints: Sequence[tuple[str | None, ...]]) -> bool:
    # Where all endpoints have the same hints, they are used or ignored together: either way all of
    # them are there, and the node makes no difference.
    return len({frozenset(names) for names in hints}) > 1


def _hinted(
    ready: list[EndpointInfo], hints: Sequence[tuple[str | None, ...]], name: str | None
) -> list[EndpointInfo]:
    if not name:
        return []
    return [endpoint for endpoint, names in zip(ready, hints, strict=True) if name in names]
