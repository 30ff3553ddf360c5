"""What rules ask of packets, in words; what no table here knows is in its own words."""

from __future__ import annotations

from compiler.kube_rules.service_port import condition
from compiler.netfilter.header import Header, Network
from compiler.netfilter.match import Match
from compiler.netfilter.matches.addrtype import AddressType
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.rule import Rule


def condition_words(rule: Rule, *, entry: bool = False, to_node: bool = False) -> str:
    """Write what a rule asks: `from 10.0.0.0/8, in by eth0`; empty where it takes all packets.

    With `entry` the rule's address and port are known to the reader, and with `to_node` that
    packets go to an address of the node.
    """
    asked, header = condition(rule), rule.header
    parts: list[str] = []
    if asked.source is not None:
        parts.append(f"{_not(negated=asked.source.negated)}from {host_words(asked.source)}")
    if not entry and header.destination is not None:
        parts.append(
            f"{_not(negated=header.destination.negated)}to {host_words(header.destination)}"
        )
    if asked.in_interface is not None:
        one = asked.in_interface
        parts.append(f"{_not(negated=one.negated)}in by {one.printed}")
    if asked.out_interface is not None:
        one = asked.out_interface
        parts.append(f"{_not(negated=one.negated)}out by {one.printed}")
    if not entry:
        parts += Header(protocol=header.protocol, fragment=header.fragment).words()
    for match in rule.asking:
        if isinstance(match, PortMatch):
            if not entry or _asks_more(match):
                parts.append(str(match))
        elif words := _match_words(match, to_node=to_node):
            parts.append(words)
    return ", ".join(parts)


def host_words(one: Network) -> str:
    """Write a network, or the address that is all of it."""
    return one.printed.partition("/")[0] if one.low == one.high else one.printed


def _asks_more(match: PortMatch) -> bool:
    """Say whether a match of ports asks more than the destination port."""
    return bool(match.source_ports or match.flags or match.other)


def _match_words(match: Match, *, to_node: bool) -> str:
    if isinstance(match, AddressType) and not match.limited:
        source, destination = match.source, match.destination
        if source is not None and destination is None and source.value == "LOCAL":
            return f"{_not(negated=source.negated)}from this node"
        if destination is not None and source is None and destination.value == "LOCAL":
            if to_node and not destination.negated:
                return ""
            return f"{_not(negated=destination.negated)}to this node"
    return str(match)


def _not(*, negated: bool) -> str:
    return "not " if negated else ""


def masquerade_words(asked: str) -> str:
    """Write whose source is rewritten, for the words of a condition, empty for all packets."""
    if not asked:
        return "masqueraded"
    if asked.startswith("not ") and ", " not in asked:
        return f"masqueraded unless {asked.removeprefix('not ')}"
    return f"masqueraded if {asked}"
