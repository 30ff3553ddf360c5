"""PR303."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import Field, LintFinding, LintRule
from compiler.analysis.lint.words import listed
from compiler.manifests.address import canonical, parse_network
from compiler.proxy.cluster_plan import NodeName
from compiler.proxy.plan import PlannedServicePort

_BY_CHANCE = (
    "which one gets the connections is left to the order in which kube-proxy writes the rules, "
    "which is random on each node and each time"
)


class AddressClaimedTwice(LintRule):
    """Two Services claim the same external or load-balancer IP and port.

    ## What goes wrong

    Connections to an external IP or load-balancer IP end at the Pods of another Service, on some
    nodes or since the last restart of kube-proxy, without any error: two Services have the same IP
    and port.

    ## Why

    The API server does not compare externalIPs and load-balancer IPs of Services. kube-proxy writes
    rules for each of them, and the first rule that fits takes the connection. It writes them in the
    order of a Go map, which is random: it may be another on each node, and change whenever the
    rules are written. A Service without endpoints has no such rule, so that another takes its
    traffic, until it has endpoints.

    Services that share an IP with different ports or protocols are not reported. An external IP
    that is another Service's cluster IP is. The finding is a warning where one Service alone is
    served, both have the same endpoints, or the loadBalancerSourceRanges of both have no address in
    common.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: blue
    spec:
      clusterIP: 10.96.0.10
      externalIPs: [192.0.2.10]
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: green
    spec:
      clusterIP: 10.96.0.11
      externalIPs: [192.0.2.10]
      ports:
        - {name: http, port: 80}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: blue-1
      labels: {kubernetes.io/service-name: blue}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
      - {addresses: [10.244.1.2], nodeName: worker-1}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: green-1
      labels: {kubernetes.io/service-name: green}
    addressType: IPv4
    ports:
      - {name: http, port: 8080}
    endpoints:
      - {addresses: [10.244.1.3], nodeName: worker-1}
    ```

    ## Good example

    One load-balancer IP for two Services, with different ports.

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: blue
    spec:
      clusterIP: 10.96.0.10
      type: LoadBalancer
      allocateLoadBalancerNodePorts: false
      ports:
        - {name: http, port: 80}
    status:
      loadBalancer:
        ingress:
          - {ip: 203.0.113.10}
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: green
    spec:
      clusterIP: 10.96.0.11
      type: LoadBalancer
      allocateLoadBalancerNodePorts: false
      ports:
        - {name: http, port: 8080}
    status:
      loadBalancer:
        ingress:
          - {ip: 203.0.113.10}
    ```

    ## References

    - kubernetes/kubernetes#69599
    - kubernetes `pkg/proxy/iptables/proxier.go` (`syncProxyRules`)
    """

    id = "PR303"
    name = "address-claimed-twice"
    severity = "error"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report addresses and ports of several Services, once for the same claims."""
        claims: defaultdict[tuple[str, int, str], list[_Claim]] = defaultdict(list)
        for port in context.ports:
            info = port.info
            ips = {info.cluster_ip: False}
            ips |= dict.fromkeys((*info.external_ips, *info.load_balancer_ips), True)
            for ip, external in ips.items():
                claims[ip, info.port, info.protocol].append(_Claim(port, ip, external))
        alike: defaultdict[tuple[tuple[int, bool], ...], list[list[_Claim]]] = defaultdict(list)
        for some in claims.values():
            if len(some) > 1 and any(claim.external for claim in some):
                alike[tuple((id(claim.port), claim.external) for claim in some)].append(some)
        for groups in alike.values():
            yield self._finding(groups[0], [some[0].ip for some in groups])

    def _finding(self, claims: Sequence[_Claim], ips: Sequence[str]) -> LintFinding:
        last = [claim for claim in claims if claim.external][-1]
        others = [claim.words for claim in claims if claim is not last]
        winner, contested = _winner(claims)
        info = last.port.info
        return self.finding(
            f"{listed(ips)} port {info.port}/{info.protocol} is claimed by {listed(others)} too: "
            f"{winner}",
            "give each Service an address or port of its own",
            at=last.field,
            subject=last.port.subject,
            severity=None if contested else "warning",
        )


@dataclass(frozen=True, eq=False)
class _Claim:
    """A service port that has an address: an external one, or its cluster IP."""

    port: Port
    ip: str
    external: bool

    @property
    def words(self) -> str:
        what = "" if self.external else " (its cluster IP)"
        return f"{self.port.info.name}{what}"

    @property
    def field(self) -> Field:
        """Where the Service has the address."""
        port, spec = self.port, self.port.service.spec
        for index, ip in enumerate((spec and spec.external_ips) or ()):
            if self.ip in port.info.external_ips and canonical(ip) == self.ip:
                return port.at_service("spec", "externalIPs", index)
        return port.at_service("status", "loadBalancer", "ingress")

    @cached_property
    def ranges(self) -> list[tuple[int, int]]:
        """The source addresses that rules let in, first and last, apart; empty for all."""
        info = self.port.info
        if self.ip not in info.load_balancer_ips or self.ip in info.external_ips:
            return []
        networks = [network for one in info.source_ranges if (network := parse_network(one))]
        merged = ipaddress.collapse_addresses(networks)  # type: ignore[type-var]  # one family
        return [(int(one.network_address), int(one.broadcast_address)) for one in merged]

    def is_served(self, planned: PlannedServicePort) -> bool:
        return (planned.external_block if self.external else planned.internal_block) is None

    def endpoints(self, planned: PlannedServicePort) -> frozenset[str]:
        """Return where a node sends what comes from outside."""
        local = planned.external_policy_local if self.external else planned.internal_policy_local
        some = planned.local_endpoints if local else planned.cluster_endpoints
        return frozenset(one.address_port for one in some)


def _winner(claims: Sequence[_Claim]) -> tuple[str, bool]:
    """Say which claim gets the connections, and whether that is left to chance."""
    served: defaultdict[NodeName, list[tuple[_Claim, frozenset[str]]]] = defaultdict(list)
    for claim in claims:
        for nodes, planned in claim.port.groups():
            if claim.is_served(planned):
                one = claim, claim.endpoints(planned)
                for node in nodes:
                    served[node].append(one)
    # Most nodes are alike.
    alike = {tuple(map(id, some)): some for some in served.values()}
    several = [some for some in alike.values() if len(some) > 1]
    if several and all(_divided([claim for claim, _ in some]) for some in several):
        return "loadBalancerSourceRanges divides the clients among them", False
    if any(len({endpoints for _, endpoints in some}) > 1 for some in several):
        return _BY_CHANCE, True
    if several:
        return "they have the same endpoints now", False
    names = {some[0][0].port.info.name: node for node, some in served.items()}
    if len(names) == 1:
        return f"{next(iter(names))} gets the connections, as no other has endpoints to use", False
    if names:
        some = [f"{name} on {node}" for name, node in names.items()]
        return f"it depends on the node: {listed(some)}", False
    return "none has endpoints to use now", False


def _divided(claims: Sequence[_Claim]) -> bool:
    """Tell whether no client is let in by two of the claims."""
    if not all(claim.ranges for claim in claims):
        return False
    spans = sorted(span for claim in claims for span in claim.ranges)
    return all(end < start for (_, end), (start, _) in pairwise(spans))
