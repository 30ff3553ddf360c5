"""What a trace says in words: what becomes of a packet, and which rules were the reason."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.trace import Way, accepted_above, is_foreign, is_to_itself, whose
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.outcome import Step

_WHERE = {
    "INPUT": "on its way in",
    "FORWARD": "on its way through the node",
    "OUTPUT": "on its way out",
    "POSTROUTING": "on its way out",
    "PREROUTING": "as it arrives",
}


def packet_in_words(packet: Packet) -> str:
    """Name a packet (`10.42.0.64 → 10.43.0.1:443/tcp`)."""
    host = f"[{packet.destination}]" if ":" in packet.destination else packet.destination
    port = f":{packet.destination_port}" if packet.icmp_type is None else ""
    state = "" if packet.state == "NEW" else f", {packet.state}"
    return f"{packet.source} → {host}{port}/{packet.protocol}{state}"


def headline(way: Way, packet: Packet) -> str:
    """Say in a few words what becomes of the packet."""
    if way.verdict == "rejected":
        return f"rejected ({way.answer})"
    if way.verdict == "dropped":
        return "dropped"
    if way.verdict == "undecided":
        return f"depends on {way.undecided_by}"
    words = way.destination
    if not words:
        there = "the node itself" if way.delivery == "input" else packet.destination
        words = f"not translated, goes on to {there}"
    elif is_to_itself(way, packet):
        words += ", the sender itself"
    elif way.delivery == "input":
        words += ", an address of this node"
    if way.source == "masquerade":
        words += ", masqueraded"
    elif way.source:
        words += f", from {way.source}"
    return words


def details(
    way: Way, packet: Packet, rules: NodeRules, *, masquerade: bool = True
) -> Iterator[str]:
    """Say which rules were the reason; that of masquerading can be left out."""
    step = way.decided_by
    if way.verdict in ("rejected", "dropped"):
        if way.destination:
            own = ", an address of this node" if way.delivery == "input" else ""
            hook = step.hook if step else way.policy.rpartition(" ")[2]
            where = _WHERE.get(hook, "")
            yield f"translated to {way.destination}{own}, then {way.verdict} {where}".rstrip()
        if step is None:
            yield f"{way.policy}: its policy is DROP, and no rule of it accepts the packet"
            return
        yield rule_in_words(step)
        above = accepted_above(way, packet)
        yield whose(rules, step) + (f"; {above}" if above else "")
    if way.pinned is not None:
        ages = packet.lists.get(way.pinned.list_name, ())
        age = f"{min(ages):g} s ago" if ages else "before"
        kept = f", kept for {way.pinned.seconds} s" if way.pinned.seconds else ""
        yield f"pinned: the client is in the list {way.pinned.list_name}, seen {age}{kept}"
    if masquerade and way.masquerade is not None and way.verdict == "accepted":
        step = way.masquerade
        yield f"masqueraded because of {rule_in_words(step)}"
        if is_foreign(step):
            yield whose(rules, step)


def rule_in_words(step: Step) -> str:
    """Write a rule with its place (`nat KUBE-SVC-…, line 12: -A …`)."""
    line = f", line {step.rule.line}" if step.rule.line else ""
    return f"{step.table} {step.rule.chain}{line}: {printed_rule(step)}"


def printed_rule(step: Step) -> str:
    """Write a rule; of kube-proxy's without its comment, which says what is printed besides."""
    return str(step.rule) if is_foreign(step) else f"-A {step.rule.chain} {step.rule.effect}"
