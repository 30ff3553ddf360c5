"""PR302."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context, Port
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.analysis.lint.words import listed


class ExternalIPs(LintRule):
    """externalIPs of a Service take traffic for any address, whoever it belongs to.

    ## What goes wrong

    Connections of Pods and nodes to an address outside the cluster end at a Service of the cluster,
    a man in the middle (CVE-2020-8554); or the API server warns that spec.externalIPs is
    deprecated.

    ## Why

    For each entry of externalIPs every node translates what goes to that address and port, from
    outside, from Pods and from the node itself, to the endpoints of the Service. Nothing checks
    that the address belongs to whoever writes the Service: it may be a DNS server's, or that of
    another tenant. Anyone who may create Services can do this.

    externalIPs is deprecated since Kubernetes 1.36. Where the feature gate AllowServiceExternalIPs
    is off, kube-proxy ignores the field, which the finding says.

    ## Bad example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata:
      name: web
    spec:
      clusterIP: 10.96.0.10
      externalIPs: [192.0.2.10]
      ports:
        - {name: http, port: 80}
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
      ports:
        - {name: http, port: 80}
    status:
      loadBalancer:
        ingress:
          - {ip: 192.0.2.10}
    ```

    ## References

    - CVE-2020-8554, kubernetes/kubernetes#97076
    - KEP-5707, kubernetes/enhancements#5707
    - kubernetes `pkg/proxy/iptables/proxier.go` (`ExternalIPs`)
    """

    id = "PR302"
    name = "external-ips"
    severity = "warning"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report Services with externalIPs that kube-proxy serves, or ignores by its gate."""
        for ports in context.ports_by_service.values():
            service = ports[0].service
            written = (service.spec and service.spec.external_ips) or []
            if not written:
                continue
            if not ports[0].cluster.features.allow_service_external_ips:
                message = (
                    f"kube-proxy ignores externalIPs ({listed(written)}): the feature gate "
                    "AllowServiceExternalIPs is off"
                )
                hint = "use type LoadBalancer, and remove externalIPs"
            elif served := _served(ports):
                message = f"every node sends all traffic for {listed(served)} to this Service"
                hint = (
                    "use type LoadBalancer, and reject externalIPs by the admission plugin "
                    "DenyServiceExternalIPs"
                )
            else:
                continue
            yield self.finding(message, hint, at=context.at(service, "spec", "externalIPs"))


def _served(ports: list[Port]) -> list[str]:
    """List the addresses that are taken, each with its ports."""
    found: dict[str, list[int]] = {}
    for port in ports:
        for ip in port.info.external_ips:
            numbers = found.setdefault(ip, [])
            if port.info.port not in numbers:
                numbers.append(port.info.port)
    return [
        f"{ip} (port{'s' if len(numbers) > 1 else ''} {listed(list(map(str, numbers)))})"
        for ip, numbers in found.items()
    ]
