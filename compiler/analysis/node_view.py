"""A node whose packets are followed: its rules, its senders and its entry points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from ipaddress import ip_address
from typing import Literal, NamedTuple

from compiler.analysis.cells import Cell, alike, ask, unknown
from compiler.analysis.shared_cells import WatchedRules
from compiler.kube_rules.destinations import VIAS, Via, destinations
from compiler.kube_rules.jumps import as_loaded
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.senders import (
    SENDER_KINDS,
    Sender,
    SenderKind,
    Surroundings,
    UnknownSenderError,
)
from compiler.kube_rules.service_port import Key
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.header import Network
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import print_address

# Tables that decide what becomes of packets to Services.
_TABLES = ("nat", "filter")
NO_ADDRESS = "the node's address is not known"
NOT_IN_RANGE = "no address of the first source range is outside the cluster"
From = SenderKind | Literal["source-range"]
"""`source-range` is an address outside the cluster that a Service's source ranges let in."""
FROM: tuple[From, ...] = (*SENDER_KINDS, "source-range")


class Column(NamedTuple):
    """A node's rules: `addresses` are its own, empty where they are not known.

    `pod_cidr` is the CIDR of its own pods, empty where it is not known.
    """

    name: str
    ruleset: Ruleset
    addresses: Sequence[str] = ()
    pod_cidr: str = ""


EntryKind = Via | Literal["external-address"]
"""`external-address` is an external IP or a load balancer's: without endpoints no rule says."""
ENTRY_KINDS: tuple[EntryKind, ...] = (*VIAS, "external-address")


class Entry(NamedTuple):
    """An entry point; `address` is empty for a node port at each node's own addresses."""

    key: Key
    via: EntryKind
    address: str
    port: int


class NodeView:
    """A column that packets are sent through."""

    def __init__(self, column: Column) -> None:
        self.name = column.name
        self.rules = NodeRules(column.ruleset)
        self.family = column.ruleset.family
        self.around = Surroundings(self.rules, column.addresses, pod_cidr=column.pod_cidr)
        self.ruleset = as_loaded(column.ruleset)
        self.host = self.around.host()
        self.remembers = False

    @property
    def takes_pods_for_others(self) -> bool:
        """Whether the node's addresses are not known, and endpoints are taken not to be its own."""
        return self.host.addresses is None and bool(self.host.elsewhere)

    @cached_property
    def watched(self) -> WatchedRules:
        """The rules as those that several nodes may have in common."""
        return WatchedRules(self.ruleset)

    @cached_property
    def senders(self) -> Mapping[SenderKind, Sender | str]:
        """The sender of each kind, or why there is none."""
        found: dict[SenderKind, Sender | str] = {}
        for kind in SENDER_KINDS:
            try:
                found[kind] = self.around.sender(kind)
            except UnknownSenderError as error:
                found[kind] = str(error)
        return found

    def senders_to(self, entry: Entry, ranges: Sequence[Network]) -> Mapping[From, Sender | str]:
        """Return who sends to an entry point, by kind: only what can happen.

        Only the node itself sends to its loopback address, and its packets there come from there.
        Where a Service has source ranges, the client outside is in none of them, and another one
        is in the first.
        """
        if entry.via == "localhost":
            return {"localhost": self.senders["localhost"]}
        found: dict[From, Sender | str] = {
            kind: self.senders[kind] for kind in SENDER_KINDS if kind != "localhost"
        }
        outer = self.senders["outside"]
        if ranges and isinstance(outer, Sender):
            inside = self.around.in_network(ranges[0])
            found["source-range"] = replace(outer, address=inside) if inside else NOT_IN_RANGE
        if (ranges or entry.address == address_of(outer)) and isinstance(outer, Sender):
            if address := self._outside_of(ranges, entry.address):
                found["outside"] = replace(outer, address=address)
            else:
                del found["outside"]
        return found

    def _outside_of(self, ranges: Sequence[Network], entry: str) -> str:
        """Return an address outside that is in no range, empty where all are in one."""
        for address in self.around.outside_addresses():
            number = int(ip_address(address))
            if address != entry and not any(one.low <= number <= one.high for one in ranges):
                return address
        return ""

    @cached_property
    def node_port_addresses(self) -> tuple[str, ...]:
        """The node's addresses at which node ports listen, without the loopback ones."""
        jumps = self.around.node_port_jumps
        limits = [one for one in jumps if one is not None and not one.negated]
        if not jumps or len(limits) < len(jumps):
            return self.around.addresses
        limited = [print_address(one.low, self.family) for one in limits if one.low == one.high]
        outer = tuple(one for one in limited if not ip_address(one).is_loopback)
        return outer or self.around.addresses

    @cached_property
    def listens_at_localhost(self) -> bool:
        """Whether node ports are looked for at the loopback address."""
        loopback = int(ip_address(self.family.loopback))
        return any(
            one is None or (one.low <= loopback <= one.high) is not one.negated
            for one in self.around.node_port_jumps
        )

    def entries(self, keys: Sequence[Key]) -> Iterator[Entry]:
        """Give the entry points of service ports."""
        for key in keys:
            found: dict[tuple[str, int], list[Entry]] = {}
            for one in destinations(self.rules, key):
                entry = Entry(key, one.via, one.address, one.port)
                found.setdefault((one.address, one.port), []).append(entry)
            for same in found.values():
                if {entry.via for entry in same} == {"external-ip", "load-balancer"}:
                    yield same[0]._replace(via="external-address")
                else:
                    yield from same

    def source_ranges(self, entry: Entry) -> list[Network]:
        """Return the source ranges that limit a load balancer's entry point."""
        if entry.via not in ("load-balancer", "external-address"):
            return []
        return [
            one.source
            for one in self.rules.service_port(entry.key).source_ranges or ()
            if one.source is not None and not one.source.negated
        ]

    def limits(self) -> Iterator[str]:
        """Say what of the node's rules is not shown, or not looked at."""
        shown = self.rules.ruleset
        missing = [name for name in _TABLES if name not in shown.tables]
        if missing and not shown.whole:
            yield f"{self.name}: the table {' and '.join(missing)} is not shown, and not looked at"
        if shown.nft_tables:
            tables = ", ".join(shown.nft_tables)
            yield f"{self.name}: not looked at: nft tables {tables}, which packets pass too"

    def cell(self, entry: Entry, sender: Sender | str) -> Cell:
        """Say what becomes of a sender's packets to an entry point."""
        if isinstance(sender, str):
            return unknown(sender)
        cells = {at: self._ask(entry, sender, at) for at in self.destinations(entry)}
        if not cells:
            return unknown(NO_ADDRESS)
        first = next(iter(cells.values()))
        if all(alike(cell, first) for cell in cells.values()):
            return first
        return tuple(
            result._replace(at=at) for at, cell in sorted(cells.items()) for result in cell
        )

    def destinations(self, entry: Entry) -> tuple[str, ...]:
        """Return the addresses of an entry point on this node, none where they are not known."""
        return self.node_port_addresses if entry.via == "node-port" else (entry.address,)

    def packet(self, entry: Entry, sender: Sender, address: str) -> Packet:
        """Return the first packet of a connection from a sender to an entry point."""
        return Packet(
            source=sender.address,
            destination=address,
            protocol=entry.key.protocol,
            destination_port=entry.port,
            local=sender.local,
            interface=sender.interface,
        )

    def _ask(self, entry: Entry, sender: Sender, address: str) -> Cell:
        packet = self.packet(entry, sender, address)
        local = partial(self._is_local, sender)
        asked = ask(self.ruleset, packet, self.host, local)
        self.remembers = self.remembers or asked.remembers
        return asked.cell

    def _is_local(self, sender: Sender, address: str) -> bool | None:
        """Say whether an address is the node's, None where it is not known: no pod's is."""
        if address == sender.address:
            return sender.local
        if address in self.around.addresses:
            return True
        pods = self.around.pod_network
        inside = pods is not None and pods.low <= int(ip_address(address)) <= pods.high
        return False if inside else None


def address_of(sender: Sender | str) -> str:
    """Return a sender's address, empty where there is no sender."""
    return "" if isinstance(sender, str) else sender.address
