"""PR604."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.refusals import Refusals
from compiler.analysis.lint.rule import DumpLine, LintFinding, LintRule
from compiler.kube_rules.chains import holds_kube_proxy_rules


class ForeignRefusal(LintRule):
    """A rule that is not kube-proxy's refuses connections that kube-proxy has translated.

    ## What goes wrong

    Pods get "no route to host" (icmp-host-prohibited), "connection refused" or time-outs when they
    call a Service, often 10.96.0.1:443 of the API server or the cluster's DNS, although the rules
    of kube-proxy are all there and the Pods behind the Service work.

    ## Why

    kube-proxy translates the destination in PREROUTING or OUTPUT. After that the packet passes the
    node's firewall with the address and port of the endpoint: FORWARD where that is a Pod or
    another node, INPUT where it is the node itself, as with the API server on a control-plane node.
    kube-proxy accepts only what it masquerades and what belongs to connections that are there
    already. Whether a Pod's first packet passes is for all other rules to say: a REJECT at the end
    of INPUT or FORWARD that a distribution ships, or a policy of DROP that Docker sets, refuses it
    unless an earlier rule of the CNI plugin or the administrator accepts it.

    For each Service's cluster IP the evaluator follows connections of the node's Pods and of the
    node itself through all tables of the dump. A rule is reported where it refuses them whatever
    the rules can't show (interfaces, ipsets) may be; where it depends on that, `lint` says so as
    `not checked`. Give the node's addresses, by its Node object and `--node`, or `--node-address`:
    they decide between INPUT and FORWARD. Of a dump with thousands of service ports the first are
    followed (the API server and kube-system before all others), and the rest is counted. Node ports and external addresses are not looked at,
    since clients from outside may be refused on purpose.

    ## Bad example

    ```rules
    *nat
    :PREROUTING ACCEPT [0:0]
    :KUBE-SERVICES - [0:0]
    :KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
    :KUBE-SEP-PXBLK4H3722RIDYQ - [0:0]
    -A PREROUTING -j KUBE-SERVICES
    -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
    -A KUBE-SVC-NPX46M4PTMTKRN6Y ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-MARK-MASQ
    -A KUBE-SVC-NPX46M4PTMTKRN6Y -m comment --comment "default/kubernetes:https -> 192.168.50.11:6443" -j KUBE-SEP-PXBLK4H3722RIDYQ
    -A KUBE-SEP-PXBLK4H3722RIDYQ -p tcp -m comment --comment "default/kubernetes:https" -m tcp -j DNAT --to-destination 192.168.50.11:6443
    COMMIT
    *filter
    :INPUT ACCEPT [0:0]
    :FORWARD ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
    -A INPUT -i lo -j ACCEPT
    -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
    -A INPUT -j REJECT --reject-with icmp-host-prohibited
    COMMIT
    ```

    ```arguments
    --node-address 192.168.50.11
    ```

    ## Good example

    ```rules
    *nat
    :PREROUTING ACCEPT [0:0]
    :KUBE-SERVICES - [0:0]
    :KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
    :KUBE-SEP-PXBLK4H3722RIDYQ - [0:0]
    -A PREROUTING -j KUBE-SERVICES
    -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
    -A KUBE-SVC-NPX46M4PTMTKRN6Y ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-MARK-MASQ
    -A KUBE-SVC-NPX46M4PTMTKRN6Y -m comment --comment "default/kubernetes:https -> 192.168.50.11:6443" -j KUBE-SEP-PXBLK4H3722RIDYQ
    -A KUBE-SEP-PXBLK4H3722RIDYQ -p tcp -m comment --comment "default/kubernetes:https" -m tcp -j DNAT --to-destination 192.168.50.11:6443
    COMMIT
    *filter
    :INPUT ACCEPT [0:0]
    :FORWARD ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
    -A INPUT -i lo -j ACCEPT
    -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
    -A INPUT -s 10.244.0.0/16 -p tcp -m tcp --dport 6443 -j ACCEPT
    -A INPUT -j REJECT --reject-with icmp-host-prohibited
    COMMIT
    ```

    ```arguments
    --node-address 192.168.50.11
    ```

    ## References

    - kubernetes/kubernetes#39823
    - kubernetes/kubernetes#40182
    - kubernetes `pkg/proxy/iptables/proxier.go` (`kubeForwardChain`)
    """

    id = "PR604"
    name = "foreign-refusal"
    severity = "error"
    needs = ("dumps",)

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report rules and policies of dumps, as the evaluator shows."""
        for dump in context.dumps:
            if not holds_kube_proxy_rules(dump.ruleset):
                continue
            refusals = Refusals(context, dump)
            for one in refusals.found():
                yield self.finding(
                    f"{one.words} {one.verb} {one.example}",
                    "accept this traffic in an earlier rule",
                    at=DumpLine(dump, one.line),
                )
            for reason in refusals.open_questions:
                context.not_checked(self.id, f"{dump.name}: {reason}")
