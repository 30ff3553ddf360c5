"""The node's connection tracking: where a Service's connections really went."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from compiler.family import IPV6
from compiler.lab.commands import output_of
from compiler.lab.layout import Member, Target, family_of

# The first src= … dst= … sport= … dport= of an entry is the packet as the client sent it.
ORIGINAL = re.compile(r"^(\w+)\s.*?\bdst=(\S+) sport=\d+ dport=(\d+)")


def translated(namespace: str, family: str) -> list[str]:
    """Return the node's connections whose destination was changed (`conntrack -L --dst-nat`)."""
    short = "ipv6" if family == IPV6 else "ipv4"
    return output_of(namespace, ["conntrack", "-L", "--dst-nat", "-f", short]).splitlines()


def leads_to(target: Target, node: Member) -> set[tuple[str, str, int]]:
    """Return every (protocol, address, port) by which packets get to the service port."""
    protocol = target.protocol.lower()
    virtual = (target.cluster_ip, *target.external_ips, *target.load_balancer_ips)
    ways = {(protocol, str(ip_address(address)), target.port) for address in virtual}
    if target.node_port:
        own = [one for one in node.addresses if family_of(one) == target.family]
        local = "::1" if target.family == IPV6 else "127.0.0.1"
        ways |= {(protocol, str(ip_address(one)), target.node_port) for one in (*own, local)}
    return ways


def of_targets(lines: Iterable[str], targets: Iterable[Target], node: Member) -> list[str]:
    """Keep the entries whose original destination is one of the service ports."""
    ways = set().union(*(leads_to(target, node) for target in targets))
    kept = []
    for line in lines:
        match = ORIGINAL.match(line)
        if match and (match[1], str(ip_address(match[2])), int(match[3])) in ways:
            kept.append(line)
    return kept
