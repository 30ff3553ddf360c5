"""PR305."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.exposure import covers_loopback, entries_for, on_loopback_alone
from compiler.analysis.lint.rule import LintFinding, LintRule, Setting
from compiler.analysis.lint.words import listed
from compiler.family import Family


class LocalhostNodePorts(LintRule):
    """kube-proxy serves node ports on 127.0.0.1, and sets route_localnet for it.

    ## What goes wrong

    A neighbour on a node's network reaches what listens on 127.0.0.1 of the node (CVE-2020-8558),
    a security scanner reports net.ipv4.conf.all.route_localnet=1, or localhost:NODEPORT works over
    IPv4 and not over IPv6.

    ## Why

    iptables.localhostNodePorts is true by default. For node ports on loopback addresses kube-proxy
    sets the sysctl route_localnet, so that the kernel takes packets for 127.0.0.0/8 from any
    network interface. A rule in KUBE-FIREWALL drops them again, but not those that are translated
    to an endpoint: node ports answer neighbours on 127.0.0.1 too. Where nodePortAddresses limits
    node ports to loopback addresses, they are not private to the node, and the finding is a
    warning.

    Few programs need localhost:NODEPORT, such as a container registry that is addressed so. There
    is none over IPv6, and none in the mode nftables.

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
    iptables:
      localhostNodePorts: false
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

    - CVE-2020-8558, kubernetes/kubernetes#92315
    - kubernetes/kubernetes#90259
    - kubernetes `pkg/proxy/iptables/proxier.go` (`localhostNodePorts`)
    """

    id = "PR305"
    name = "localhost-node-ports"
    severity = "info"
    needs = ("config",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the setting, where it has an effect and there are node ports of IPv4."""
        config = context.config
        if not context.has_config or not config.localhost_node_ports:
            return
        entries = entries_for(config, Family.IPV4)
        if entries and not any(map(covers_loopback, entries)):
            return
        names = [
            f"{port.info.node_port} of {port.info.name}"
            for port in context.ports
            if port.info.node_port and port.cluster.family is Family.IPV4
        ]
        if not names:
            return
        alone = on_loopback_alone(config, Family.IPV4)
        what = "only there, and yet for neighbours of a node" if alone else "for neighbours too"
        yield self.finding(
            f"node ports are served on 127.0.0.1 ({what}: kube-proxy sets route_localnet): "
            f"{listed(names)}",
            "set iptables.localhostNodePorts to false, unless programs on the nodes use "
            "localhost and a node port",
            at=Setting("iptables_localhost_nodeports"),
            severity="warning" if alone else None,
        )
