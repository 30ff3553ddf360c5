"""PR404."""

from __future__ import annotations

import ipaddress
from bisect import bisect
from collections.abc import Iterator, Sequence
from socket import AF_INET, AF_INET6, inet_pton

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import Field, LintFinding, LintRule
from compiler.analysis.lint.words import listed
from compiler.family import IPV6, Family
from compiler.manifests.address import family_of, network_family, parse_network
from compiler.manifests.schema import EndpointSlice
from compiler.proxy.node import node_name

_Found = dict[int, tuple[str, Field]]
"""By address: the address and its node in words, and where it is written."""


class EndpointOutsidePodNetworks(LintRule):
    """An endpoint on a node has an address that is in no pod network.

    ## What goes wrong

    Some connections to a Service hang until they time out, since an EndpointSlice has an address
    that no Pod has; or the Pods of one node see other client addresses than all the others, since
    their network is not in kube-proxy's clusterCIDR.

    ## Why

    kube-proxy sends a share of the connections to each ready endpoint, whether there is a Pod or
    not. And it takes for Pods what comes from clusterCIDR (or the node's podCIDR): connections from
    other addresses to cluster IPs are masqueraded, and have to keep to a Local policy. This rule
    looks at ready endpoints with a `nodeName`. It leaves out addresses of Nodes (Pods with
    `hostNetwork`), and reports nothing where most endpoints are in none of the networks that are
    known: the network plugin has its own then. The networks are clusterCIDR and the podCIDRs of
    the Nodes.

    ## Bad example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    clusterCIDR: 10.244.0.0/16
    ---
    apiVersion: v1
    kind: Node
    metadata: {name: worker-1}
    spec: {podCIDRs: [10.244.1.0/24]}
    status:
      addresses:
        - {type: InternalIP, address: 172.18.0.3}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      clusterIP: 10.96.0.10
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
      - {addresses: [10.244.1.3], nodeName: worker-1}
      - {addresses: [10.224.1.4], nodeName: worker-1}
    ```

    ## Good example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    clusterCIDR: 10.244.0.0/16
    ---
    apiVersion: v1
    kind: Node
    metadata: {name: worker-1}
    spec: {podCIDRs: [10.244.1.0/24]}
    status:
      addresses:
        - {type: InternalIP, address: 172.18.0.3}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      clusterIP: 10.96.0.10
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
      - {addresses: [172.18.0.3], nodeName: worker-1}
    ```

    ## References

    - kubernetes `pkg/proxy/util/localdetector.go` (`NewDetectLocalByCIDR`)
    - kubernetes `pkg/proxy/iptables/proxier.go` (`syncProxyRules`: `localDetector.IfNotLocal`)
    """

    id = "PR404"
    name = "endpoint-outside-pod-networks"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report Services with ready endpoints on nodes, outside of all pod networks."""
        if not context.nodes:
            if context.slices:
                context.not_checked(self.id, "no Nodes are given, whose addresses Pods may have")
            return
        for family in context.families:
            networks = _Networks(context, family)
            if not networks.names:
                if context.cluster(family).infos:
                    context.not_checked(self.id, f"no {family.api_name} network of Pods is known")
                continue
            inside: set[int] = set()
            outside: dict[str, _Found] = {}
            for service, slices in _slices(context, family).items():
                found: _Found = {}
                for one in slices:
                    _sort(context, one, networks, inside, found)
                if found:
                    outside[service] = found
            addresses = set().union(*outside.values()) if outside else set()
            if len(addresses) > len(inside):
                reason = f"most {family.api_name} endpoints are in none of {networks.words()}"
                context.not_checked(self.id, reason)
                continue
            for service, found in outside.items():
                yield self._finding(service, found, networks)

    def _finding(self, service: str, found: _Found, networks: _Networks) -> LintFinding:
        words = listed([one for one, _ in found.values()])
        _, at = next(iter(found.values()))
        are = "is" if len(found) == 1 else "are"
        return self.finding(
            f"{words} {are} in no pod network ({networks.words()})",
            "correct the address, or clusterCIDR where the network plugin uses more networks",
            at=at,
            subject=f"Service {service}",
        )


class _Networks:
    """The pod networks of a family that are known, and the addresses of its Nodes."""

    def __init__(self, context: Context, family: Family) -> None:
        self.family = family
        cidrs = [context.config.cluster_cidrs.get(family, "")]
        for node in context.nodes:
            cidrs += (node.spec.pod_cidrs if node.spec else None) or ()
        parsed = [network for one in cidrs if (network := parse_network(one))]
        mine = [one for one in parsed if network_family(one) is family]
        merged = list(ipaddress.collapse_addresses(mine))  # type: ignore[type-var]  # one family
        self.names = [str(one) for one in merged]
        self._first = [int(one.network_address) for one in merged]
        self._last = [int(one.broadcast_address) for one in merged]
        self.of_nodes = {
            int(ipaddress.ip_address(address.address))
            for node in context.nodes
            for address in (node.status.addresses if node.status else None) or ()
            if address.address and family_of(address.address) is family
        }
        self.nodes = {node_name(node) for node in context.nodes}

    def words(self) -> str:
        """Write the networks."""
        return listed(self.names)

    def number(self, ip: str) -> int | None:
        """Return a valid address as a number; None for one of the other family."""
        if (":" in ip) != (self.family is IPV6):
            return None
        # `ipaddress` takes five times as long, and a large cluster has 100,000.
        return int.from_bytes(inet_pton(AF_INET6 if self.family is IPV6 else AF_INET, ip))

    def __contains__(self, number: int) -> bool:
        place = bisect(self._first, number) - 1
        return place >= 0 and number <= self._last[place]


def _slices(context: Context, family: Family) -> dict[str, Sequence[EndpointSlice]]:
    """Return the slices of each Service that kube-proxy serves."""
    cluster = context.cluster(family)
    return {f"{info.namespace}/{info.service}": cluster.slices(info) for info in cluster.infos}


def _sort(
    context: Context, one: EndpointSlice, networks: _Networks, inside: set[int], outside: _Found
) -> None:
    """Add a slice's addresses of Pods to those inside of the networks, or outside."""
    for place, endpoint in enumerate(one.endpoints or ()):
        if endpoint.node_name not in networks.nodes or not endpoint.addresses:
            continue
        number = networks.number(endpoint.addresses[0])
        if number is None or number in networks.of_nodes:
            continue
        conditions = endpoint.conditions
        if number in networks:
            inside.add(number)
        elif conditions is None or conditions.ready is not False:
            at = context.at(one, "endpoints", place, "addresses", 0)
            outside.setdefault(number, (f"{endpoint.addresses[0]} on {endpoint.node_name}", at))
