"""PR406."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import LintFinding, LintRule
from compiler.proxy.iptables_plan import LARGE_CLUSTER_ENDPOINTS


class EndpointsWithoutComments(LintRule):
    """The cluster has so many endpoints that kube-proxy leaves comments out of its rules.

    ## What goes wrong

    Scripts and people that look for a Service's name in iptables-save find its cluster IP, and no
    endpoints any more: the comments of the rules in KUBE-SVC and KUBE-SEP chains are gone, on all
    nodes at once, when the cluster grows past 1,000 endpoints.

    ## Why

    kube-proxy writes no comments into the rules of endpoints where an IP family has more than 1,000
    of them. It counts the endpoints of each service port, in any state: 200 Pods behind a Service
    with six ports are 1,200. The rules themselves work as before; from the cluster IP's rule, which
    keeps its comment, the chains can be followed by their names, as `proxyrules` does.

    ## Bad example

    24 ports with 42 endpoints each, which are 1,008:

    ```yaml
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      clusterIP: 10.96.0.10
      ports: [
        {name: a, port: 1}, {name: b, port: 2}, {name: c, port: 3}, {name: d, port: 4},
        {name: e, port: 5}, {name: f, port: 6}, {name: g, port: 7}, {name: h, port: 8},
        {name: i, port: 9}, {name: j, port: 10}, {name: k, port: 11}, {name: l, port: 12},
        {name: m, port: 13}, {name: o, port: 14}, {name: p, port: 15}, {name: q, port: 16},
        {name: r, port: 17}, {name: s, port: 18}, {name: t, port: 19}, {name: u, port: 20},
        {name: v, port: 21}, {name: w, port: 22}, {name: x, port: 23}, {name: z, port: 24}
      ]
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: web-1
      labels: {kubernetes.io/service-name: web}
    addressType: IPv4
    ports: [
      {name: a, port: 1}, {name: b, port: 2}, {name: c, port: 3}, {name: d, port: 4},
      {name: e, port: 5}, {name: f, port: 6}, {name: g, port: 7}, {name: h, port: 8},
      {name: i, port: 9}, {name: j, port: 10}, {name: k, port: 11}, {name: l, port: 12},
      {name: m, port: 13}, {name: o, port: 14}, {name: p, port: 15}, {name: q, port: 16},
      {name: r, port: 17}, {name: s, port: 18}, {name: t, port: 19}, {name: u, port: 20},
      {name: v, port: 21}, {name: w, port: 22}, {name: x, port: 23}, {name: z, port: 24}
    ]
    endpoints: [
      {addresses: [10.244.1.1]}, {addresses: [10.244.1.2]}, {addresses: [10.244.1.3]},
      {addresses: [10.244.1.4]}, {addresses: [10.244.1.5]}, {addresses: [10.244.1.6]},
      {addresses: [10.244.1.7]}, {addresses: [10.244.1.8]}, {addresses: [10.244.1.9]},
      {addresses: [10.244.1.10]}, {addresses: [10.244.1.11]}, {addresses: [10.244.1.12]},
      {addresses: [10.244.1.13]}, {addresses: [10.244.1.14]}, {addresses: [10.244.1.15]},
      {addresses: [10.244.1.16]}, {addresses: [10.244.1.17]}, {addresses: [10.244.1.18]},
      {addresses: [10.244.1.19]}, {addresses: [10.244.1.20]}, {addresses: [10.244.1.21]},
      {addresses: [10.244.1.22]}, {addresses: [10.244.1.23]}, {addresses: [10.244.1.24]},
      {addresses: [10.244.1.25]}, {addresses: [10.244.1.26]}, {addresses: [10.244.1.27]},
      {addresses: [10.244.1.28]}, {addresses: [10.244.1.29]}, {addresses: [10.244.1.30]},
      {addresses: [10.244.1.31]}, {addresses: [10.244.1.32]}, {addresses: [10.244.1.33]},
      {addresses: [10.244.1.34]}, {addresses: [10.244.1.35]}, {addresses: [10.244.1.36]},
      {addresses: [10.244.1.37]}, {addresses: [10.244.1.38]}, {addresses: [10.244.1.39]},
      {addresses: [10.244.1.40]}, {addresses: [10.244.1.41]}, {addresses: [10.244.1.42]}
    ]
    ```

    ## Good example

    ```yaml
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      clusterIP: 10.96.0.10
      ports:
        - {name: http, port: 80}
    ```

    ## References

    - kubernetes/kubernetes#65755
    - kubernetes `pkg/proxy/iptables/proxier.go` (`largeClusterEndpointsThreshold`)
    """

    id = "PR406"
    name = "endpoints-without-comments"
    severity = "info"

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report each family with more endpoints than kube-proxy writes comments for."""
        for family in context.families:
            cluster = context.cluster(family)
            count = sum(len(cluster.endpoints(info)) for info in cluster.infos)
            if count > LARGE_CLUSTER_ENDPOINTS:
                yield self.finding(
                    f"{count:,} {family.api_name} endpoints of service ports are more than "
                    f"{LARGE_CLUSTER_ENDPOINTS:,}, so the rules of endpoints have no comments",
                    "follow the chains by name from the rule of the cluster IP",
                )
