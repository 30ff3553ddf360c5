"""PR101."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.affinity import largest_choice
from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule


class AffinityPerPort(LintRule):
    """ClientIP affinity does not hold across the ports of a Service.

    ## What goes wrong

    A client logs in on one port and is not known on the other: its HTTPS connections go to another
    Pod than its HTTP or WebSocket connections, although the Service has sessionAffinity: ClientIP.

    ## Why

    kube-proxy keeps affinity per service port: the rules of each port have their own `xt_recent`
    lists, one per endpoint. A client that is on a list of the port `http` is new to the port
    `https`, where its endpoint is chosen anew. With N endpoints both ports use the same Pod with a
    probability of 1/N only.

    ## Bad example

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
        - {name: https, port: 443}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
      - {name: https, port: 8443}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
      - {addresses: [10.244.2.2], nodeName: worker-2}
    ```

    ## Good example

    One port that needs affinity, and another Service without it for the rest.

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      sessionAffinity: ClientIP
      ports:
        - {name: https, port: 443}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: https, port: 8443}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
      - {addresses: [10.244.2.2], nodeName: worker-2}
    ```

    ## References

    - kubernetes/kubernetes#103000
    - kubernetes `pkg/proxy/iptables/proxier.go` (`writeServiceToEndpointRules`)
    """

    id = "PR101"
    name = "affinity-per-port"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report a Service two of whose ports choose among several endpoints with affinity."""
        for ports in context.ports_by_service.values():
            pinned = {
                port.info.name: port
                for port in ports
                if port.info.affinity_seconds and largest_choice(port) > 1
            }
            if len(pinned) < 2:
                continue
            first = ports[0]
            names = [port.info.port_name or str(port.info.port) for port in pinned.values()]
            yield self.finding(
                f"affinity is kept for each port alone: a client's connections to "
                f"{' and '.join(names)} may go to different endpoints",
                "give the port that needs affinity a Service of its own",
                at=first.at_service("spec", "sessionAffinity"),
            )
