"""Where every entry point leads, from every kind of sender, on every node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from ipaddress import ip_address
from itertools import groupby
from typing import Literal, NamedTuple

from compiler.analysis.cells import Cell, alike, ask, unknown
from compiler.analysis.shared_cells import WatchedRules, follow_set
from compiler.family import IPV4
from compiler.kube_rules.destinations import (
    VIAS,
    ServicePortsOf,
    Via,
    destinations,
    find_service_port,
)
from compiler.kube_rules.jumps import with_jumps
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
from compiler.netfilter.host import Host
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.traffic import print_address

NO_ADDRESS = "the node's address is not known"
NOT_IN_RANGE = "no address of the first source range is outside the cluster"
# Tables that decide what becomes of packets to Services.
_TABLES = ("nat", "filter")


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
_ORDER: tuple[EntryKind, ...] = (*VIAS, "external-address")


class Entry(NamedTuple):
    """An entry point; `address` is empty for a node port at each node's own addresses."""

    key: Key
    via: EntryKind
    address: str
    port: int


From = SenderKind | Literal["source-range"]
"""`source-range` is an address outside the cluster that a Service's source ranges let in."""
FROM: tuple[From, ...] = (*SENDER_KINDS, "source-range")


@dataclass(frozen=True)
class Row:
    """An entry point from one kind of sender, with the sender's address and cell of every column.

    An address is empty where it is not known.
    """

    entry: Entry
    sender: From
    sources: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Matrix:
    """All rows.

    `addresses` are those at which each column's node ports were looked at. `notes` say what a
    reader must know about the cells.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    addresses: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


# Policies that no text shows are the kernel's.
_SHOWN_BY_NONE = {(t, chain): "ACCEPT" for t, chains in BUILTIN_CHAINS.items() for chain in chains}


class NodeView:
    """A column that packets are sent through."""

    def __init__(self, column: Column) -> None:
        self.name = column.name
        self.rules = NodeRules(column.ruleset)
        self.family = column.ruleset.family
        self.around = Surroundings(self.rules, column.addresses, pod_cidr=column.pod_cidr)
        self.ruleset = with_jumps(column.ruleset, policies=_SHOWN_BY_NONE)
        self.host = self.around.host()
        self.remembers = False

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
        if (ranges or entry.address == _address(outer)) and isinstance(outer, Sender):
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
        jumps = self._node_port_jumps
        limits = [one for one in jumps if one is not None and not one.negated]
        if not jumps or len(limits) < len(jumps):
            return self.around.addresses
        limited = [print_address(one.low, self.family) for one in limits if one.low == one.high]
        outer = tuple(one for one in limited if not ip_address(one).is_loopback)
        return outer or self.around.addresses

    @cached_property
    def _node_port_jumps(self) -> list[Network | None]:
        """The destinations for which rules look for a node port, None for all."""
        return [
            rule.header.destination
            for rule in self.rules.node.get(("nat", "KUBE-SERVICES"), ())
            if rule.jumps_to == "KUBE-NODEPORTS"
        ]

    @cached_property
    def listens_at_localhost(self) -> bool:
        """Whether node ports are looked for at the loopback address."""
        loopback = int(ip_address("127.0.0.1" if self.family == IPV4 else "::1"))
        return any(
            one is None or (one.low <= loopback <= one.high) is not one.negated
            for one in self._node_port_jumps
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


def make_matrix(columns: Sequence[Column], keys: Sequence[Key] | None = None) -> Matrix:
    """Follow a packet to every entry point, from every kind of sender, on every node.

    `keys` are the service ports that are wanted, None for all. An entry point that only some
    columns have is looked at in all of them. Left out are node ports at the loopback address where
    no node listens there, and senders whose address is not known on any node.
    """
    views = [NodeView(column) for column in columns]
    rows = tuple(row for entry in all_entries(views, keys) for row in _rows(views, entry))
    return Matrix(
        tuple(view.name for view in views),
        rows,
        tuple(view.node_port_addresses for view in views),
        tuple(dict.fromkeys(notes(views, {row.entry for row in rows}))),
    )


def _rows(views: Sequence[NodeView], entry: Entry) -> Iterator[Row]:
    if entry.via == "localhost" and not any(view.listens_at_localhost for view in views):
        return
    ranges = source_ranges(views, entry)
    senders = [view.senders_to(entry, ranges) for view in views]
    for kind in FROM:
        each = [some.get(kind) for some in senders]
        if any(one is None for one in each):
            continue
        pairs = [(view, one or "") for view, one in zip(views, each, strict=True)]
        cells = cells_of(entry, pairs)
        if worth_a_row(entry, kind, cells):
            yield Row(entry, kind, tuple(_address(one) for _, one in pairs), cells)


def cells_of(entry: Entry, pairs: Sequence[tuple[NodeView, Sender | str]]) -> tuple[Cell, ...]:
    """Return a row's cells: those of nodes that no rule tells apart are found together."""
    cells: dict[int, Cell] = {}
    waiting = [
        (place, view, sender)
        for place, (view, sender) in enumerate(pairs)
        if isinstance(sender, Sender) and view.destinations(entry)
    ]
    while len(waiting) > 1:
        _, first, sender = waiting[0]
        some = [
            one
            for one in waiting
            if (one[2].interface, one[1].host.routes) == (sender.interface, first.host.routes)
        ]
        asked = follow_set(
            first.watched,
            first.packet(entry, sender, first.destinations(entry)[0]),
            [one for _, _, one in some],
            [address for _, view, _ in some for address in view.destinations(entry)],
            _host_of(some, own=entry.via == "node-port"),
        )
        if asked is None:
            break
        for place, view, _ in some:
            if view is first or first.watched.agrees(view.watched):
                cells[place] = asked.cell
                view.remembers = view.remembers or asked.remembers
        waiting = [one for one in waiting if one[0] not in cells]
    return tuple(
        cells[place] if place in cells else view.cell(entry, sender)
        for place, (view, sender) in enumerate(pairs)
    )


def _host_of(some: Sequence[tuple[int, NodeView, Sender]], *, own: bool) -> Host:
    """Return what is known of several nodes; `own` is whether packets go to their addresses."""
    known = [view.host.addresses for _, view, _ in some]
    everyone = frozenset(address for one in known for address in one or ())
    return Host(None if own or None in known else everyone, some[0][1].host.routes)


def source_ranges(views: Sequence[NodeView], entry: Entry) -> list[Network]:
    """Return the source ranges that limit a load balancer's entry point, of all columns."""
    if entry.via not in ("load-balancer", "external-address"):
        return []
    found: dict[Network, None] = {}
    for view in views:
        for condition in view.rules.service_port(entry.key).source_ranges or ():
            if condition.source is not None and not condition.source.negated:
                found[condition.source] = None
    return list(found)


def named_keys(columns: Sequence[Column], services: Sequence[str]) -> tuple[Key, ...] | None:
    """Return the service ports of these names in any column, None for all where there is no name.

    Raises NoSuchServiceError.
    """
    if not services:
        return None
    ports = ServicePortsOf([NodeRules(column.ruleset) for column in columns])
    return tuple(dict.fromkeys(key for one in services for key in find_service_port(ports, one)))


def all_entries(views: Sequence[NodeView], keys: Sequence[Key] | None) -> list[Entry]:
    """Return the entry points of all columns: by service port and kind, as the first has them."""
    wanted = sorted({key for view in views for key in view.rules.keys}) if keys is None else keys
    found = dict.fromkeys(entry for view in views for entry in view.entries(wanted))
    named = {(one.key, one.address, one.port) for one in found if one.via != "external-address"}
    kept = [
        one
        for one in found
        if one.via != "external-address" or (one.key, one.address, one.port) not in named
    ]
    return sorted(kept, key=lambda entry: (entry.key, _ORDER.index(entry.via)))


def worth_a_row(entry: Entry, kind: From, cells: Sequence[Cell]) -> bool:
    """Say whether a row says anything of its entry point."""
    kinds = {result.kind for cell in cells for result in cell}
    if entry.via == "localhost":
        return kinds != {"nothing"}
    return kinds != {"unknown"} or (entry.via == "node-port" and kind == "outside")


def notes(views: Sequence[NodeView], entries: Collection[Entry]) -> Iterator[str]:
    """Give what a reader must know: what is not known, not shown, or taken by another Service."""
    for kind in SENDER_KINDS:
        reasons = [(view.name, view.senders[kind]) for view in views]
        for reason, some in groupby(reasons, key=lambda one: one[1]):
            if isinstance(reason, str):
                yield f"{kind}: not looked at on {_listed([name for name, _ in some])}: {reason}"
    blind = [view.name for view in views if not view.node_port_addresses]
    if blind and any(entry.via == "node-port" for entry in entries):
        yield f"node ports: not looked at on {_listed(blind)}: {NO_ADDRESS}"
    for view in views:
        shown = view.rules.ruleset
        missing = [name for name in _TABLES if name not in shown.tables]
        if missing and not shown.whole:
            yield f"{view.name}: the table {' and '.join(missing)} is not shown, and not looked at"
    for key in sorted({entry.key for entry in entries}):
        taken = {
            f"{key}: its {entry.kind} {entry.address} is taken by {entry.shadowed_by}"
            for view in views
            for entry in view.rules.entry_points(key)
            if entry.shadowed_by
        }
        yield from sorted(taken)
    if any(view.remembers for view in views):
        yield "session affinity: new clients; a returning one goes to its previous endpoint"


def _address(sender: Sender | str) -> str:
    return "" if isinstance(sender, str) else sender.address


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{len(names)} nodes ({', '.join(names[:2])}, ...)"
    return ", ".join(names)
