"""PR301."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.exposure import covers_everything, on_loopback_alone
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.words import listed
from compiler.family import Family
from compiler.manifests.address import Network, network_family, parse_network
from compiler.manifests.schema import Service


class SourceRangesBypassed(LintRule):
    """loadBalancerSourceRanges does not limit the node ports of the Service.

    ## What goes wrong

    A Service is reachable from addresses that loadBalancerSourceRanges does not list: the node port
    of the load balancer's Service is open to everyone who can reach a node.

    ## Why

    kube-proxy compares the client's address with loadBalancerSourceRanges for the load-balancer
    IPs alone. The same Service is served without that on its node ports, which the API server
    allocates for every Service of type LoadBalancer, and on its externalIPs. It also takes for each
    IP family the ranges of that family: with ranges of IPv4 only, the IPv6 load-balancer IP of a
    dual-stack Service is open to everyone.

    Firewalls in front of the nodes are not seen here. Ranges that contain all addresses of a family
    limit nothing, and are not reported.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      type: LoadBalancer
      loadBalancerSourceRanges: [198.51.100.0/24]
      ports:
        - {name: http, port: 80, nodePort: 30080}
    status:
      loadBalancer:
        ingress:
          - {ip: 203.0.113.10}
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      type: LoadBalancer
      allocateLoadBalancerNodePorts: false
      loadBalancerSourceRanges: [198.51.100.0/24]
      ports:
        - {name: http, port: 80}
    status:
      loadBalancer:
        ingress:
          - {ip: 203.0.113.10}
    ```

    ## References

    - kubernetes/kubernetes#33586
    - kubernetes/kubernetes#109575
    - kubernetes `pkg/proxy/iptables/proxier.go` (`usesFWChain`)
    """

    id = "PR301"
    name = "source-ranges-bypassed"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report Services whose ranges limit something, with the entry points that are open."""
        for ports in context.ports_by_service.values():
            service = ports[0].service
            ranges = _ranges(service)
            if all(map(covers_everything, ranges.values())):
                continue
            ways = dict.fromkeys(way for port in ports for way in _open(context, port, ranges))
            if ways:
                yield self.finding(
                    f"loadBalancerSourceRanges does not limit {listed(list(ways))}: open to every "
                    "source address",
                    "set allocateLoadBalancerNodePorts to false and remove the node ports where "
                    "the load balancer does not need them, or limit them in a firewall; give "
                    "ranges for each IP family",
                    at=context.at(service, "spec", "loadBalancerSourceRanges"),
                )


def _ranges(service: Service) -> Mapping[Family, Sequence[Network]]:
    """Return the source ranges by family; kube-proxy looks at them for load balancers alone."""
    found: dict[Family, list[Network]] = {}
    if service.spec is not None and service.spec.type == "LoadBalancer":
        for cidr in service.spec.load_balancer_source_ranges or ():
            if network := parse_network(cidr.strip()):
                found.setdefault(network_family(network), []).append(network)
    return found


def _open(
    context: Context, port: Port, ranges: Mapping[Family, Sequence[Network]]
) -> Iterator[str]:
    info, family = port.info, port.cluster.family
    own = ranges.get(family, ())
    if covers_everything(own):
        return
    if info.node_port and not on_loopback_alone(context.config, family):
        yield f"node port {info.node_port}"
    yield from (f"external IP {ip}" for ip in info.external_ips)
    if not own:
        yield from (f"load-balancer IP {ip}" for ip in info.load_balancer_ips)
