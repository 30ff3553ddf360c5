"""PR103."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.affinity import pinned_ports
from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule


class AffinityPerNode(LintRule):
    """ClientIP affinity does not hold across nodes, and not behind a proxy.

    ## What goes wrong

    Sticky sessions break behind a load balancer or on node ports: the next connection of a client
    comes in by another node and goes to another Pod. Or all users share one Pod, because they
    arrive with the address of a proxy, a NAT gateway or another node.

    ## Why

    Each node has its own lists of clients, and nodes don't exchange them. What is on the lists is
    the source address that a packet has when it reaches the node. A load balancer that spreads
    connections over nodes therefore brings a client to as many endpoints as nodes, and one that
    masquerades makes one client of all.

    Only a load balancer that keeps client addresses and always uses the same node for the same
    client keeps affinity whole.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      type: NodePort
      sessionAffinity: ClientIP
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
    ```

    ## Good example

    Sessions that only Pods of the cluster need: a Pod always uses the lists of its own node.

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      sessionAffinity: ClientIP
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
      - {addresses: [10.244.1.2], nodeName: worker-1}
      - {addresses: [10.244.2.2], nodeName: worker-2}
    ```

    ## References

    - kubernetes/kubernetes#36415
    - kubernetes `pkg/proxy/iptables/proxier.go` (`writeServiceToEndpointRules`)
    """

    id = "PR103"
    name = "affinity-per-node"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports with affinity that clients reach from outside by several nodes."""
        for port in pinned_ports(context):
            info = port.info
            if not info.externally_accessible or len(port.cluster.all_nodes) < 2:
                continue
            ways = [
                *([f"node port {info.node_port}"] if info.node_port else []),
                *(f"load-balancer IP {ip}" for ip in info.load_balancer_ips),
                *(f"external IP {ip}" for ip in info.external_ips),
            ]
            yield self.finding(
                f"each node remembers its own clients ({', '.join(ways)}): one that comes in by "
                "two nodes may get two endpoints, and all that arrive with one address share one",
                "let the load balancer keep client addresses and use one node per client, or keep "
                "the session in the application",
                at=port.at_service("spec", "sessionAffinity"),
                subject=port.subject,
            )
