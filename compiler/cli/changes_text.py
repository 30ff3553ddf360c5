"""Changes of many nodes as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compiler.cli.changes_words import counts, elsewhere, sentence, where_words
from compiler.cli.colour import Paint, shown
from compiler.kube_rules.service_port import Key
from compiler.snapshots.changes import Changes, Placed, PortChanges
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
        where = where_words(placed.where, changes)
        yield paint(shown(f"may differ: {placed.change.what} ({where})"), "yellow")
    for placed in changes.not_compared:
        yield shown(f"not compared: {placed.change.what} ({where_words(placed.where, changes)})")
    for one in changes.renamed:
        yield shown(
            f"{one.old} is now {one.new}: only the names of its chains change "
            f"({where_words(one.where, changes)})"
        )


def _port_lines(port: PortChanges, changes: Changes, paint: Paint, place: str) -> Iterator[str]:
    sign = _SIGNS.get(port.kind, "")
    head = f"{sign} {port.key}" if sign else str(port.key)
    yield paint(shown(f"{head} ({where_words(port.where, changes)})"), "bold") + shown(place)
    for placed in port.changes:
        yield _line(placed, elsewhere(placed, port, changes), paint)


def _line(placed: Placed, where: str, paint: Paint) -> str:
    change = placed.change
    sign = "+" if change.before is None and change.after is not None else " "
    if change.after is None and change.before is not None:
        sign = "-"
    text = f"  {sign} {sentence(change)}" + (f" ({where})" if where else "")
    return paint(shown(text), _COLOURS[sign])


def summary_line(changes: Changes) -> str:
    """Give the last line: how much changes, and what differs in text only."""
    if changes.same and changes.silent:
        where = where_words(changes.silent, changes)
        return f"No change for traffic; rules differ in text only ({where})."
    return f"{counts(changes)}."
