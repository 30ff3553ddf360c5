"""PR603."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.dump import NodeDump
from compiler.analysis.lint.rule import DumpLine, LintFinding, LintRule
from compiler.kube_rules.chains import is_service_chain
from compiler.kube_rules.mode import IPVS_CHAIN, NFT_TABLES, other_mode
from compiler.netfilter.ruleset import Ruleset

_HINT = "reboot the node, or stop kube-proxy there, run kube-proxy --cleanup and start it again"


class ModeLeftovers(LintRule):
    """A node has rules of two modes of kube-proxy.

    ## What goes wrong

    After kube-proxy's mode was changed, Services are still refused with "no endpoints", or
    connections go to Pods that are long gone: stale rules in KUBE-SERVICES were left behind, and
    kube-proxy, which now runs in another mode, never updates them.

    ## Why

    A mode cleans up after the others when kube-proxy starts, but not in all versions, not where it
    runs with another iptables, and not what it does not know of. Old rules of the iptables mode
    translate packets before IPVS or nftables rules see them; their REJECT rules act in any mode.
    From the ipvs mode the interface kube-ipvs0 may be left over, too, which no dump shows: it makes
    every cluster IP an address of the node.

    ## Bad example

    ```rules
    *nat
    :PREROUTING ACCEPT [0:0]
    :KUBE-LOAD-BALANCER - [0:0]
    :KUBE-SERVICES - [0:0]
    :KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
    :KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
    -A PREROUTING -j KUBE-SERVICES
    -A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
    -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
    -A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA
    -A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT --to-destination 10.244.1.2:8080
    COMMIT
    ```

    ## Good example

    ```rules
    *nat
    :PREROUTING ACCEPT [0:0]
    :KUBE-SERVICES - [0:0]
    :KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
    :KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
    -A PREROUTING -j KUBE-SERVICES
    -A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA
    -A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA
    -A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT --to-destination 10.244.1.2:8080
    COMMIT
    ```

    ## References

    - kubernetes/kubernetes#102314
    - kubernetes/kubernetes#109286
    - kubernetes/kubernetes#75377
    - https://kubernetes.io/docs/reference/networking/virtual-ips/
    """

    id = "PR603"
    name = "mode-leftovers"
    severity = "warning"
    needs = ("dumps",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report a dump that has the iptables mode's chains and those of another mode."""
        for dump in context.dumps:
            services = [
                chain
                for name, chain in dump.ruleset.table("nat").items()
                if is_service_chain(name) and len(chain)
            ]
            mode = other_mode(dump.ruleset)
            if not services or mode is None:
                continue
            if mode == "nftables":
                table = next(one for one in dump.ruleset.nft_tables if one in NFT_TABLES)
                message = (
                    f"the nft table {table} is beside {len(services)} chains of the iptables mode"
                )
                line = services[0].line or services[0].rules[0].line
            elif _in_use(dump.ruleset):
                message = "chains of the ipvs mode are beside those of the iptables mode, which act"
                line = _ipvs_line(dump)
            else:
                message = (
                    f"{len(services)} chains of the iptables mode are left over beside the ipvs "
                    f"mode's"
                )
                line = services[0].line or services[0].rules[0].line
            yield self.finding(message, _HINT, at=DumpLine(dump, line))


def _in_use(ruleset: Ruleset) -> bool:
    """Whether packets still come to service ports of the iptables mode."""
    top = [
        chain
        for name in ("KUBE-SERVICES", "KUBE-NODEPORTS")
        if (chain := ruleset.chain("nat", name))
    ]
    return any(is_service_chain(target) for chain in top for target in chain.targets())


def _ipvs_line(dump: NodeDump) -> int:
    chain = dump.ruleset.chain("nat", IPVS_CHAIN)
    if chain is not None:
        return chain.line
    rules = dump.ruleset.rules("nat", "KUBE-SERVICES")
    return next(rule.line for rule in rules if any(one.name == "set" for one in rule.matches))
