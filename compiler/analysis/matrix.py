"""Where every entry point leads, from every kind of sender, on every node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from compiler.analysis.cells import Cell
from compiler.analysis.node_view import (
    ENTRY_KINDS,
    FROM,
    NO_ADDRESS,
    Column,
    Entry,
    From,
    NodeView,
    address_of,
)
from compiler.analysis.shared_cells import follow_set
from compiler.kube_rules.destinations import (
    ServicePortsOf,
    find_service_port,
)
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.senders import (
    SENDER_KINDS,
    Sender,
)
from compiler.kube_rules.service_port import Key
from compiler.netfilter.header import Network
from compiler.netfilter.host import Host


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
            yield Row(entry, kind, tuple(address_of(one) for _, one in pairs), cells)


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
    return list(dict.fromkeys(one for view in views for one in view.source_ranges(entry)))


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
    return sorted(kept, key=lambda entry: (entry.key, ENTRY_KINDS.index(entry.via)))


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
    assumed = [view.name for view in views if view.takes_pods_for_others]
    if assumed:
        yield (
            f"endpoints in the pods' CIDR are taken not to be addresses of {_listed(assumed)}, "
            "which are not known"
        )
    for view in views:
        yield from view.limits()
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


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{len(names)} nodes ({', '.join(names[:2])}, ...)"
    return ", ".join(names)
