"""Every kind of chain that kube-proxy writes: what it does, and which field it is due to.

Sources: kubernetes `pkg/proxy/iptables/proxier.go` (chain names) and KEP-3178 for what kubelet
owns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule or chain.

    `does` says what it does, with places for `{port}` (the service port), `{endpoint}`, and values
    that the rule asks for (`{destination}`, `{source}`, `{dport}` …). `causes` names the fields
    that it is due to: `spec.…`, `status.…` and `ports.…` of the Service, `endpoint`, or one of
    kube-proxy's settings by its name in `proxy.configuration.PATHS`. A value that the rule itself
    shows is behind a `=`.
    """

    does: str
    causes: tuple[str, ...] = ()


CHAINS: Mapping[str, Kind] = MappingProxyType(
    {
        "KUBE-SVC": Kind(
            "distributes connections to {port} among its endpoints on any node", ("spec.clusterIP",)
        ),
        "KUBE-SVL": Kind(
            "distributes connections to {port} among its endpoints on this node",
            ("local_policies",),
        ),
        "KUBE-EXT": Kind(
            "takes connections to {port} from node ports, external and load-balancer IPs",
            ("spec.externalTrafficPolicy", "external"),
        ),
        "KUBE-FW": Kind(
            "lets only the source ranges of {port} reach its load-balancer IPs",
            ("spec.loadBalancerSourceRanges",),
        ),
        "KUBE-SEP": Kind("endpoint {endpoint} of {port}", ("endpoint",)),
        "KUBE-SERVICES": Kind(
            "for the whole node: from addresses of Services to the chains of each (nat); Services "
            "without endpoints (filter)"
        ),
        "KUBE-EXTERNAL-SERVICES": Kind(
            "for the whole node: node ports, external and load-balancer IPs without endpoints"
        ),
        "KUBE-NODEPORTS": Kind(
            "for the whole node: from node ports to the chains of each Service (nat); health-check "
            "node ports (filter)",
            ("nodeport_addresses",),
        ),
        "KUBE-PROXY-FIREWALL": Kind(
            "for the whole node: drops what source ranges of load-balancer IPs do not let in"
        ),
        "KUBE-FORWARD": Kind("for the whole node: what is forwarded between Services and Pods"),
        "KUBE-FIREWALL": Kind(
            "for the whole node, shared with kubelet: keeps other machines from node ports on "
            "localhost",
            ("iptables_localhost_nodeports",),
        ),
        "KUBE-POSTROUTING": Kind(
            "for the whole node: masquerades packets that were marked", ("iptables_masquerade_bit",)
        ),
        "KUBE-MARK-MASQ": Kind(
            "for the whole node: marks packets for masquerading", ("iptables_masquerade_bit",)
        ),
        "KUBE-MARK-DROP": Kind("kubelet's: marks packets to be dropped (until Kubernetes 1.27)"),
        "KUBE-PROXY-CANARY": Kind(
            "kube-proxy's canary: it has no rules; if it is gone, something flushed the table and "
            "kube-proxy writes all rules again"
        ),
        "KUBE-KUBELET-CANARY": Kind(
            "kubelet's canary: it has no rules; if it is gone, something flushed the table"
        ),
        "KUBE-IPTABLES-HINT": Kind(
            "kubelet's hint to other programs which iptables backend this node uses; no rules"
        ),
        "KUBE-LOAD-BALANCER": Kind("for the whole node, in kube-proxy's ipvs mode"),
        "KUBE-NODE-PORT": Kind("for the whole node, in kube-proxy's ipvs mode"),
        "KUBE-IPVS-FILTER": Kind("for the whole node, in kube-proxy's ipvs mode"),
        "KUBE-SOURCE-RANGES-FIREWALL": Kind("for the whole node, in kube-proxy's ipvs mode"),
    }
)
