"""PR102."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.affinity import choices, pinned_ports
from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule

LIST_LIMIT = 100
"""Addresses that a list of `xt_recent` holds unless the module is loaded with another number."""


class AffinityListLimit(LintRule):
    """More clients than ClientIP affinity can remember.

    ## What goes wrong

    With many clients sessions are lost at random: a client that was here a minute ago is sent to
    another Pod, long before timeoutSeconds is over. It begins when there are more than 100 clients
    for each endpoint.

    ## Why

    Affinity is kept in lists of the kernel's `xt_recent`, one per endpoint on each node. A list
    holds 100 addresses (its parameter `ip_list_tot`) and forgets the oldest when another one comes.
    A client that was forgotten is dealt an endpoint anew. With N endpoints a node remembers 100 N
    clients at most, so some of more than that are forgotten however they are distributed.

    The rule needs `--clients N`: how many clients reach a Service by one node within
    timeoutSeconds.

    ## Bad example

    ```arguments
    --clients 300
    ```

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

    ## Good example

    ```arguments
    --clients 150
    ```

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

    - kernel `net/netfilter/xt_recent.c` (`ip_list_tot`, `recent_entry_init`)
    - kubernetes `pkg/proxy/iptables/proxier.go` (`writeServiceToEndpointRules`)
    """

    id = "PR102"
    name = "affinity-list-limit"
    severity = "warning"
    needs = ("clients",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report ports whose lists can't hold the clients that were named."""
        if context.clients is None:
            return
        for port in pinned_ports(context):
            room = min(len(some) for some in choices(port) if len(some) > 1) * LIST_LIMIT
            if context.clients > room:
                forgotten = context.clients - room
                yield self.finding(
                    f"a node remembers {room:,} clients at most, so of {context.clients:,} at "
                    f"least {forgotten:,} may be sent to another endpoint",
                    "use more endpoints, load xt_recent with a larger ip_list_tot, or keep the "
                    "session in the application",
                    at=port.at_service("spec", "sessionAffinity"),
                )
