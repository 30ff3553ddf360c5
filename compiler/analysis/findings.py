"""What `verify` finds, in one form for every output."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning", "information"]

# Every kind of finding with its severity and what it means.
KINDS = MappingProxyType(
    {
        "no-kube-proxy": ("error", "a dump without the chains of kube-proxy's iptables mode"),
        "missing-table": ("error", "a table that is not in the dump"),
        "missing-chain": ("error", "a chain that is missing"),
        "empty-chain": ("error", "a chain without any of its rules"),
        "missing-rule": ("error", "a rule that is missing"),
        "extra-rule": ("error", "a rule that the manifests do not give"),
        "duplicate-rule": ("error", "a rule that appears more than once"),
        "changed-rule": ("error", "a rule that differs in a field"),
        "wrong-order": ("error", "a rule in the wrong position, where order matters"),
        "missing-jump": ("error", "a jump from a built-in chain that is missing"),
        "changed-jump": ("error", "a jump from a built-in chain that matches other traffic"),
        "dangling-jump": ("error", "a jump to a chain that is missing"),
        "foreign-rule": ("error", "a foreign rule above kube-proxy's that takes its traffic"),
        "both-backends": ("error", "kube-proxy's rules in both legacy and nft tables"),
        "unknown-service": ("error", "a service port that the manifests do not have"),
        "missing-service": ("error", "a service port that the node does not have"),
        "unknown-endpoint": ("error", "an endpoint that the manifests do not have"),
        "missing-endpoint": ("error", "an endpoint that the node does not have"),
        "extra-chain": ("error", "a chain that the manifests do not give, in use"),
        "old-dump": ("information", "rules that the dump shows incompletely"),
        "no-random-fully": ("information", "--random-fully is missing where iptables lacks it"),
        "stale-chain": ("information", "a leftover chain that nothing jumps to"),
        "foreign-may-take": ("information", "a foreign rule that may take kube-proxy's traffic"),
        "other-backend": ("information", "the other backend has tables too"),
        "comments": ("information", "rules that differ only in comments"),
        "nfacct": ("information", "rules that differ only in nfacct counters"),
        "not-checked": ("information", "what the dump does not show"),
        "unknown-words": ("information", "words compared as text"),
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the manifests want it, or is worth knowing.

    `kind` is one of `KINDS`. `service` names the service port, empty for what belongs to the whole
    node. `expected` and `found` are rules as `iptables -S` prints them; `line` is where the dump
    has it, 0 for what it does not have.
    """

    kind: str
    message: str
    table: str = ""
    chain: str = ""
    service: str = ""
    expected: str = ""
    found: str = ""
    line: int = 0

    @property
    def severity(self) -> Severity:
        """How bad it is: errors make `verify` exit with 1, information does not."""
        severity: Severity = KINDS[self.kind][0]  # type: ignore[assignment]
        return severity


def rules_in_words(count: int) -> str:
    """Write a number of rules: `1 rule`, `2 rules`."""
    return "1 rule" if count == 1 else f"{count} rules"
