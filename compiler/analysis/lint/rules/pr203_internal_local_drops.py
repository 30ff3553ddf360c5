"""PR203."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.words import listed
from compiler.proxy.plan import Blocked


class InternalLocalDrops(LintRule):
    """internalTrafficPolicy: Local drops connections of Pods on nodes without an endpoint.

    ## What goes wrong

    A Pod can't reach a Service of its own cluster: connections to the cluster IP time out on some
    nodes and work on others, although the Service has ready endpoints.

    ## Why

    With internalTrafficPolicy Local a node sends traffic for the cluster IP to its own endpoints
    only, and drops it where it has none. There is no fallback to the endpoints of other nodes. It
    fits Services that have a Pod on each node, such as those of a DaemonSet.

    The rule needs the Pods (`kubectl get pods`): it reports nodes that run Pods and have no
    endpoint.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      internalTrafficPolicy: Local
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
    ---
    apiVersion: v1
    kind: Pod
    metadata:
      name: client
    spec:
      nodeName: worker-2
      containers:
        - {name: client, image: "client:1"}
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      internalTrafficPolicy: Local
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
    ---
    apiVersion: v1
    kind: Pod
    metadata:
      name: client
    spec:
      nodeName: worker-1
      containers:
        - {name: client, image: "client:1"}
    ```

    ## References

    - Kubernetes documentation, "Service Internal Traffic Policy" (KEP-2086)
    - kubernetes `pkg/proxy/iptables/proxier.go` (`internalTrafficFilterTarget`)
    """

    id = "PR203"
    name = "internal-local-drops"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports whose cluster IP is dropped on nodes that run Pods."""
        clients: dict[str | None, list[str]] | None = None
        for port in context.ports:
            if not port.info.internal_policy_local:
                continue
            if not context.nodes:
                context.not_checked(self.id, "nodes that no endpoint names: no Nodes are given")
            nodes = [
                node
                for some, planned in port.groups()
                if planned.internal_block is Blocked.NO_LOCAL_ENDPOINTS
                for node in some
            ]
            if not nodes or nodes == [None]:
                continue
            if clients is None:
                clients = _pods_by_node(context)
            if not clients:
                reason = (
                    "which Pods are clients where internalTrafficPolicy is Local: no Pods given"
                )
                context.not_checked(self.id, reason)
                return
            without = [node for node in nodes if clients.get(node)]
            if without:
                pods = [pod for node in without for pod in clients[node]]
                yield self.finding(
                    f"cluster IP {port.info.cluster_ip} is dropped on nodes without an endpoint: "
                    f"{listed(without)}, from Pods such as {listed(pods, 1)}",
                    "run a Pod of the Service on each node (DaemonSet), or use "
                    "internalTrafficPolicy: Cluster",
                    at=port.at_service("spec", "internalTrafficPolicy"),
                    subject=port.subject,
                )


def _pods_by_node(context: Context) -> dict[str | None, list[str]]:
    found: defaultdict[str | None, list[str]] = defaultdict(list)
    for pod in context.pods:
        if pod.node and not pod.ended:
            found[pod.node].append(f"{pod.namespace}/{pod.name}")
    return dict(found)
