"""PR106."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.affinity import pinned_ports
from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule


class AffinityOnUdp(LintRule):
    """ClientIP affinity on a UDP port pins all queries of a client to one endpoint.

    ## What goes wrong

    UDP traffic is not spread: a DNS forwarder, a syslog relay or an office behind one NAT address
    sends all of its packets to the same Pod, and the other Pods are idle.

    ## Why

    For UDP every new source port is a new connection. Without affinity each is dealt an endpoint of
    its own; with it all go to the endpoint of the first, and each renews the timeout. In turn, a
    client that keeps sending from one port keeps its conntrack entry, and with it its endpoint,
    with or without affinity: for such clients affinity changes nothing.

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
        - {name: dns, port: 53, protocol: UDP}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: dns, port: 5353, protocol: UDP}
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
      ports:
        - {name: dns, port: 53, protocol: UDP}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports:
      - {name: dns, port: 5353, protocol: UDP}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
      - {addresses: [10.244.2.2], nodeName: worker-2}
    ```

    ## References

    - kernel `net/netfilter/nf_conntrack_proto_udp.c`
    - kubernetes `pkg/proxy/iptables/proxier.go` (`writeServiceToEndpointRules`)
    """

    id = "PR106"
    name = "affinity-on-udp"
    severity = "info"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report UDP ports with affinity."""
        for port in pinned_ports(context):
            if port.info.protocol == "UDP":
                yield self.finding(
                    f"affinity on UDP port {port.info.port}: every source port of a client is a "
                    "new connection, and all of them go to one endpoint",
                    "give UDP ports a Service without sessionAffinity",
                    at=port.at_service("spec", "sessionAffinity"),
                    subject=port.subject,
                )
