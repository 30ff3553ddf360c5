"""PR104."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.affinity import pinned_ports
from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule

KEEP_ALIVE = 75
"""Seconds for which nginx keeps an idle connection; clients' own limits are similar."""


class AffinityTimeoutShort(LintRule):
    """A ClientIP timeout that is shorter than the connections of clients.

    ## What goes wrong

    A user is logged out, or loses a shopping cart, after a minute on one page: the browser's
    connection was kept alive, and the next one goes to another Pod although timeoutSeconds seemed
    long enough.

    ## Why

    The time runs from the last new connection, not from the last request: packets of a connection
    that exists don't renew it. Browsers and proxies keep connections alive for a minute or more
    (nginx: 75 seconds). With a shorter timeoutSeconds a client is forgotten while its connection is
    still open, and its next one is dealt an endpoint anew.

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
        clientIP: {timeoutSeconds: 30}
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
        clientIP: {timeoutSeconds: 10800}
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

    - kernel `net/netfilter/xt_recent.c` (`recent_mt`)
    - kubernetes `pkg/proxy/iptables/proxier.go` (`writeServiceToEndpointRules`)
    """

    id = "PR104"
    name = "affinity-timeout-short"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports that forget clients before their connections end."""
        for port in pinned_ports(context):
            seconds = port.info.affinity_seconds
            if seconds < KEEP_ALIVE:
                yield self.finding(
                    f"a client is forgotten {seconds} s after its last new connection: one that is "
                    "kept alive lasts longer, and the next may go to another endpoint",
                    f"use at least {KEEP_ALIVE} seconds, better the length of a session",
                    at=port.at_service(
                        "spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"
                    ),
                )
