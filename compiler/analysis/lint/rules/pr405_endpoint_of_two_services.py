"""PR405."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import Field, LintFinding, LintRule
from compiler.analysis.lint.selectors import Selectors, contradict


class EndpointOfTwoServices(LintRule):
    """Two Services that can't share a Pod have the same endpoint.

    ## What goes wrong

    Some requests to a Service are answered by another application: its EndpointSlice still has the
    address of a Pod that is gone, and that another Pod has got since, or it was copied by hand.

    ## Why

    Services that select the same Pods share endpoints, and that is fine. But where the selectors of
    two Services contradict one another (`app: web` and `app: api`), or the Services are in
    different namespaces, no Pod can belong to both. An address and port that both list as ready is
    then wrong in one of them, and kube-proxy sends it a share of both Services' connections.
    Services without a selector are not reported.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata: {name: api}
    spec:
      clusterIP: 10.96.0.10
      selector: {app: api}
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      clusterIP: 10.96.0.11
      selector: {app: web}
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: api-1
      labels: {kubernetes.io/service-name: api}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
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
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata: {name: api}
    spec:
      clusterIP: 10.96.0.10
      selector: {app: api}
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: api-of-today}
    spec:
      clusterIP: 10.96.0.11
      selector: {app: api, track: stable}
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: api-1
      labels: {kubernetes.io/service-name: api}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: api-of-today-1
      labels: {kubernetes.io/service-name: api-of-today}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
    ```

    ## References

    - kubernetes `staging/src/k8s.io/endpointslice/reconciler.go` (`reconcileByAddressType`)
    """

    id = "PR405"
    name = "endpoint-of-two-services"
    severity = "error"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report a Service once for each other one, before it by name, whose endpoint it has."""
        selectors = Selectors(context)
        known: set[tuple[int, int]] = set()
        for (address, protocol), ports in _shared(context).items():
            ports.sort(key=lambda one: (one.info.namespace, one.info.service))
            for place, port in enumerate(ports):
                for other in ports[:place]:
                    pair = (id(other.service), id(port.service))
                    if pair in known or not _exclude(other, port, selectors):
                        continue
                    known.add(pair)
                    yield self.finding(
                        f"{address}/{protocol} is a ready endpoint of {_name(other)} too, and no "
                        "Pod fits the selectors of both",
                        "correct the slice that has the address of a Pod that is gone",
                        at=_place(context, port, address),
                        subject=_name(port),
                    )


def _shared(context: Context) -> dict[tuple[str, str], list[Port]]:
    """Return the service ports of each endpoint, address and protocol, that several Services have.

    Each Service is there once.
    """
    first: dict[tuple[str, str], Port] = {}
    shared: defaultdict[tuple[str, str], list[Port]] = defaultdict(list)
    for port in context.ports:
        protocol = port.info.protocol
        for end in port.endpoints:
            key = (end.address_port, protocol)
            owner = first.setdefault(key, port) if end.ready else port
            if owner.service is not port.service:
                some = shared[key] or [owner]
                if all(one.service is not port.service for one in some):
                    some.append(port)
                shared[key] = some
    return shared


def _exclude(some: Port, other: Port, selectors: Selectors) -> bool:
    """Whether no Pod can belong to both Services."""
    first, second = selectors.of(some.service), selectors.of(other.service)
    if not first or not second:
        return False
    return some.info.namespace != other.info.namespace or contradict(first, second)


def _name(port: Port) -> str:
    return f"Service {port.info.namespace}/{port.info.service}"


def _place(context: Context, port: Port, address: str) -> Field:
    """Return where a service port's slices have an endpoint."""
    ip = next(one.ip for one in port.endpoints if one.address_port == address)
    for some in port.slices:
        for place, endpoint in enumerate(some.endpoints or ()):
            if endpoint.addresses and endpoint.addresses[0] == ip:
                return context.at(some, "endpoints", place, "addresses", 0)
    return port.at()
