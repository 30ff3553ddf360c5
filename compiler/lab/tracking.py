"""The node's connection tracking: where a Service's connections went, and stale entries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from compiler.analysis.conntrack import Command, UdpServicePort
from compiler.analysis.conntrack import stale_entry_commands as commands_between
from compiler.family import Family
from compiler.lab.commands import output_of, run
from compiler.lab.errors import LabError
from compiler.lab.layout import Layout, Member, Target, family_of

# The first src= … dst= … sport= … dport= of an entry is the packet as the client sent it.
ORIGINAL = re.compile(r"^(\w+)\s.*?\bdst=(\S+) sport=\d+ dport=(\d+)")

# What `conntrack -D` prints where no entry matched.
NOTHING_DELETED = " 0 flow entries have been deleted"


def translated(namespace: str, family: Family) -> list[str]:
    """Return the node's connections whose destination was changed (`conntrack -L --dst-nat`)."""
    return output_of(namespace, ["conntrack", "-L", "--dst-nat", "-f", family]).splitlines()


def entry_points(target: Target, node: Member) -> set[tuple[str, str, int]]:
    """Return every (protocol, address, port) that the service port is reached by."""
    protocol = target.protocol.lower()
    virtual = (target.cluster_ip, *target.external_ips, *target.load_balancer_ips)
    found = {(protocol, str(ip_address(address)), target.port) for address in virtual}
    if target.node_port:
        own = [one for one in node.addresses if family_of(one) == target.family]
        addresses = (*own, target.family.loopback)
        found |= {(protocol, str(ip_address(one)), target.node_port) for one in addresses}
    return found


def of_targets(lines: Iterable[str], targets: Iterable[Target], node: Member) -> list[str]:
    """Keep the entries whose original destination is one of the service ports."""
    wanted = set().union(*(entry_points(target, node) for target in targets))
    kept = []
    for line in lines:
        match = ORIGINAL.match(line)
        if match and (match[1], str(ip_address(match[2])), int(match[3])) in wanted:
            kept.append(line)
    return kept


def stale_entry_commands(old: Layout, new: Layout) -> list[Command]:
    """Return the `conntrack -D` commands that kube-proxy's cleanup of UDP entries stands for."""
    return [
        command
        for family in new.families
        for command in commands_between(_udp_ports(old, family), _udp_ports(new, family), family)
    ]


def _udp_ports(layout: Layout, family: Family) -> list[UdpServicePort]:
    return [
        UdpServicePort(
            addresses=(target.cluster_ip, *target.external_ips, *target.load_balancer_ips),
            port=target.port,
            node_port=target.node_port,
            endpoints=frozenset(target.endpoints),
        )
        for target in layout.targets
        if target.family is family and target.protocol == "UDP"
    ]


def delete_entries(namespace: str, commands: Iterable[Command]) -> None:
    """Run `conntrack -D` commands on the node. Raises LabError where one fails.

    `conntrack` exits with 1 where no entry matched, too, which is no failure.
    """
    for command in commands:
        done = run(namespace, command)
        if done.returncode != 0 and NOTHING_DELETED not in done.stderr:
            raise LabError(f"{' '.join(command)} failed: {done.stderr.strip()}")
