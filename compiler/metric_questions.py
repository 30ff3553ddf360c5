"""Questions about kube-proxy's own metrics; `compiler.api` offers them to callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.proxy.plan import Plan

if TYPE_CHECKING:
    from compiler.compilation import Compilation
    from compiler.proxy.iptables_counts import RuleCounts


def rule_counts(rules: Compilation | Plan) -> RuleCounts:
    """Return the numbers that kube-proxy reports of these rules after a sync, as its metrics.

    `filter` and `nat` are `kubeproxy_sync_proxy_rules_iptables_total`; counted as kube-proxy's
    `syncProxyRules` does: rules, without chain lines and `COMMIT`, and without the jumps from the
    built-in chains, which it maintains separately. A compile with `nfacct=True` has the rules of
    nfacct counters; a plan has not.
    """
    from compiler.proxy.iptables_counts import count_rules

    if isinstance(rules, Plan):
        return count_rules(rules)
    return count_rules(rules.plan, nfacct=rules.iptables.nfacct)
