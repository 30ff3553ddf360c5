"""PR402."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.words import listed


class NoReadyEndpoints(LintRule):
    """A Service has no ready endpoint.

    ## What goes wrong

    Connection refused (or "no route to host") by a Service at once, from Pods and from outside:
    none of its Pods is ready, or its selector matches no Pod.

    ## Why

    kube-proxy deals connections to ready endpoints only, on every node. Where there is none, it
    takes those that are terminating but still serve, and without these it rejects connections. An
    empty slice is what the EndpointSlice controller writes for a Service that selects no Pod. In a
    cluster with both IP families this holds for each: Pods without an IPv6 address are no
    endpoints of an IPv6 cluster IP. Services without any slice are not looked at: their slices may
    not be among the input.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      selector: {app: web}
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
      - {addresses: [10.244.1.2], nodeName: worker-1, conditions: {ready: false}}
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      selector: {app: web}
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
      - {addresses: [10.244.1.2], nodeName: worker-1, conditions: {ready: true}}
    ```

    ## References

    - KEP-1669, kubernetes/enhancements#1669 (endpoints that are terminating)
    - kubernetes `pkg/proxy/topology.go` (`CategorizeEndpoints`)
    - kubernetes `pkg/proxy/iptables/proxier.go` (`internalTrafficFilterTarget`)
    """

    id = "PR402"
    name = "no-ready-endpoints"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report Services with slices that have ports without ready endpoints, by family."""
        for ports in context.ports_by_service.values():
            for family in context.families:
                some = [port for port in ports if port.cluster.family is family]
                if not some or not some[0].slices:
                    continue
                empty = not any(one.endpoints for one in some[0].slices)
                # Ports that no slice has are another rule's.
                failing = some if empty else [port for port in some if _is_without_ready(port)]
                if failing:
                    yield self._finding(ports, some, failing)

    def _finding(
        self, ports: Sequence[Port], some: Sequence[Port], failing: Sequence[Port]
    ) -> LintFinding:
        """Report ports (`failing`) among those of a family (`some`)."""
        where = []
        if len({port.cluster.family for port in ports}) > 1:
            where.append(some[0].cluster.family.api_name)
        if len(failing) < len(some):
            where.append("port " + listed([_name(port) for port in failing]))
        head = f"{', '.join(where)}: " if where else ""
        return self.finding(
            head + _words(failing),
            "look at its selector, and at the readiness probes of its Pods",
            at=some[0].at_service("spec", "selector"),
        )


def _is_without_ready(port: Port) -> bool:
    return bool(port.endpoints) and not any(one.ready for one in port.endpoints)


def _name(port: Port) -> str:
    return port.info.port_name or str(port.info.port)


def _words(ports: Sequence[Port]) -> str:
    """Say what there is in place of ready endpoints."""
    addresses = {end.ip for port in ports for end in port.endpoints}
    if not addresses:
        return "no endpoints, so connections are refused"
    if any(planned.has_endpoints for port in ports for _, planned in port.groups()):
        return "no ready endpoint, so terminating ones get the connections"
    if len(addresses) == 1:
        return "its only endpoint is not ready, so connections are refused"
    return f"none of its {len(addresses):,} endpoints is ready, so connections are refused"
