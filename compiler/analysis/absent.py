"""A dump without kube-proxy's chains: one finding that says what that means."""

from __future__ import annotations

from compiler.analysis.findings import Finding
from compiler.kube_rules.chains import is_kube_proxy_chain, is_service_chain
from compiler.kube_rules.mode import MODES, other_mode
from compiler.netfilter.ruleset import Ruleset

# kubelet fills or filled them, too (KEP-3178); kube-proxy in ipvs mode has them all but the first.
_SHARED = frozenset(("KUBE-FIREWALL", "KUBE-MARK-MASQ", "KUBE-POSTROUTING"))
_OF_IPVS_TOO = _SHARED | {"KUBE-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS"}


def absent_findings(expected: Ruleset, found: Ruleset) -> tuple[Finding, ...]:
    """Report that kube-proxy in iptables mode has not written here; empty where it has.

    That is so where a dump has none of the chains that only it makes. The finding then stands for
    all chains and jumps that are missing, and names the mode that the dump shows instead.
    """
    if _holds_more_than(_OF_IPVS_TOO, found):
        return ()
    mode = other_mode(found)
    if mode != "ipvs" and _holds_more_than(_SHARED, found):
        return ()
    count = sum(
        is_kube_proxy_chain(table, name)
        for table, chains in expected.tables.items()
        for name in chains
    )
    services = sum(map(is_service_chain, expected.table("nat")))
    if mode:
        message = f"kube-proxy runs in {mode} mode here ({MODES[mode]})"
    elif found.whole:
        message = "no kube-proxy in iptables mode has written here"
    else:
        tables = " and ".join(found.tables) or "none"
        message = f"no kube-proxy in iptables mode has written to the tables shown ({tables})"
    message += f": all {count} chains ({services} of services) and the jumps to them are missing"
    return (Finding("no-kube-proxy", message),)


def _holds_more_than(shared: frozenset[str], found: Ruleset) -> bool:
    """Say whether a dump has a chain of kube-proxy's besides those that others have, too."""
    return any(
        is_kube_proxy_chain(table, name) and name not in shared
        for table, chains in found.tables.items()
        for name in chains
    )
