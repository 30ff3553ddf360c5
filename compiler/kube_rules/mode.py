"""Which mode of kube-proxy a node's rules show, where it is not the iptables mode."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from compiler.netfilter.ruleset import Ruleset

Mode = Literal["nftables", "ipvs"]

# What shows it, for a message.
MODES: Mapping[Mode, str] = MappingProxyType(
    {
        "nftables": "the nft table kube-proxy",
        "ipvs": "the chain KUBE-LOAD-BALANCER, or rules that ask KUBE- ipsets",
    }
)
# Tables of the nftables mode (pkg/proxy/nftables/proxier.go, kubeProxyTable).
NFT_TABLES = frozenset(("ip kube-proxy", "ip6 kube-proxy"))
# Sources: pkg/proxy/ipvs/proxier.go (kubeLoadBalancerChain), pkg/proxy/ipvs/ipset.go.
IPVS_CHAIN = "KUBE-LOAD-BALANCER"


def other_mode(ruleset: Ruleset) -> Mode | None:
    """Name the mode that leaves such rules; None where nothing shows another one.

    The nftables mode writes no iptables rules: only `nft list ruleset` shows its tables. The ipvs
    mode asks ipsets where the iptables mode has a rule per service port.
    """
    if not NFT_TABLES.isdisjoint(ruleset.nft_tables):
        return "nftables"
    if ruleset.chain("nat", IPVS_CHAIN) is not None:
        return "ipvs"
    for rule in ruleset.rules("nat", "KUBE-SERVICES")[:20]:
        if any(match.name == "set" and "KUBE-" in str(match) for match in rule.matches):
            return "ipvs"
    return None
