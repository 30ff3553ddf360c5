"""Packets' senders: which address stands for a pod, the node, a client outside, or localhost.

Rules tell senders apart by source address and interface. What a sender needs is taken from the
rules themselves (the pods' CIDR or interface is in the rules that masquerade), so that it is the
same for manifests, restore text and a node's dump.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from msgspec import structs

from compiler.family import IPV4, Family
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.header import Interface, Network
from compiler.netfilter.host import Host
from compiler.netfilter.rule import Rule
from compiler.netfilter.table import Table, mentioning
from compiler.netfilter.traffic import fits_interface, print_address

SenderKind = Literal["pod", "node", "outside", "localhost"]
SENDER_KINDS: tuple[SenderKind, ...] = get_args(SenderKind)

# Addresses for documentation (RFC 5737, RFC 3849): no cluster has them.
_OUTSIDE = {
    IPV4: ("203.0.113.7", "198.51.100.7", "192.0.2.7", "203.0.113.107", "198.51.100.107"),
    Family.IPV6: ("2001:db8:203::7", "2001:db8:198::7", "2001:db8:192::7", "2001:db8:203::107"),
}
_INTERFACES = ("eth0", "eth1", "ens3", "enp1s0")
# How many addresses of the pods' network are tried for one that serves nothing.
_TRIED = 64


class UnknownSenderError(ValueError):
    """Nothing shows an address for a sender of a kind; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a packet comes from.

    `local` packets are the node's own. `interface` is the one that the packet comes in by, None for
    local ones. `reason` says in words how the address was chosen, empty where it was given.
    """

    address: str
    local: bool = False
    interface: str | None = None
    reason: str = ""


class Surroundings:
    """What rules, and whoever asks, know of a node and its cluster.

    `addresses` are the node's own without the loopback ones, empty where they are not known, and
    `pod_cidr` is the CIDR of the node's own pods, empty where only the cluster's is known.
    """

    def __init__(
        self, rules: NodeRules, addresses: Sequence[str] = (), *, pod_cidr: str = ""
    ) -> None:
        self.rules = rules
        self.family: Family = rules.ruleset.family
        given = [ipaddress.ip_address(address) for address in addresses]
        version = 4 if self.family == IPV4 else 6
        self.given_addresses = tuple(
            str(one) for one in given if one.version == version and not one.is_loopback
        )
        self._pod_cidr = pod_cidr

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The node's addresses: those given, or those that node ports are limited to."""
        if self.given_addresses:
            return self.given_addresses
        found = [one for one in self.node_port_jumps if one is not None and one.low == one.high]
        printed = [print_address(one.low, self.family) for one in found if not one.negated]
        return tuple(one for one in printed if not ipaddress.ip_address(one).is_loopback)

    @cached_property
    def node_port_jumps(self) -> tuple[Network | None, ...]:
        """The destinations for which rules look for a node port, None for all."""
        return tuple(
            rule.header.destination
            for rule in self.rules.node.get(("nat", "KUBE-SERVICES"), ())
            if rule.jumps_to == "KUBE-NODEPORTS"
        )

    def host(self, *, routes: Sequence[tuple[str, str]] = ()) -> Host:
        """Return what is known of the node for the evaluator.

        Packets for networks without a route in `routes` leave by an interface that no rule names.
        """
        anywhere = "0.0.0.0/0" if self.family == IPV4 else "::/0"
        known = frozenset(self.given_addresses) or None
        return Host(known, (*routes, (anywhere, self.unnamed_interface)), self._elsewhere())

    def host_for(self, packet: Packet) -> Host:
        """Return what is known of the node that a packet comes to.

        It has not the packet's source: the kernel drops what comes in with an address of its own
        (`fib_validate_source` of net/ipv4/fib_frontend.c).
        """
        host = self.host()
        if packet.local:
            return host
        return structs.replace(host, elsewhere=(*host.elsewhere, packet.source))

    def _elsewhere(self) -> tuple[str, ...]:
        """Return the network of the pods, whose endpoints are no addresses of the node."""
        return (self.pod_network.printed,) if self.pod_network is not None else ()

    @cached_property
    def unnamed_interface(self) -> str:
        """An interface that no rule names."""
        patterns = {one.printed for one in self._named_interfaces()}
        names = (*_INTERFACES, *(f"eth{number}" for number in range(2, 1000)))
        return next(
            name
            for name in names
            if not any(fits_interface(name, pattern) for pattern in patterns if pattern != "+")
        )

    def _named_interfaces(self) -> Iterator[Interface]:
        for _, chain in self.rules.foreign_chains():
            for rule in chain.rules:
                for one in (rule.header.in_interface, rule.header.out_interface):
                    if one is not None:
                        yield one
        if self.pod_interface:
            yield Interface(self.pod_interface, negated=False)

    @cached_property
    def named_interfaces(self) -> tuple[str, ...]:
        """The interfaces that rules name, but for loopback's, in their order."""
        return tuple(
            dict.fromkeys(one.printed for one in self._named_interfaces() if one.printed != "lo")
        )

    @cached_property
    def _local_traffic(self) -> Rule | None:
        """A rule that tells the traffic of pods from other traffic."""
        nat = self.rules.ruleset.table("nat")
        for name in nat:
            if name.startswith("KUBE-SVC-"):
                for rule in nat[name].rules[:2]:
                    if rule.jumps_to == "KUBE-MARK-MASQ" and _tells_pods(rule, negated=True):
                        return rule
            elif name.startswith("KUBE-EXT-"):
                for rule in nat[name].rules:
                    if rule.jumps_to.startswith("KUBE-SVC-") and _tells_pods(rule, negated=False):
                        return rule
        return None

    @cached_property
    def pod_network(self) -> Network | None:
        """The network by which rules recognize pods, None where they don't by network."""
        rule = self._local_traffic
        return rule.header.source if rule is not None else None

    @cached_property
    def pod_interface(self) -> str:
        """The interface (or with `+` its beginning) by which rules recognize pods, or empty."""
        rule = self._local_traffic
        return rule.header.in_interface.printed if rule and rule.header.in_interface else ""

    def sender(self, kind: SenderKind) -> Sender:
        """Return a sender of a kind. Raises UnknownSenderError where no address is known."""
        if kind == "pod":
            return self._pod()
        if kind == "localhost":
            return Sender(self.family.loopback, local=True)
        if kind == "node":
            if not self.addresses:
                raise UnknownSenderError("the node's address is not known")
            return Sender(self.addresses[0], local=True, reason="is the node's first address")
        return Sender(
            self._outside(),
            interface=self.unnamed_interface,
            reason="is an address for documentation, outside the cluster",
        )

    def from_address(self, address: str) -> Sender:
        """Return the sender that has an address. Raises ValueError for what is no address."""
        parsed = ipaddress.ip_address(address)
        if parsed.is_loopback or str(parsed) in self.addresses:
            return Sender(str(parsed), local=True)
        network = self.pod_network
        inside = network is not None and network.low <= int(parsed) <= network.high
        interface = self._pods_interface() if inside else self.unnamed_interface
        return Sender(str(parsed), interface=interface)

    def _outside(self) -> str:
        for printed in self.outside_addresses():
            return printed
        raise UnknownSenderError("no address is known to be outside the cluster")

    def outside_addresses(self) -> Iterator[str]:
        """Give addresses for documentation that no pod, no endpoint and no node has."""
        network, table = self.pod_network, self.rules.ruleset.table("nat")
        for printed in _OUTSIDE[self.family]:
            number = int(ipaddress.ip_address(printed))
            inside = network is not None and network.low <= number <= network.high
            if not inside and printed not in self.addresses and not _serves(table, printed):
                yield printed

    def in_network(self, network: Network) -> str:
        """Return an address of a network that is no pod's and not the node's, empty without one."""
        pods = self.pod_network
        ends = (range(network.low, network.high + 1)[:_TRIED], (network.high, network.high - 1))
        for number in (number for some in ends for number in some):
            printed = print_address(number, self.family)
            pod = pods is not None and pods.low <= number <= pods.high
            inside = network.low <= number <= network.high
            if inside and not pod and printed not in self.addresses and not _zero(number, network):
                return printed
        return ""

    def _pods_interface(self) -> str:
        pattern = self.pod_interface
        if not pattern:
            return self.unnamed_interface
        return f"{pattern[:-1]}0" if pattern.endswith("+") else pattern

    def _pod(self) -> Sender:
        network, words = self._pods()
        table = self.rules.ruleset.table("nat")
        # those at the end are the last that pods are given
        for number in range(network[1] - 1, max(network[0], network[1] - _TRIED), -1):
            printed = print_address(number, self.family)
            if printed not in self.addresses and not _serves(table, printed):
                return Sender(printed, interface=self._pods_interface(), reason=words)
        raise UnknownSenderError("no address of the pods' network is known to serve nothing")

    def _pods(self) -> tuple[tuple[int, int], str]:
        if self._pod_cidr:
            network = ipaddress.ip_network(self._pod_cidr, strict=False)
            ends = int(network.network_address), int(network.broadcast_address)
            return ends, f"is in {self._pod_cidr}, the node's podCIDR, and no endpoint"
        if (found := self.pod_network) is not None:
            words = f"is in {found.printed}, the pods' CIDR, and no endpoint"
            return (found.low, found.high), words
        for endpoint in self._endpoints():
            size = 24 if self.family == IPV4 else 120
            network = ipaddress.ip_network(f"{endpoint}/{size}", strict=False)
            ends = int(network.network_address), int(network.broadcast_address)
            return ends, f"is near the endpoint {endpoint}, and no endpoint"
        raise UnknownSenderError("no rule shows the pods' network")

    def _endpoints(self) -> Iterator[str]:
        nat = self.rules.ruleset.table("nat")
        for name in nat:
            if name.startswith("KUBE-SEP-") and (found := self.rules.endpoint_address(name)):
                yield found.rpartition(":")[0].strip("[]")


def _tells_pods(rule: Rule, *, negated: bool) -> bool:
    source, interface = rule.header.source, rule.header.in_interface
    return (source is not None and source.negated is negated) or (
        interface is not None and interface.negated is negated
    )


def _zero(number: int, network: Network) -> bool:
    """Say whether an address is a larger network's own, which no host has."""
    return number == network.low and network.high - network.low > 1


def _serves(table: Table, address: str) -> bool:
    """Say whether an address occurs in rules of endpoints."""
    words = f" {address}/"
    chains = mentioning(table, words)
    return any(words in text for chain in chains for text in chain.texts())
