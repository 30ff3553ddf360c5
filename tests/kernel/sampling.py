"""Packets that come near what rules ask for: at their addresses, ports and marks, and beside."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from compiler.family import IPV4, Family
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.header import Network
from compiler.netfilter.matches.mark import Mark
from compiler.netfilter.matches.ports import Multiport, PortMatch
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.targets.nat import Dnat
from compiler.netfilter.traffic import print_address
from tests.kernel.wire import INTERFACES, NODE, NODE6, ROUTES

_PROTOCOLS = ("tcp", "udp", "sctp")
_OUTSIDE = {
    IPV4: ("203.0.113.0/24", "198.51.100.0/24", "10.88.0.0/16", "172.17.0.0/24"),
    "ipv6": ("2001:db8:ffff::/64", "2001:db8::/64", "fd00:88::/64"),
}


class Aim(NamedTuple):
    """Where a packet may go."""

    destination: str
    protocol: str
    port: int


class Aims(NamedTuple):
    """What rules ask for, of all their packets."""

    family: Family
    to: tuple[Aim, ...]
    sources: tuple[str, ...]
    marks: tuple[int, ...]


def aims(ruleset: Ruleset, rules: Iterable[Rule] | None = None) -> Aims:
    """Collect the constants of rules; by default, of all of a ruleset's."""
    family = ruleset.family
    node = NODE if family == IPV4 else NODE6
    loopback = "127.0.0.1" if family == IPV4 else "::1"
    to: dict[Aim, None] = {}
    sources: dict[str, None] = dict.fromkeys(_OUTSIDE[family])
    marks: dict[int, None] = {}
    if rules is None:
        rules = (rule for _, rule in ruleset.all_rules())
    for rule in rules:
        asked = rule.header
        protocols = [asked.protocol.name] if asked.protocol else list(_PROTOCOLS[:2])
        hosts = [_inside(asked.destination, family)] if asked.destination else [*node[:2], loopback]
        ports = list(_ports(rule)) or [80]
        target = rule.target
        if isinstance(target, Dnat) and target.addresses:
            host = print_address(target.addresses[0], family)
            hosts = [host]
            ports = [target.ports[0]] if target.ports else ports
            sources[host] = None
        for protocol in protocols:
            for host in hosts:
                to.update((Aim(host, protocol, port), None) for port in ports)
        if asked.source:
            sources[asked.source.printed] = None
        marks.update((match.value, None) for match in rule.matches if isinstance(match, Mark))
    return Aims(family, tuple(to), tuple(sources), tuple(marks))


def _inside(network: Network, family: Family) -> str:
    return print_address(min(network.low + 1, network.high), family)


def _ports(rule: Rule) -> Iterator[int]:
    """Give the ports that a rule names, and the ones just outside."""
    for match in rule.matches:
        if isinstance(match, PortMatch) and match.destination_ports:
            low, high = match.destination_ports
            yield from {low, high, min(high + 1, 65535)} if low != high else {low}
        elif isinstance(match, Multiport):
            yield from (port for pair in match.ranges for port in pair)


def sample(aimed: Aims, rng: random.Random, count: int, port: Callable[[], int]) -> list[Packet]:
    """Draw packets that a kernel takes from where they come; `port` gives their source ports."""
    found: list[Packet] = []
    while len(found) < count:
        packet = _draw(aimed, rng, port())
        if packet is not None:
            found.append(packet)
    return found


def _draw(aimed: Aims, rng: random.Random, source_port: int) -> Packet | None:
    ipv4 = aimed.family == IPV4
    destination, protocol, number = rng.choice(aimed.to)
    beside = rng.random()
    if beside < 0.06:
        number = number % 65535 + 1
    elif beside < 0.1:
        protocol = rng.choice(_PROTOCOLS)
    elif beside < 0.13:
        address = ipaddress.ip_address(destination)
        destination = str(type(address)(int(address) ^ 1))
    elif beside < 0.16:
        protocol = "icmp" if ipv4 else "ipv6-icmp"
    elif beside < 0.2:
        destination = rng.choice(_elsewhere(ipv4=ipv4))
    if protocol not in (*_PROTOCOLS, "icmp" if ipv4 else "ipv6-icmp"):
        return None
    icmp = "icmp" in protocol
    local = rng.random() < 0.3
    node = (NODE if ipv4 else NODE6)[1:]
    loopback = destination == "::1" or destination.startswith("127.")
    if local:
        source = ("127.0.0.1" if ipv4 else "::1") if loopback else rng.choice(node)
    else:
        source = _address(rng, rng.choice(aimed.sources))
    reset = protocol == "tcp" and rng.random() < 0.04
    packet = Packet(
        source=source,
        destination=destination,
        protocol=protocol,
        source_port=source_port,
        destination_port=0 if icmp else number,
        local=local,
        interface=None if local else _interface(rng, source),
        state="INVALID" if reset else "NEW",
        flags=frozenset(("RST",) if reset else ("SYN",)),
        mark=rng.choice(aimed.marks) if local and aimed.marks and rng.random() < 0.2 else 0,
        icmp_type=("8" if ipv4 else "128") if icmp else None,
    )
    return packet if possible(packet) else None


def _elsewhere(*, ipv4: bool) -> tuple[str, ...]:
    if ipv4:
        return ("198.18.0.1", "10.88.0.7", "10.89.0.7", "172.17.0.2", "127.0.0.1", NODE[0])
    return ("2001:db8:fffe::1", "fd00:88::7", "fd00:89::7", "fd00:17::2", NODE6[0])


def _address(rng: random.Random, printed: str) -> str:
    """Draw an address of a network, most often, or one just outside."""
    network = ipaddress.ip_network(printed, strict=False)
    size = min(network.num_addresses, 1 << 16)
    offset = rng.randrange(size) if rng.random() < 0.85 else size
    return str(network.network_address + offset)


def _interface(rng: random.Random, source: str) -> str:
    """Return the interface that leads to a source, or any."""
    if rng.random() < 0.25:
        return rng.choice(INTERFACES)
    address = ipaddress.ip_address(source)
    for name, networks in ROUTES.items():
        if any(address in ipaddress.ip_network(network) for network in networks):
            return name
    return "eth0"


def possible(packet: Packet) -> bool:
    """Say whether a kernel passes a packet to its hooks and on, whatever the rules are.

    It does not where a source can't be one, or a loopback address comes from outside (IPv6), or
    goes there.
    """
    source, destination = map(ipaddress.ip_address, (packet.source, packet.destination))
    for address in (source, destination):
        if address.is_multicast or address.is_unspecified or address.is_link_local:
            return False
        if address.version == 4 and (int(address) >> 24 == 0 or int(address) >> 28 == 15):
            return False
        if address.version == 6 and int(address) >> 112 == 0 and not address.is_loopback:
            return False
    if packet.local:
        return source.is_loopback is destination.is_loopback
    if source.is_loopback or packet.source in (*NODE, *NODE6):
        return False
    return not (destination.version == 6 and destination.is_loopback)
