"""PR204."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import Field, LintFinding, LintRule
from compiler.analysis.lint.words import listed
from compiler.proxy.endpoint import EndpointInfo
from compiler.proxy.topology import zone_hints_apply


class HintsNotUsed(LintRule):
    """Topology hints are there and kube-proxy does not use them.

    ## What goes wrong

    Traffic crosses zones, and is paid for, although the Service has trafficDistribution or
    topology-mode: Auto and its EndpointSlices have hints: topology aware routing is silently not
    working.

    ## Why

    kube-proxy uses hints only where every ready endpoint of the port has one. With a single one
    without, as of a Pod that came a moment ago or of a slice that somebody else writes, it ignores
    all. It also ignores them on a node whose zone is in none of the hints or that has no zone
    label, and before Kubernetes 1.31 without the annotation `service.kubernetes.io/topology-mode`.
    In each case the traffic goes to all endpoints, and nothing is logged by default.

    The finding is informational where only nodes of other zones are concerned.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
        - {addresses: [10.244.1.2], nodeName: worker-1, hints: {forZones: [{name: zone-a}]}}
        - {addresses: [10.244.2.2], nodeName: worker-2}
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-1
      labels: {topology.kubernetes.io/zone: zone-a}
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-2
      labels: {topology.kubernetes.io/zone: zone-b}
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
        - {addresses: [10.244.1.2], nodeName: worker-1, hints: {forZones: [{name: zone-a}]}}
        - {addresses: [10.244.2.2], nodeName: worker-2, hints: {forZones: [{name: zone-b}]}}
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-1
      labels: {topology.kubernetes.io/zone: zone-a}
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-2
      labels: {topology.kubernetes.io/zone: zone-b}
    ```

    ## References

    - kubernetes/kubernetes#103888
    - kubernetes/kubernetes#119990
    - kubernetes/kubernetes#124699
    - kubernetes `pkg/proxy/topology.go` (`topologyModeFromHints`)
    """

    id = "PR204"
    name = "hints-not-used"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports with hints that are used on no node, or not on all."""
        for port in context.ports:
            if not port.info.uses_cluster_endpoints:
                continue
            ready = [one for one in port.endpoints if one.ready]
            if any(one.zones for one in ready):
                yield from self._zones(context, port, ready)
            elif any(one.nodes for one in ready):
                yield from self._nodes(port, ready)

    def _zones(
        self, context: Context, port: Port, ready: list[EndpointInfo]
    ) -> Iterator[LintFinding]:
        lacking = [one for one in ready if not one.zones]
        if not zone_hints_apply(port.info, port.cluster.features):
            yield self.finding(
                f"kube-proxy {port.cluster.release} uses no hints for zones here, so they keep no "
                "traffic in a zone",
                "set the annotation service.kubernetes.io/topology-mode: Auto",
                at=_at(port, next(one for one in ready if one.zones)),
                subject=port.subject,
            )
        elif lacking:
            yield self.finding(
                f"hints for zones are ignored: {lacking[0].address_port} has none"
                f"{_more(len(lacking))}, and all {len(ready)} ready endpoints must have one",
                "see why its EndpointSlice has no hint for it",
                at=_at(port, lacking[0]),
                subject=port.subject,
            )
        else:
            yield from self._other_zones(context, port, ready)

    def _other_zones(
        self, context: Context, port: Port, ready: list[EndpointInfo]
    ) -> Iterator[LintFinding]:
        """Report nodes whose zone no hint names."""
        hinted = {zone for one in ready for zone in one.zones or ()}
        nodes = [
            node
            for some, planned in port.groups()
            if len(planned.cluster_endpoints) == len(ready)
            for node in some
            if (zone := context.local_node(port.cluster.family, node)).is_known
            and zone.zone not in hinted
        ]
        if nodes:
            yield self.finding(
                f"hints for zones ({listed(sorted(map(str, hinted)))}) are ignored on nodes whose "
                f"zone is in none of them: {listed(nodes)}",
                "run Pods in each zone, and see that each Node has a topology.kubernetes.io/zone",
                at=_at(port, ready[0]),
                subject=port.subject,
                severity="info",
            )

    def _nodes(self, port: Port, ready: list[EndpointInfo]) -> Iterator[LintFinding]:
        lacking = [one for one in ready if not one.nodes]
        features = port.cluster.features
        if features.prefer_same_traffic_distribution and not lacking:
            return
        message = (
            f"hints for nodes are ignored: {lacking[0].address_port} has none"
            f"{_more(len(lacking))}, and all {len(ready)} ready endpoints must have one"
            if features.prefer_same_traffic_distribution
            else f"kube-proxy {port.cluster.release} uses no hints for nodes here, so traffic goes "
            "to all nodes"
        )
        at = lacking[0] if lacking else ready[0]
        yield self.finding(
            message,
            "they are used since Kubernetes 1.34, where every ready endpoint has one",
            at=_at(port, at),
            subject=port.subject,
        )


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def _at(port: Port, endpoint: EndpointInfo) -> Field | None:
    """Find an endpoint in the slices."""
    for one in port.slices:
        for index, candidate in enumerate(one.endpoints or ()):
            if candidate.addresses and candidate.addresses[0] == endpoint.ip:
                return Field(one, ("endpoints", index))
    return None
