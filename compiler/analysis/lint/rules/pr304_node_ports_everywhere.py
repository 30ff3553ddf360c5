"""PR304."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.exposure import entries_for
from compiler.analysis.lint.rule import LintFinding, LintRule, Setting
from compiler.analysis.lint.words import listed


class NodePortsEverywhere(LintRule):
    """Node ports are open on every address of every node, as nodePortAddresses is not set.

    ## What goes wrong

    A node port answers on a public, VPN or storage network, or on docker0, against all intentions;
    or on IPv6, although nodePortAddresses limits node ports to an IPv4 network.

    ## Why

    Without nodePortAddresses kube-proxy serves node ports on all addresses that a node has, also
    those that it gets later. The networks of each IP family count for that family alone: where all
    are of IPv4, node ports are open on every IPv6 address of the nodes, and the finding is a
    warning.

    `nodePortAddresses: [primary]` (since Kubernetes 1.31) opens them on the node's own IPs. That
    they are open everywhere on purpose can be written as 0.0.0.0/0 and ::/0; that is not reported.

    ## Bad example

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
      type: NodePort
      ports:
        - {name: http, port: 80, nodePort: 30080}
    ```

    ## Good example

    ```yaml
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: iptables
    clusterCIDR: 10.244.0.0/16
    nodePortAddresses: [primary]
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      type: NodePort
      ports:
        - {name: http, port: 80, nodePort: 30080}
    ```

    ## References

    - kubernetes/kubernetes#123105 (`primary`)
    - kubernetes `pkg/proxy/util/nodeport_addresses.go` (`NewNodePortAddresses`)
    """

    id = "PR304"
    name = "node-ports-everywhere"
    severity = "info"
    needs = ("config",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the setting, with the families and node ports concerned."""
        if not context.has_config:
            return
        ports = [
            port
            for port in context.ports
            if port.info.node_port and not entries_for(context.config, port.cluster.family)
        ]
        if not ports:
            return
        families = list(dict.fromkeys(port.cluster.family.api_name for port in ports))
        limited = bool(context.config.node_port_addresses)
        without = f"has no {families[0]} network" if limited else "is not set"
        yield self.finding(
            f"nodePortAddresses {without}: node ports are open on every {' and '.join(families)} "
            f"address of the nodes: {listed(_names(ports))}",
            "set it to [primary] (since Kubernetes 1.31) or to the networks that clients use, of "
            "both IP families",
            at=Setting("nodeport_addresses"),
            severity="warning" if limited else None,
        )


def _names(ports: list[Port]) -> list[str]:
    return list(dict.fromkeys(f"{one.info.node_port} of {one.info.name}" for one in ports))
