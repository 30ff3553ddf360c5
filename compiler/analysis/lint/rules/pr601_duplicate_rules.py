"""PR601."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.dump import NodeDump
from compiler.analysis.lint.rule import DumpLine, LintFinding, LintRule
from compiler.netfilter.chain import Chain

# A source range that was written twice, say, is no fault.
_COPIES = 10


class DuplicateRules(LintRule):
    """A chain has the same rule many times over.

    ## What goes wrong

    The node gets slower from day to day, ksoftirqd and iptables take a whole CPU, kube-proxy's
    syncs take minutes, and `iptables-save` prints thousands of lines that are the same, such as
    "kubernetes firewall for dropping marked packets" in KUBE-FIREWALL.

    ## Why

    Who keeps a rule in a chain asks `iptables -C` whether it is there, and adds it where not. If
    the program that asks can't see what another one wrote (iptables 1.8.0 to 1.8.2 in nft mode,
    different versions of iptables on the node and in containers, or legacy beside nft), each look
    adds a copy. Every packet is matched against all of them.

    A rule is reported from 10 copies on. Rules that count or remember (limit, statistic, recent)
    may have copies on purpose, and are not looked at.

    ## Bad example

    ```rules
    *filter
    :INPUT ACCEPT [0:0]
    :KUBE-FIREWALL - [0:0]
    -A INPUT -j KUBE-FIREWALL
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    COMMIT
    ```

    ## Good example

    ```rules
    *filter
    :INPUT ACCEPT [0:0]
    :KUBE-FIREWALL - [0:0]
    -A INPUT -j KUBE-FIREWALL
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    COMMIT
    ```

    ## References

    - kubernetes/kubernetes#82361
    - kubernetes/kubernetes#76431
    - kubernetes/kubernetes#79304
    - k3s-io/k3s#3117
    """

    id = "PR601"
    name = "duplicate-rules"
    severity = "warning"
    needs = ("dumps",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report each rule with its copies, at the second one."""
        for dump in context.dumps:
            for table, chains in dump.ruleset.tables.items():
                for chain in chains.values():
                    if len(chain) >= _COPIES:
                        yield from self._in_chain(dump, table, chain)

    def _in_chain(self, dump: NodeDump, table: str, chain: Chain) -> Iterator[LintFinding]:
        for text, count in Counter(chain.texts()).items():
            if count < _COPIES:
                continue
            first, second = [rule for rule in chain.rules if rule.text == text][:2]
            if not first.remembering:
                yield self.finding(
                    f"{table} {chain.name} has {count:,} copies of a rule; the first is in line "
                    f"{first.line}",
                    "find out who adds it (compare the versions and modes of iptables on the node "
                    "and in containers), then remove the copies or reboot the node",
                    at=DumpLine(dump, second.line),
                )
