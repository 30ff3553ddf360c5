"""Every kind of rule that kube-proxy writes: what it does, and which field it is due to.

Source: kubernetes `pkg/proxy/iptables/proxier.go` (`syncProxyRules`, `writeServiceToEndpointRules`)
and KEP-3178 for what kubelet owns.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from compiler.kube_rules.chain_kinds import CHAINS, Kind
from compiler.kube_rules.chains import JUMPS
from compiler.kube_rules.rule_line import RuleLine, chain_group

_INTERNAL, _EXTERNAL = "spec.internalTrafficPolicy", "spec.externalTrafficPolicy"
_AFFINITY = "spec.sessionAffinity"
_LOCALHOST = "iptables_localhost_nodeports"
_PODS = "local_traffic"
_MARK = "iptables_masquerade_bit"
_ENTRY = ("destination",)

# (chain, target) -> the kinds with the words that tell them apart; the first that fits is taken.
_KINDS: Mapping[tuple[str, str], tuple[tuple[str, Kind], ...]] = MappingProxyType(
    {
        ("KUBE-FIREWALL", "DROP"): (
            (
                "127.0.0.0/8",
                Kind(
                    "drops new packets to 127.0.0.0/8 from other machines: with node ports on "
                    "localhost the kernel routes them (route_localnet)",
                    (_LOCALHOST,),
                ),
            ),
            ("--mark", Kind("kubelet's: drops packets that KUBE-MARK-DROP marked")),
        ),
        ("KUBE-SERVICES", "REJECT"): (
            (
                "",
                Kind(
                    "rejects connections to cluster IP {destination}: {port} has no usable "
                    "endpoints",
                    ("spec.clusterIP", "endpoints"),
                ),
            ),
        ),
        ("KUBE-SERVICES", "DROP"): (
            (
                "",
                Kind(
                    "drops packets to cluster IP {destination}: {port} has no endpoint on this "
                    "node",
                    (f"{_INTERNAL}=Local", "spec.clusterIP", "endpoints"),
                ),
            ),
        ),
        ("KUBE-EXTERNAL-SERVICES", "REJECT"): (
            (
                "--dst-type LOCAL",
                Kind(
                    "rejects connections to node port {dport}: {port} has no usable endpoints",
                    ("ports.nodePort", "endpoints"),
                ),
            ),
            (
                "",
                Kind(
                    "rejects connections to {destination}: {port} has no usable endpoints",
                    (*_ENTRY, "endpoints"),
                ),
            ),
        ),
        ("KUBE-EXTERNAL-SERVICES", "DROP"): (
            (
                "--dst-type LOCAL",
                Kind(
                    "drops packets to node port {dport}: {port} has no endpoint on this node",
                    (f"{_EXTERNAL}=Local", "ports.nodePort", "endpoints"),
                ),
            ),
            (
                "",
                Kind(
                    "drops packets to {destination}: {port} has no endpoint on this node",
                    (f"{_EXTERNAL}=Local", *_ENTRY, "endpoints"),
                ),
            ),
        ),
        ("KUBE-PROXY-FIREWALL", "DROP"): (
            (
                "",
                Kind(
                    "drops packets to the load-balancer IP {destination} of {port} from addresses "
                    "outside its source ranges",
                    ("spec.loadBalancerSourceRanges", *_ENTRY),
                ),
            ),
        ),
        ("KUBE-NODEPORTS", "ACCEPT"): (
            (
                "",
                Kind(
                    "accepts health checks of load balancers for {port} on port {dport}",
                    ("spec.healthCheckNodePort", f"{_EXTERNAL}=Local"),
                ),
            ),
        ),
        ("KUBE-FORWARD", "DROP"): (
            (
                "INVALID",
                Kind(
                    "drops forwarded packets that conntrack finds invalid: untranslated, they "
                    "would reset connections",
                    ("conntrack_tcp_be_liberal",),
                ),
            ),
        ),
        ("KUBE-FORWARD", "ACCEPT"): (
            (
                "--mark",
                Kind(
                    "accepts forwarded packets that are marked for masquerading, whatever the "
                    "policy of FORWARD",
                    (_MARK,),
                ),
            ),
            (
                "RELATED,ESTABLISHED",
                Kind("accepts forwarded packets of connections that are established or related"),
            ),
        ),
        ("KUBE-POSTROUTING", "RETURN"): (
            (
                "! --mark",
                Kind("leaves packets alone that are not marked for masquerading", (_MARK,)),
            ),
        ),
        ("KUBE-POSTROUTING", "MARK"): (
            ("", Kind("removes the mark for masquerading, so that it is done once", (_MARK,))),
        ),
        ("KUBE-POSTROUTING", "MASQUERADE"): (
            ("", Kind("masquerades marked packets: their source becomes an address of this node")),
        ),
        ("KUBE-MARK-MASQ", "MARK"): (("", Kind("marks packets for masquerading", (_MARK,))),),
        ("KUBE-SERVICES", "KUBE-SVC"): (
            (
                "",
                Kind(
                    "sends connections to the cluster IP {destination} of {port} to its endpoints",
                    ("spec.clusterIP", "ports.port"),
                ),
            ),
        ),
        ("KUBE-SERVICES", "KUBE-SVL"): (
            (
                "",
                Kind(
                    "sends connections to the cluster IP {destination} of {port} to its endpoints "
                    "on this node",
                    (f"{_INTERNAL}=Local", "spec.clusterIP", "ports.port"),
                ),
            ),
        ),
        ("KUBE-SERVICES", "KUBE-EXT"): (
            (
                "",
                Kind(
                    "takes connections to the external address {destination} of {port}",
                    (*_ENTRY, "ports.port"),
                ),
            ),
        ),
        ("KUBE-SERVICES", "KUBE-FW"): (
            (
                "",
                Kind(
                    "takes connections to the load-balancer IP {destination} of {port}, whose "
                    "sources are limited",
                    ("spec.loadBalancerSourceRanges", *_ENTRY),
                ),
            ),
        ),
        ("KUBE-SERVICES", "KUBE-NODEPORTS"): (
            (
                "! -d",
                Kind(
                    "takes connections to this node's own addresses, but localhost's: node ports",
                    (_LOCALHOST, "nodeport_addresses"),
                ),
            ),
            (
                "--dst-type LOCAL",
                Kind(
                    "takes connections to any of this node's own addresses: node ports",
                    ("nodeport_addresses",),
                ),
            ),
            (
                "",
                Kind(
                    "takes connections to {destination}, where node ports are served",
                    ("nodeport_addresses",),
                ),
            ),
        ),
        ("KUBE-NODEPORTS", "KUBE-EXT"): (
            (
                "localhost_nps_accepted_pkts",
                Kind(
                    "takes and counts connections to node port {dport} of {port} on localhost",
                    ("ports.nodePort", _LOCALHOST),
                ),
            ),
            (
                "",
                Kind(
                    "takes connections to node port {dport} of {port}",
                    ("ports.nodePort", "spec.type"),
                ),
            ),
        ),
        ("KUBE-EXT", "KUBE-MARK-MASQ"): (
            (
                "--src-type LOCAL",
                Kind(
                    "masquerades this node's own connections to external addresses of {port}",
                    (f"{_EXTERNAL}=Local",),
                ),
            ),
            (
                "",
                Kind(
                    "masquerades connections to external addresses of {port}: an endpoint on "
                    "another node must answer through this one",
                    (f"{_EXTERNAL}=Cluster",),
                ),
            ),
        ),
        ("KUBE-EXT", "KUBE-SVC"): (
            (
                "--src-type LOCAL",
                Kind(
                    "sends this node's own connections to external addresses of {port} to "
                    "endpoints on any node",
                    (f"{_EXTERNAL}=Local",),
                ),
            ),
            (
                " -s ",
                Kind(
                    "sends connections from {source} (Pods) to external addresses of {port} to "
                    "endpoints on any node",
                    (f"{_EXTERNAL}=Local", _PODS),
                ),
            ),
            (
                " -i ",
                Kind(
                    "sends connections by interface {interface} (Pods) to external addresses of "
                    "{port} to endpoints on any node",
                    (f"{_EXTERNAL}=Local", _PODS),
                ),
            ),
            (
                "",
                Kind(
                    "sends connections to external addresses of {port} to endpoints on any node",
                    (f"{_EXTERNAL}=Cluster",),
                ),
            ),
        ),
        ("KUBE-EXT", "KUBE-SVL"): (
            (
                "",
                Kind(
                    "sends connections to external addresses of {port} to endpoints on this node",
                    (f"{_EXTERNAL}=Local",),
                ),
            ),
        ),
        ("KUBE-FW", "KUBE-EXT"): (
            (
                "",
                Kind(
                    "lets connections from {source} to the load-balancer IP of {port} in",
                    ("spec.loadBalancerSourceRanges",),
                ),
            ),
        ),
        ("KUBE-FW", ""): (
            (
                "",
                Kind(
                    "does nothing, its comment is a note: other sources of {port} are dropped by "
                    "KUBE-PROXY-FIREWALL",
                    ("spec.loadBalancerSourceRanges",),
                ),
            ),
        ),
        ("KUBE-SEP", "KUBE-MARK-MASQ"): (
            (
                "",
                Kind(
                    "masquerades connections of endpoint {endpoint} of {port} to itself (hairpin)",
                    ("endpoint",),
                ),
            ),
        ),
        ("KUBE-SEP", "DNAT"): (
            (
                "--set",
                Kind(
                    "translates the destination to endpoint {endpoint} of {port}, and remembers "
                    "the client",
                    ("endpoint", f"{_AFFINITY}=ClientIP"),
                ),
            ),
            (
                "",
                Kind(
                    "translates the destination to endpoint {endpoint} of {port}",
                    ("endpoint",),
                ),
            ),
        ),
        ("KUBE-MARK-DROP", "MARK"): (("", Kind("kubelet's: marks packets to be dropped")),),
    }
)
_DISPATCH = (
    (
        "--rcheck",
        Kind(
            "sends clients of the last {seconds} s back to endpoint {endpoint} of {port}",
            (
                f"{_AFFINITY}=ClientIP",
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                "endpoint",
            ),
        ),
    ),
    (
        "--probability",
        Kind(
            "sends {probability} of the connections that get here to endpoint {endpoint} of {port}",
            ("endpoint",),
        ),
    ),
    (
        "",
        Kind("sends all connections that get here to endpoint {endpoint} of {port}", ("endpoint",)),
    ),
)
_MASQUERADE = (
    (
        "! -s",
        Kind(
            "masquerades connections to the cluster IP of {port} from any address but {source} "
            "(Pods')",
            (_PODS,),
        ),
    ),
    (
        "! -i",
        Kind(
            "masquerades connections to the cluster IP of {port} by any interface but {interface} "
            "(Pods')",
            (_PODS,),
        ),
    ),
    ("", Kind("masquerades all connections to the cluster IP of {port}", ("masquerade_all",))),
)
_DISPATCHING = {
    (chain, target): kinds
    for chain in ("KUBE-SVC", "KUBE-SVL")
    for target, kinds in (("KUBE-SEP", _DISPATCH), ("KUBE-MARK-MASQ", _MASQUERADE))
}

_ALL = {**_KINDS, **_DISPATCHING}
_OWNERS = {"KUBE-FIREWALL": "kube-proxy's or kubelet"}
_JUMPS: Mapping[tuple[str, str, str], Kind] = MappingProxyType(
    {
        (jump.chain, jump.target, jump.match): Kind(
            f"{_OWNERS.get(jump.target, 'kube-proxy')}'s jump from {jump.chain} to {jump.target}, "
            f"{CHAINS[jump.target].does}",
            CHAINS[jump.target].causes,
        )
        for jump in JUMPS
    }
)


def kind_of(rule: RuleLine) -> Kind | None:
    """Return the kind of a rule; None for one that kube-proxy does not write."""
    key = chain_group(rule.chain), chain_group(rule.target)
    for words, kind in _ALL.get(key, ()):
        if words in rule.words or words in rule.action:
            return kind
    return _JUMPS.get((rule.chain, rule.target, rule.asked))
