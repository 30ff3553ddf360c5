"""PR201."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.words import listed
from compiler.proxy.plan import Blocked, PlannedServicePort


class LocalPolicyDrops(LintRule):
    """externalTrafficPolicy: Local drops connections on nodes without an endpoint.

    ## What goes wrong

    Connections to a node port, external IP or load-balancer IP hang and time out on some nodes and
    work on others: externalTrafficPolicy is Local, and the node has no Pod of the Service.

    ## Why

    With the policy Local a node sends traffic from outside to its own endpoints only. Where it has
    none, kube-proxy drops the packets, so that clients wait until they time out. A load balancer
    that asks `healthCheckNodePort` avoids such nodes; clients of node ports and external IPs, and
    load balancers that don't ask, do not. Pods and the nodes themselves still reach all endpoints.

    The finding is informational where only the node ports of a load balancer with a health check
    are concerned.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      type: NodePort
      externalTrafficPolicy: Local
      ports:
        - {name: http, port: 80, nodePort: 30080}
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
        - {addresses: [10.244.1.2], nodeName: worker-1}
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-1
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-2
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      type: NodePort
      externalTrafficPolicy: Local
      ports:
        - {name: http, port: 80, nodePort: 30080}
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
        - {addresses: [10.244.1.2], nodeName: worker-1}
        - {addresses: [10.244.2.2], nodeName: worker-2}
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-1
    ---
    apiVersion: v1
    kind: Node
    metadata:
      name: worker-2
    ```

    ## References

    - kubernetes/kubernetes#121371
    - kubernetes/kubernetes#112233
    - kubernetes `pkg/proxy/iptables/proxier.go` (`externalTrafficFilterTarget`)
    """

    id = "PR201"
    name = "local-policy-drops"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the entry points that are dropped on some node, with these nodes."""
        for port in context.ports:
            if not (port.info.external_policy_local and port.info.externally_accessible):
                continue
            if not context.nodes:
                context.not_checked(self.id, "nodes that no endpoint names: no Nodes are given")
            nodes = [
                node
                for some, planned in port.groups()
                if planned.external_block is Blocked.NO_LOCAL_ENDPOINTS
                for node in some
            ]
            ways = entry_points(port.on(nodes[0])) if nodes and nodes != [None] else []
            if ways:
                yield self._finding(port, nodes, ways)

    def _finding(self, port: Port, nodes: list[str | None], ways: list[str]) -> LintFinding:
        # The load balancer asks where it may send to; its node ports alone are left.
        asked = bool(port.info.health_check_node_port)
        return self.finding(
            f"{', '.join(ways)}: dropped on {len(nodes)} of {len(port.cluster.nodes)} nodes, which "
            f"have no endpoint: {listed(nodes)}",
            "run a Pod on each of these nodes, keep clients away from them, or use the policy "
            "Cluster",
            at=port.at_service("spec", "externalTrafficPolicy"),
            subject=port.subject,
            severity="info" if asked and not port.info.external_ips else None,
        )


def entry_points(planned: PlannedServicePort) -> list[str]:
    """Name the entry points from outside that clients may use on any node, the node port first.

    Load-balancer IPs are none of them where the load balancer asks for the health of nodes.
    """
    asks = bool(planned.health_check_node_port)
    return [
        *([f"node port {planned.node_port}"] if planned.node_port else []),
        *([] if asks else [f"load-balancer IP {ip}" for ip in planned.load_balancer_ips]),
        *(f"external IP {ip}" for ip in planned.external_ips),
    ]
