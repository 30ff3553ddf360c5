"""PR502."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.dump import NodeDump
from compiler.analysis.lint.rule import DumpLine, LintFinding, LintRule, Setting
from compiler.kube_rules.chains import SHARED_CHAINS, is_kube_proxy_chain
from compiler.netfilter.matches.mark import Mark
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.target import Reject, Verdict
from compiler.netfilter.targets.mark import SetMark

# DaemonSet -> the bits of packet marks that it uses where nothing else is configured. Sources:
# Calico `felix/config/config_params.go` (IptablesMarkMask); Cilium `bpf/lib/common.h` (MARK_MAGIC,
# the identity in the upper half); amazon-vpc-cni-k8s README (AWS_VPC_K8S_CNI_CONNMARK).
_CNI_MASKS: Mapping[str, int] = MappingProxyType(
    {"calico-node": 0xFFFF0000, "cilium": 0xFFFF0F00, "aws-node": 0x80}
)
# Packets pass these after kube-proxy's nat rules have marked them, and before POSTROUTING.
_AFTER_MARKING = frozenset(
    [("mangle", hook) for hook in ("INPUT", "FORWARD", "POSTROUTING")]
    + [(table, hook) for table in ("filter", "security") for hook in BUILTIN_CHAINS[table]]
)


class MasqueradeBitTaken(LintRule):
    """Another component uses the bit of the packet mark by which kube-proxy masquerades.

    ## What goes wrong

    Connections lose the client's source IP at random, or packets to Services vanish, after
    iptables.masqueradeBit was changed or a CNI plugin or firewall that marks packets was installed.

    ## Why

    kube-proxy marks the packets that it wants masqueraded with one bit (0x4000 unless
    `masqueradeBit` says otherwise), and masquerades in POSTROUTING whatever has it. Whoever sets
    the same bit has its packets masqueraded, whoever clears it on the way takes masquerading from
    kube-proxy's, and a rule that drops by it drops them: kubelet's before 1.28 did so with 0x8000,
    and the rules stay until the node is rebooted.

    In dumps of nodes the rules of others are looked at that packets come to. Without a dump,
    `masqueradeBit` is compared with what a CNI plugin among the DaemonSets uses by default. That
    kubelet's `iptablesMasqueradeBit` is the same is no problem: it has been without effect since
    1.28, and was to be the same before.

    ## Bad example

    ```rules
    *mangle
    :PREROUTING ACCEPT [0:0]
    -A PREROUTING -i wg0 -j MARK --set-xmark 0x4000/0x4000
    COMMIT
    *nat
    :PREROUTING ACCEPT [0:0]
    :POSTROUTING ACCEPT [0:0]
    :KUBE-MARK-MASQ - [0:0]
    :KUBE-POSTROUTING - [0:0]
    :KUBE-SERVICES - [0:0]
    -A PREROUTING -j KUBE-SERVICES
    -A POSTROUTING -j KUBE-POSTROUTING
    -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
    -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
    -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
    -A KUBE-POSTROUTING -j MASQUERADE --random-fully
    COMMIT
    ```

    ## Good example

    ```rules
    *mangle
    :PREROUTING ACCEPT [0:0]
    -A PREROUTING -i wg0 -j MARK --set-xmark 0x100/0x100
    COMMIT
    *nat
    :PREROUTING ACCEPT [0:0]
    :POSTROUTING ACCEPT [0:0]
    :KUBE-MARK-MASQ - [0:0]
    :KUBE-POSTROUTING - [0:0]
    :KUBE-SERVICES - [0:0]
    -A PREROUTING -j KUBE-SERVICES
    -A POSTROUTING -j KUBE-POSTROUTING
    -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
    -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
    -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
    -A KUBE-POSTROUTING -j MASQUERADE --random-fully
    COMMIT
    ```

    ## References

    - kubernetes `pkg/proxy/iptables/proxier.go` (`kubeMarkMasqChain`)
    - KEP-3178, kubernetes/enhancements#3178
    - https://github.com/fwmark/registry
    """

    id = "PR502"
    name = "masquerade-bit-taken"
    severity = "warning"
    needs = ("workloads", "dumps")

    def check(self, context: Context) -> Iterator[LintFinding]:
        """Report the setting that a CNI plugin's marks overlap, and rules of others in dumps."""
        bit = 1 << context.config.masquerade_bit
        for one in context.workloads:
            mask = _CNI_MASKS.get(one.name, 0) if one.kind == "DaemonSet" else 0
            if mask and not context.has_config:
                context.not_checked(
                    self.id, f"marks of {one.subject}: kube-proxy's configuration is not given"
                )
            elif mask & bit:
                yield self.finding(
                    f"kube-proxy masquerades packets with the mark {bit:#x}, and {one.subject} "
                    f"marks packets with {mask:#x} unless it is configured otherwise",
                    "use the default of 14, or a bit that nothing else uses",
                    at=Setting("iptables_masquerade_bit"),
                )
        for dump in context.dumps:
            mark = dump.rules.masquerade_mark()
            if mark is not None:
                for part in (dump, *dump.beside):
                    yield from self._in_dump(part, mark)

    def _in_dump(self, dump: NodeDump, mark: int) -> Iterator[LintFinding]:
        places = _places(dump.ruleset)
        for (table, chain), hooks in places.items():
            if is_kube_proxy_chain(table, chain) and chain not in SHARED_CHAINS.get(table, ()):
                continue
            late = {(table, hook) for hook in hooks} & _AFTER_MARKING
            for rule in dump.ruleset.rules(table, chain):
                if words := _effect(rule, mark, late):
                    yield self.finding(
                        f"{table} {chain} {words}, the bit by which kube-proxy masquerades",
                        "let one of the two use another bit",
                        at=DumpLine(dump, rule.line),
                    )


def _places(ruleset: Ruleset) -> Mapping[tuple[str, str], set[str]]:
    """Return the chains that packets come to, each with the hooks that they come from."""
    found: dict[tuple[str, str], set[str]] = {}
    for table, hooks in BUILTIN_CHAINS.items():
        for hook in hooks:
            waiting = [hook]
            while waiting:
                chain = waiting.pop()
                known = found.setdefault((table, chain), set())
                if hook not in known:
                    known.add(hook)
                    there = ruleset.chain(table, chain)
                    waiting += filter(None, there.targets() if there else ())
    return found


def _effect(rule: Rule, mark: int, late: Collection[tuple[str, str]]) -> str:
    """Say what a rule does with kube-proxy's mark; empty where nothing of consequence."""
    target = rule.target
    if isinstance(target, SetMark):
        if target.value & mark:
            return f"sets the mark {target.value & mark:#x}"
        if target.mask & mark and late:
            return f"clears the mark {mark:#x}"
    refuses = isinstance(target, Reject) or (isinstance(target, Verdict) and target.name == "DROP")
    asked = [one for one in rule.matches if isinstance(one, Mark) and not one.negated]
    if refuses and any(one.mask & one.value & mark for one in asked):
        return f"drops packets with the mark {mark:#x}"
    return ""
