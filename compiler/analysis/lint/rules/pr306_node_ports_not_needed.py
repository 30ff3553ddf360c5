"""PR306."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.words import listed
from compiler.manifests.schema import Service

# What shows that a Service's load balancer does without node ports -> its name and the reason.
# Sources: metallb `internal/k8s/controllers` (the controller annotates what it serves) and
# metallb/metallb#328; AWS Load Balancer Controller, "Network Load Balancer"; kube-vip, "Kubernetes
# Load-Balancer Services"; Tailscale, "Expose a Kubernetes cluster workload to your tailnet".
_AT_THE_NODE = "brings packets for the load-balancer IP to the nodes as they are"
_ANNOTATIONS: Mapping[str, tuple[str | None, str]] = MappingProxyType(
    {
        "metallb.io/ip-allocated-from-pool": (None, f"MetalLB {_AT_THE_NODE}"),
        "metallb.universe.tf/ip-allocated-from-pool": (None, f"MetalLB {_AT_THE_NODE}"),
        "kube-vip.io/loadbalancerIPs": (None, f"kube-vip {_AT_THE_NODE}"),
        "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": (
            "ip",
            "an NLB with the target type ip sends to Pods",
        ),
    }
)
_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "kube-vip.io/kube-vip-class": f"kube-vip {_AT_THE_NODE}",
        "tailscale": "the proxy of Tailscale sends to the cluster IP",
    }
)


class NodePortsNotNeeded(LintRule):
    """A LoadBalancer Service has node ports that its load balancer does not use.

    ## What goes wrong

    Every Service of type LoadBalancer opens a port on all nodes, past the load balancer's firewall
    and source ranges, and node ports run out ("provided port is already allocated", "range is
    full"), although the load balancer, such as MetalLB, never uses them.

    ## Why

    The API server allocates node ports for Services of type LoadBalancer unless
    allocateLoadBalancerNodePorts is false. Load balancers that bring packets for the load-balancer
    IP to a node, or that send to Pods or the cluster IP, do without. Setting the field to false
    later keeps the node ports that are there: they must be removed from spec.ports, too.

    Only load balancers are reported that the Service itself names, by an annotation or
    loadBalancerClass, and Services where the field is false and node ports are left. `ipMode` does
    not tell: a load balancer with ipMode Proxy usually sends to node ports, and VIP is what the
    API server writes for those that say nothing.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      annotations:
        metallb.io/ip-allocated-from-pool: public
    spec:
      clusterIP: 10.96.0.10
      type: LoadBalancer
      ports:
        - {name: http, port: 80, nodePort: 30080}
    status:
      loadBalancer:
        ingress:
          - {ip: 203.0.113.10, ipMode: VIP}
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      annotations:
        metallb.io/ip-allocated-from-pool: public
    spec:
      clusterIP: 10.96.0.10
      type: LoadBalancer
      allocateLoadBalancerNodePorts: false
      ports:
        - {name: http, port: 80}
    status:
      loadBalancer:
        ingress:
          - {ip: 203.0.113.10, ipMode: VIP}
    ```

    ## References

    - KEP-1864, kubernetes/enhancements#1864
    - KEP-1860, kubernetes/enhancements#1860 (`ipMode`)
    - metallb/metallb#328
    """

    id = "PR306"
    name = "node-ports-not-needed"
    severity = "info"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report Services whose node ports nothing needs, as far as they say it themselves."""
        for ports in context.ports_by_service.values():
            service = ports[0].service
            spec = service.spec
            numbers = [str(port.info.node_port) for port in ports if port.info.node_port]
            if spec is None or spec.type != "LoadBalancer" or not numbers:
                continue
            numbers = list(dict.fromkeys(numbers))
            if spec.allocate_load_balancer_node_ports is False:
                reason = (
                    "allocateLoadBalancerNodePorts is false, and node ports from before or set by "
                    "hand are kept"
                )
            elif not (reason := _reason(context, service)):
                continue
            yield self.finding(
                f"node port{'s' if len(numbers) > 1 else ''} {listed(numbers)} "
                f"{'are' if len(numbers) > 1 else 'is'} open on the nodes without need: {reason}",
                "set allocateLoadBalancerNodePorts to false and remove nodePort from the ports",
                at=context.at(service, "spec", "allocateLoadBalancerNodePorts"),
            )


def _reason(context: Context, service: Service) -> str:
    """Say why the load balancer needs no node ports; empty where that is not known."""
    plain = context.plain(service)
    metadata, spec = plain.get("metadata"), plain.get("spec")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if isinstance(annotations, dict):
        for key, (value, reason) in _ANNOTATIONS.items():
            if key in annotations and value in {None, annotations[key]}:
                return reason
    name = spec.get("loadBalancerClass") if isinstance(spec, dict) else None
    return _CLASSES.get(name, "") if isinstance(name, str) else ""
