"""PR501."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import At, LintFinding, LintRule, Setting, Severity
from compiler.family import Family
from compiler.proxy.cluster_plan import NodeName
from compiler.proxy.node import node_name
from compiler.proxy.plan import Blocked


class NoLocalTraffic(LintRule):
    """kube-proxy is not configured to tell traffic of Pods apart, and so masquerades none of it.

    ## What goes wrong

    Services work from Pods, but connections to a cluster IP from outside the Pod network time out
    (from nodes and hostNetwork Pods over an overlay, from machines with a route to the cluster
    IPs), and Pods can't reach the load-balancer IP of a Service with externalTrafficPolicy: Local.
    kube-proxy logs "Detect-local-mode set to ClusterCIDR, but no cluster CIDR specified".

    ## Why

    Whoever is not a Pod of this cluster must be masqueraded on the way to a cluster IP, so that the
    Pod's answers come back over the node that translated the destination. kube-proxy recognizes
    Pods by `clusterCIDR`, or as `detectLocalMode` says. With neither it leaves out the rule that
    masquerades, and the rule that sends traffic of Pods to external addresses to every endpoint:
    under `externalTrafficPolicy: Local` a Pod is then treated like a client from outside, and
    dropped on nodes without an endpoint.

    Where no Node has `spec.podCIDRs`, addresses of Pods are often routed like those of nodes (as by
    the VPC CNI of AWS), and the first half goes unnoticed: the severity then is `info`, unless Pods
    are dropped.

    ## Bad example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: iptables
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: web
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
    ```

    ## Good example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: iptables
    clusterCIDR: 10.244.0.0/16
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: web
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
    ```

    ## References

    - kubernetes/kubernetes#36835
    - kubernetes/kubernetes#124587
    - kubernetes `cmd/kube-proxy/app/server_linux.go` (`getLocalDetectors`)
    - KEP-2450, kubernetes/enhancements#2450
    """

    id = "PR501"
    name = "no-local-traffic"
    severity = "warning"
    needs = ("config",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the setting, or the Node, that leaves kube-proxy without a way to tell Pods."""
        if not context.has_config:
            return
        if context.config.detect_local_mode == "NodeCIDR":
            yield from self._of_nodes(context)
            return
        if context.given.config_source is None and not context.config.cluster_cidrs:
            # Other flags were given, and the cluster may well have a clusterCIDR.
            context.not_checked(self.id, "neither kube-proxy's configuration nor a clusterCIDR")
            return
        lacking = {
            family: _effects(context, family, context.cluster(family).nodes)
            for family in context.families
            if _lacks(context, family)
        }
        found = {family: effects for family, effects in lacking.items() if effects}
        if found:
            words = " and ".join(family.api_name for family in found)
            at = Setting("cluster_cidr")
            yield self._finding(context, at, f"no clusterCIDR for {words}", list(found.values()))

    def _of_nodes(self, context: Context) -> Iterator[LintFinding]:
        """Look at the Nodes one by one: NodeCIDR takes the CIDRs of their Pods."""
        nodes = {node_name(node): node for node in context.nodes}
        for name, node in nodes.items():
            found: dict[Family, _Effects] = {}
            for family in context.families:
                if name in context.cluster(family).nodes and not _pod_cidr(context, family, name):
                    effects = _effects(context, family, (name,))
                    if effects:
                        found[family] = effects
            if found:
                words = " and ".join(family.api_name for family in found)
                at = context.at(node, "spec", "podCIDRs")
                what = f"detectLocalMode is NodeCIDR, and the Node has no CIDR for {words}"
                yield self._finding(context, at, what, list(found.values()))
        if not nodes:
            context.not_checked(self.id, "detectLocalMode is NodeCIDR, and no Nodes were given")

    def _finding(self, context: Context, at: At, what: str, some: list[_Effects]) -> LintFinding:
        dropped = next((one.dropped for one in some if one.dropped), "")
        effects = []
        if any(one.unmasqueraded for one in some):
            effects.append("traffic from outside the Pod network to cluster IPs is not masqueraded")
        if dropped:
            effects.append(f"Pods are treated as clients from outside: {dropped}")
        routed = bool(context.nodes) and not any(
            node.spec and node.spec.pod_cidrs for node in context.nodes
        )
        severity: Severity = "info" if routed and not dropped else self.severity
        return self.finding(
            f"{what}: kube-proxy can't tell traffic of Pods apart; {', and '.join(effects)}",
            "set clusterCIDR to the network of the Pods, or detectLocalMode to another way",
            at=at,
            severity=severity,
        )


@dataclass(frozen=True)
class _Effects:
    """What goes wrong: whether cluster IPs are affected, and which connections are dropped."""

    unmasqueraded: bool
    dropped: str

    def __bool__(self) -> bool:
        return self.unmasqueraded or bool(self.dropped)


def _lacks(context: Context, family: Family) -> bool:
    """Whether nothing tells traffic of a family's Pods apart, but for NodeCIDR."""
    by_cidr = context.config.detect_local_mode == "ClusterCIDR"
    return by_cidr and family not in context.config.cluster_cidrs


def _pod_cidr(context: Context, family: Family, node: NodeName) -> str | None:
    return context.local_node(family, node).pod_cidr


def _effects(context: Context, family: Family, nodes: tuple[NodeName, ...]) -> _Effects:
    ports = [port for port in context.ports if port.cluster.family is family]
    masqueraded = context.config.masquerade_all
    return _Effects(
        not masqueraded and any(_is_served(port, nodes) for port in ports),
        next((words for port in ports if (words := _dropped(port, nodes))), ""),
    )


def _is_served(port: Port, nodes: tuple[NodeName, ...]) -> bool:
    return any(
        planned.internal_block is None and not set(nodes).isdisjoint(some)
        for some, planned in port.groups()
    )


def _dropped(port: Port, nodes: tuple[NodeName, ...]) -> str:
    """Say on which nodes connections of Pods to external addresses are dropped, if on any."""
    for some, planned in port.groups():
        there = [node for node in some if node in nodes]
        if (
            there
            and planned.externally_accessible
            and planned.external_block is Blocked.NO_LOCAL_ENDPOINTS
            and planned.cluster_endpoints
        ):
            more = f" and {len(there) - 1} more nodes" if len(there) > 1 else ""
            where = f"on {there[0]}{more}" if there[0] else "on nodes without an endpoint"
            return (
                f"{where} their connections to external addresses of {port.info.name} are dropped "
                f"(externalTrafficPolicy: Local)"
            )
    return ""
