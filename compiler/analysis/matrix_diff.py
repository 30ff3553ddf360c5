"""The cells of a matrix that change from one set of rules to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from compiler.analysis.cells import Cell, alike
from compiler.analysis.matrix import all_entries, cells_of, notes, source_ranges, worth_a_row
from compiler.analysis.node_view import FROM, Column, Entry, From, NodeView
from compiler.kube_rules.senders import Sender
from compiler.kube_rules.service_port import Key
from compiler.netfilter.header import Network


@dataclass(frozen=True)
class CellChange:
    """A cell that changes: on one node, of one entry point from one kind of sender."""

    entry: Entry
    sender: From
    node: str
    before: Cell
    after: Cell


@dataclass(frozen=True)
class MatrixDiff:
    """What changes, and what was compared: the nodes, senders and how many entry points and cells.

    `unknown` counts cells that could not be looked at on a side. `not_compared` says what else of
    the sides was left out; `notes` are those of both sides.
    """

    changes: tuple[CellChange, ...]
    nodes: tuple[str, ...]
    senders: tuple[From, ...]
    entries: int
    cells: int
    unknown: int
    not_compared: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether no cell changes among those that were compared."""
        return not self.changes


def compare_matrices(
    old: Sequence[Column], new: Sequence[Column], keys: Sequence[Key] | None = None
) -> MatrixDiff:
    """Follow the same packets through the rules of both sides, node by node.

    Nodes are matched by name; where each side is one node, these two are. What one side does not
    show (the node's addresses, its pods' CIDR) is taken from the other. The entry points are those
    of either side, so that the packets to a Service that is gone are followed, too.
    """
    pairs = list(_pairs(old, new))
    before = [NodeView(one) for one, _ in pairs]
    after = [NodeView(other) for _, other in pairs]
    compared = 0
    senders: dict[From, None] = {}
    entries: dict[Entry, None] = {}
    changes: list[CellChange] = []
    unknown = 0
    for entry in all_entries([*before, *after], keys):
        for kind, cells in _both(entry, before, after):
            entries[entry] = senders[kind] = None
            for view, one, other in zip(before, *cells, strict=True):
                if "unknown" in {result.kind for result in (*one, *other)}:
                    unknown += 1
                    continue
                compared += 1
                if not alike(one, other):
                    changes.append(CellChange(entry, kind, view.name, one, other))
    return MatrixDiff(
        tuple(changes),
        tuple(view.name for view in before),
        tuple(kind for kind in FROM if kind in senders),
        len(entries),
        compared,
        unknown,
        tuple(_left_out(old, new, pairs)),
        tuple(dict.fromkeys((*notes(before, entries), *notes(after, entries)))),
    )


def _pairs(old: Sequence[Column], new: Sequence[Column]) -> Iterator[tuple[Column, Column]]:
    """Match the nodes, and let each side know of its node what the other shows."""
    if len(old) == len(new) == 1:
        matched = [(old[0], new[0]._replace(name=old[0].name))]
    else:
        named = {column.name: column for column in new}
        matched = [(column, named[column.name]) for column in old if column.name in named]
    for one, other in matched:
        yield (
            one._replace(
                addresses=one.addresses or other.addresses,
                pod_cidr=one.pod_cidr or other.pod_cidr,
            ),
            other._replace(
                addresses=other.addresses or one.addresses,
                pod_cidr=other.pod_cidr or one.pod_cidr,
            ),
        )


def _left_out(
    old: Sequence[Column], new: Sequence[Column], pairs: Sequence[tuple[Column, Column]]
) -> Iterator[str]:
    """Say which nodes are on one side alone, and whose address or pods are other ones."""
    known = {one.name for one, _ in pairs}
    if not len(old) == len(new) == 1:
        for side, columns in (("OLD", old), ("NEW", new)):
            for column in columns:
                if column.name not in known:
                    yield f"{column.name}, which is only in {side}"
    for one, other in pairs:
        if set(one.addresses).isdisjoint(other.addresses) and one.addresses:
            addresses = f"{', '.join(one.addresses)} → {', '.join(other.addresses)}"
            yield f"{one.name} at the other side's address: its own change ({addresses})"
        if one.pod_cidr != other.pod_cidr:
            cidrs = f"{one.pod_cidr} → {other.pod_cidr}"
            yield f"pods of {one.name} in its new podCIDR: it changes ({cidrs})"


def _both(
    entry: Entry, before: Sequence[NodeView], after: Sequence[NodeView]
) -> Iterator[tuple[From, tuple[Sequence[Cell], Sequence[Cell]]]]:
    """Give the cells of both sides for every kind of sender that says anything."""
    views = [*before, *after]
    if entry.via == "localhost" and not any(view.listens_at_localhost for view in views):
        return
    ranges = source_ranges(views, entry)
    pairs = list(zip(before, after, strict=True))
    each = [_senders(entry, one, other, ranges) for one, other in pairs]
    for kind in FROM:
        if any(kind not in some for some in each):
            continue
        cells = tuple(
            cells_of(
                entry,
                [(pair[side], some[kind][side]) for pair, some in zip(pairs, each, strict=True)],
            )
            for side in (0, 1)
        )
        if worth_a_row(entry, kind, [*cells[0], *cells[1]]):
            yield kind, (cells[0], cells[1])


def _senders(
    entry: Entry, one: NodeView, other: NodeView, ranges: Sequence[Network]
) -> dict[From, tuple[Sender | str, Sender | str]]:
    """Return the sender of each kind on both sides: the same packets, wherever that can be."""
    mine, theirs = (view.senders_to(entry, ranges) for view in (one, other))
    found: dict[From, tuple[Sender | str, Sender | str]] = {}
    for kind in FROM:
        first, second = mine.get(kind), theirs.get(kind)
        if first is None or second is None:
            continue
        if kind == "pod":
            first = second = _pod(one, other, first, second)
        elif kind != "node" and isinstance(first, Sender) and isinstance(second, Sender):
            second = first
        found[kind] = first, second
    return found


def _pod(one: NodeView, other: NodeView, first: Sender | str, second: Sender | str) -> Sender | str:
    """Return one pod for both sides: from the side whose rules show the pods' network.

    It comes in by the interface that either side's rules recognize pods by.
    """
    shows = one.around.pod_network is not None or other.around.pod_network is None
    chosen, rest = (first, second) if shows else (second, first)
    if isinstance(chosen, str):
        chosen = rest
    if isinstance(chosen, Sender):
        for view, sender in ((one, first), (other, second)):
            if view.around.pod_interface and isinstance(sender, Sender):
                return replace(chosen, interface=sender.interface)
    return chosen
