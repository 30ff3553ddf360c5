"""PR105."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.affinity import pinned_ports
from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule

DAY = 86400


class AffinityTimeoutLong(LintRule):
    """A ClientIP timeout of a day: clients never leave an endpoint.

    ## What goes wrong

    After a rollout or a scale-up the new Pods stay idle and one Pod has nearly all clients. Scaling
    does not help, since clients keep to the endpoint that they had when the others were not ready.

    ## Why

    Each new connection renews the time of its client, so a client that connects at least once a day
    keeps its endpoint for ever. In a rollout all clients move to the first Pods that are ready, and
    with a timeout of a day (the longest that the API accepts) they stay there.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      sessionAffinity: ClientIP
      sessionAffinityConfig:
        clientIP: {timeoutSeconds: 86400}
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

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      sessionAffinity: ClientIP
      sessionAffinityConfig:
        clientIP: {timeoutSeconds: 3600}
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

    - kubernetes/kubernetes#110302
    - kubernetes/kubernetes#55603
    - kubernetes/kubernetes#43958
    """

    id = "PR105"
    name = "affinity-timeout-long"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports that keep clients for a day and more."""
        for port in pinned_ports(context):
            if port.info.affinity_seconds >= DAY:
                yield self.finding(
                    "each connection renews the timeout of a day: a client that returns daily "
                    "never leaves its endpoint, and the first ready Pods of a rollout keep all "
                    "clients",
                    "use the length of a session, such as 10800 seconds",
                    at=port.at_service(
                        "spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"
                    ),
                )
