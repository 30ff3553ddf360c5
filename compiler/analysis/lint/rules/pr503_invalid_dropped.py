"""PR503."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.dump import NodeDump
from compiler.analysis.lint.rule import DumpLine, LintFinding, LintRule
from compiler.netfilter.rule import Rule

_INVALID = "-m conntrack --ctstate INVALID -j DROP"
# A packet after the end of its connection is INVALID on every node: some are no symptom.
_FEWEST = 100
_SHARE = 1000


class InvalidDropped(LintRule):
    """A node drops many packets that connection tracking takes for INVALID.

    ## What goes wrong

    Long transfers stall or end with "connection reset by peer", and connections whose answers take
    another way than over this node (asymmetric routing, a second network interface, IPv6 without
    NAT) hang after the handshake, since the rule `-A KUBE-FORWARD -m conntrack --ctstate INVALID
    -j DROP` drops their packets.

    ## Why

    kube-proxy drops what it can't translate back: an answer that connection tracking does not
    recognize would reach the client with the Pod's address. The rule does not ask whether a Service
    has to do with the packet, so that it also drops packets of connections of which the node sees
    one direction, or whose TCP window was outgrown. With `conntrack.tcpBeLiberal: true`
    kube-proxy leaves the rule out, and makes the kernel accept packets outside of the window.

    Looked at are the counters of dumps made with `iptables-save -c`. They count since kube-proxy's
    last sync, which writes KUBE-FORWARD anew. Reported are at least 100 packets, and one in a
    thousand of those that the chain decides on.

    ## Bad example

    ```rules
    *filter
    :FORWARD ACCEPT [0:0]
    :KUBE-FORWARD - [0:0]
    [90412:6321774] -A FORWARD -j KUBE-FORWARD
    [812:43811] -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
    [311:18660] -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
    [88710:6254310] -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    COMMIT
    ```

    ## Good example

    ```rules
    *filter
    :FORWARD ACCEPT [0:0]
    :KUBE-FORWARD - [0:0]
    [90412:6321774] -A FORWARD -j KUBE-FORWARD
    [3:156] -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
    [311:18660] -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
    [89519:6297965] -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    COMMIT
    ```

    ## References

    - kubernetes/kubernetes#94861
    - kubernetes/kubernetes#117924
    - kubernetes/kubernetes#74839
    - kubernetes/kubernetes#120354
    """

    id = "PR503"
    name = "invalid-dropped"
    severity = "warning"
    needs = ("dumps",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the rule of a dump whose counters show it."""
        for dump in context.dumps:
            yield from self._in_dump(dump)

    def _in_dump(self, dump: NodeDump) -> Iterator[LintFinding]:
        rules = dump.ruleset.rules("filter", "KUBE-FORWARD")
        total = sum(map(_packets, rules))
        for rule in rules:
            packets = _packets(rule)
            if rule.effect == _INVALID and packets >= max(_FEWEST, total / _SHARE):
                yield self.finding(
                    f"{packets:,} packets were dropped as INVALID since kube-proxy's last sync, "
                    f"of {total:,} that KUBE-FORWARD decided on",
                    "look for connections of which this node sees one direction only, or set "
                    "conntrack.tcpBeLiberal",
                    at=DumpLine(dump, rule.line),
                )


def _packets(rule: Rule) -> int:
    return rule.counters[0] if rule.counters else 0
