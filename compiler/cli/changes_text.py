"""Changes of many nodes as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.cli.changes_words import counts, elsewhere, sentence, sign, where_words
from compiler.cli.colour import Paint, shown
from compiler.kube_rules.service_port import Key
from compiler.snapshots.changes import Changes, Placed, PortChanges, Where
from compiler.snapshots.places import FilePlace

_SIGNS = {"added": "+", "removed": "-"}
_COLOURS = {"+": "green", "-": "red", " ": "yellow"}


def change_lines(
    changes: Changes, paint: Paint, places: Mapping[Key, FilePlace] | None = None
) -> Iterator[str]:
    """Give a block per service port, then what belongs to none, then what was not compared."""
    for port in changes.ports:
        place = (places or {}).get(port.key)
        yield from _port_lines(port, changes, paint, f"  {place}" if place else "")
    if changes.node:
        yield paint("the whole node", "bold")
        for placed in changes.node:
            yield _line(placed, where_words(placed.where, changes), paint)
    for placed in changes.may_differ:
        yield paint(
            shown(f"may differ: {placed.change.what}{_at(placed.where, changes)}"), "yellow"
        )
    for placed in changes.not_compared:
        yield shown(f"not compared: {placed.change.what}{_at(placed.where, changes)}")
    for one in changes.renamed:
        words = f"{one.old} is now {one.new}: only the names of its chains change"
        yield shown(f"{words}{_at(one.where, changes)}")


def _at(where: Sequence[Where], changes: Changes) -> str:
    words = where_words(where, changes)
    return f" ({words})" if words else ""


def _port_lines(port: PortChanges, changes: Changes, paint: Paint, place: str) -> Iterator[str]:
    mark = _SIGNS.get(port.kind, "")
    head = f"{mark} {port.key}" if mark else str(port.key)
    yield paint(shown(f"{head}{_at(port.where, changes)}"), "bold") + shown(place)
    for placed in port.changes:
        yield _line(placed, elsewhere(placed, port, changes), paint)


def _line(placed: Placed, where: str, paint: Paint) -> str:
    mark = sign(placed.change)
    text = f"  {mark} {sentence(placed.change)}" + (f" ({where})" if where else "")
    return paint(shown(text), _COLOURS[mark])


def summary_line(changes: Changes) -> str:
    """Give the last line: how much changes, and what differs in text only."""
    if changes.same and changes.silent:
        where = _at(changes.silent, changes)
        return f"No change for traffic; rules differ in text only{where}."
    return f"{counts(changes)}."
