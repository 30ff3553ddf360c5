"""The words of a matrix: entry points, cells, and columns that are shown as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from compiler.analysis.cells import Cell, Result, alike
from compiler.analysis.matrix import Matrix, Row
from compiler.analysis.node_view import FROM, Entry, From
from compiler.analysis.packet_words import percent
from compiler.kube_rules.service_port import Key

VIA_WORDS = {
    "cluster-ip": "cluster IP",
    "node-port": "node port",
    "external-ip": "external IP",
    "load-balancer": "load balancer",
    "external-address": "external address",
    "localhost": "node port",
}
_SENDERS: dict[From, str] = {
    "pod": "a pod of the node that is no endpoint here",
    "node": "the node itself",
    "outside": "an address outside the cluster, for documentation",
    "source-range": "an address in the first source range",
    "localhost": "the node itself, by its loopback address",
}
FROM_WORDS: dict[From, str] = {**{kind: kind for kind in FROM}, "source-range": "source range"}
SCOPE = (
    "The first packet of a new connection, as these rules alone treat it; replies, routes and "
    "what is outside iptables are not looked at."
)
# More names of nodes than these are counted.
_NAMED = 3


class Line(NamedTuple):
    """Rows of one entry point that are the same for several senders, as one."""

    entry: Entry
    senders: tuple[From, ...]
    cells: tuple[Cell, ...]


class Block(NamedTuple):
    """A service port's lines, and its columns: those with the same cells are one.

    `groups` are the places of the columns that each is made of; the cells of a line are those of
    the first of each.
    """

    key: Key
    groups: tuple[tuple[int, ...], ...]
    lines: tuple[Line, ...]


def blocks(matrix: Matrix) -> Iterator[Block]:
    """Give the service ports of a matrix, in its order."""
    for key, rows in groupby(matrix.rows, key=lambda row: row.entry.key):
        yield block(key, list(rows))


def block(key: Key, rows: Sequence[Row]) -> Block:
    """Put the equal columns and the equal rows of a service port together."""
    groups = grouped(list(zip(*(row.cells for row in rows), strict=True)))
    lines: list[Line] = []
    for row in rows:
        cells = tuple(row.cells[group[0]] for group in groups)
        for place, line in enumerate(lines):
            if line.entry == row.entry and _same(line.cells, cells):
                lines[place] = line._replace(senders=(*line.senders, row.sender))
                break
        else:
            lines.append(Line(row.entry, (row.sender,), cells))
    return Block(key, groups, tuple(lines))


def _same(one: Sequence[Cell], other: Sequence[Cell]) -> bool:
    return all(alike(a, b) for a, b in zip(one, other, strict=True))


def groups_of(cells: Sequence[Cell]) -> tuple[tuple[int, ...], ...]:
    """Group the places of equal cells, in the order of the first of each."""
    return grouped([(cell,) for cell in cells])


def grouped(columns: Sequence[Sequence[Cell]]) -> tuple[tuple[int, ...], ...]:
    """Group the places of equal columns, in the order of the first of each."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, column in enumerate(columns):
        key = tuple(tuple(result.alike for result in cell) for cell in column)
        groups.setdefault(key, []).append(place)
    return tuple(map(tuple, groups.values()))


def nodes_in_words(places: Sequence[int], names: Sequence[str]) -> str:
    """Name the nodes that a column is for: all of them, their names, or how many."""
    if len(places) == len(names) > _NAMED:
        return f"all {len(names)} nodes"
    if len(places) <= _NAMED:
        return ", ".join(names[place] for place in places)
    others = [name for place, name in enumerate(names) if place not in set(places)]
    if len(others) <= _NAMED:
        return f"{len(places)} nodes, all but {', '.join(others)}"
    return f"{len(places)} nodes: {', '.join(names[place] for place in places[:2])}, ..."


def entry_in_words(entry: Entry) -> str:
    """Write an entry point with its kind: `cluster IP 10.96.0.10:53/udp`, `node port 30080`."""
    protocol = "" if entry.key.protocol == "tcp" else f"/{entry.key.protocol}"
    return f"{VIA_WORDS[entry.via]} {address_of(entry)}{protocol}"


def address_of(entry: Entry) -> str:
    """Write where an entry point is: address and port, or the port alone for a node port."""
    host = f"[{entry.address}]" if ":" in entry.address else entry.address
    return f"{host}:{entry.port}" if host else str(entry.port)


def cell_in_words(cell: Cell, *, fold: int = 0) -> list[str]:
    """Write a cell, one text for each thing that becomes of its packets.

    With `fold` no more endpoints than that are named in one text; the others are counted.
    """
    return [_part(list(some), fold) for _, some in groupby(cell, key=_kind_of_part)]


def _kind_of_part(result: Result) -> tuple[object, ...]:
    share, kind, to, source, at = result.alike
    return share, kind, "" if kind == "endpoint" else to, source, at


def _part(results: Sequence[Result], fold: int) -> str:
    first, count = results[0], len(results)
    source = {"": "", "masquerade": "masqueraded"}.get(first.source, f"source {first.source}")
    share = percent(first.share) if first.share != 1 else ""
    where = f"at {first.at}: " if first.at else ""
    if first.kind != "endpoint":
        what = _outcome(first)
    elif count == 1:
        what = first.to
    else:
        about = ", ".join(filter(None, [f"{count} endpoints", f"{share} each", source]))
        return f"{where}{about}: {_endpoints(results, fold)}"
    if share:
        return f"{where}{', '.join(filter(None, [share, source]))}: {what}"
    return where + ", ".join(filter(None, [what, source]))


def _endpoints(results: Sequence[Result], fold: int) -> str:
    names = [result.to for result in results]
    if fold and len(names) > fold:
        return f"{', '.join(names[: fold - 1])} and {len(names) - fold + 1} more"
    return ", ".join(names)


def _outcome(result: Result) -> str:
    if result.kind == "rejected":
        return f"rejected ({result.to})" if result.to else "rejected"
    if result.kind == "undecided":
        return f"undecided: depends on {result.to}"
    return f"not known: {result.to}" if result.kind == "unknown" else result.kind


def legend(matrix: Matrix) -> Iterator[tuple[str, str]]:
    """Give what the kinds of senders are, each with its name."""
    for kind, words in _SENDERS.items():
        found = dict.fromkeys(
            row.sources for row in matrix.rows if row.sender == kind and any(row.sources)
        )
        if found:
            # another one where a Service's source ranges have the first, or one for each Service
            first, *others = (_by_column(sources, matrix.columns) for sources in found)
            more = f"; for some Services {', '.join(others)}" if others else ""
            yield FROM_WORDS[kind], f"{words}: {first}{more}"
    if any(row.entry.via == "node-port" for row in matrix.rows):
        own = [", ".join(some) for some in matrix.addresses]
        if any(own):
            words = "the nodes' own addresses" if len(own) > 1 else "the node's own address"
            yield "node port", f"at {words}: {_by_column(own, matrix.columns)}"


def _by_column(addresses: Sequence[str], names: Sequence[str]) -> str:
    """Write one address for all nodes, or those of the first nodes."""
    if len(set(addresses)) == 1:
        return addresses[0] or "not known"
    shown = [f"{one or 'not known'} ({name})" for one, name in zip(addresses, names, strict=True)]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
