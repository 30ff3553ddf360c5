"""PR202."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.words import LISTED
from compiler.analysis.packet_words import percent


class LocalPolicySkew(LintRule):
    """externalTrafficPolicy: Local with endpoints spread unevenly overloads some of them.

    ## What goes wrong

    One Pod has several times the load of the others and is throttled or killed, while the others
    are nearly idle: with externalTrafficPolicy Local the load balancer counts nodes, not Pods.

    ## Why

    With the policy Local a node divides what it gets among its own endpoints. A load balancer gives
    each node that is healthy the same share, so an endpoint that is alone on its node gets as much
    as all endpoints of another node together.

    The finding is informational where no endpoint gets twice as much as another.

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
        - {addresses: [10.244.2.2], nodeName: worker-2}
        - {addresses: [10.244.2.3], nodeName: worker-2}
        - {addresses: [10.244.2.4], nodeName: worker-2}
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

    - Kubernetes documentation, "Preserving the client source IP"
    - kubernetes `pkg/proxy/topology.go` (`CategorizeEndpoints`)
    """

    id = "PR202"
    name = "local-policy-skew"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports whose nodes have different numbers of endpoints, with the shares."""
        for port in context.ports:
            if not (port.info.external_policy_local and port.info.externally_accessible):
                continue
            counts = {
                str(node): len(planned.local_endpoints)
                for nodes, planned in port.groups()
                for node in nodes
                if planned.local_endpoints
            }
            least, most = min(counts.values(), default=0), max(counts.values(), default=0)
            if least == most:
                continue
            shares = [
                f"{percent(Fraction(1, len(counts) * count))} on {node}"
                for node, count in sorted(counts.items(), key=lambda item: (item[1], item[0]))
            ]
            some = shares if len(shares) <= LISTED else [shares[0], shares[-1]]
            yield self.finding(
                f"if each of {len(counts)} nodes gets the same, an endpoint gets {', '.join(some)}",
                "spread the Pods evenly over the nodes (topologySpreadConstraints)",
                at=port.at_service("spec", "externalTrafficPolicy"),
                subject=port.subject,
                severity=None if most >= 2 * least else "info",
            )
