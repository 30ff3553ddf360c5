"""A review as a comment on a pull request: Markdown that GitHub and GitLab take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from compiler.cli.changes_words import (
    NOTHING,
    counts,
    sentence,
    summary,
    table_subject,
    value,
    where_words,
)
from compiler.cli.colour import shown
from compiler.cli.lint_machine import message_of
from compiler.cli.review_formats import sides

if TYPE_CHECKING:
    from compiler.analysis.lint.run import Located
    from compiler.snapshots.changes import Changes, PortChanges
    from compiler.snapshots.review import Review

# GitHub takes 65,536 characters.
MAX_LENGTH = 65_000
# Lines of a table's cell, things not compared, and characters of one line.
_SUMMARIZED, _LISTED, _CLIPPED = 6, 20, 500
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_NO_MENTION = "@\N{ZERO WIDTH SPACE}"


def as_markdown(review: Review, base: str, link: str | None, limit: int = MAX_LENGTH) -> str:
    """Return the comment, at most `limit` characters long.

    Where it would be longer, the last service ports have no details, then no line of their own:
    they are counted. `link` is where the rest can be read.
    """
    head, tail = _head(review), _tail(review)
    rows = [_row(port, review.changes) for port in review.changes.ports]
    details = [_details(port, review) for port in review.changes.ports]
    whole = "".join([head, *_table(rows), *details, tail])
    if len(whole) <= limit:
        return whole
    # the sentence on what is cut, in its longest form
    room = limit - len(head) - len(tail) - len(_cut(review, 0, 0, base, link)) - 200
    listed, room = _fitting(rows, room)
    detailed, _ = _fitting(details[: len(listed)], room)
    cut = _cut(review, len(listed), len(detailed), base, link)
    return "".join([head, *_table(listed), cut, *detailed, tail])


def _fitting(texts: Sequence[str], room: int) -> tuple[list[str], int]:
    """Return as many of the first texts as fit, and the room that is left."""
    found = []
    for text in texts:
        if len(text) > room:
            break
        room -= len(text)
        found.append(text)
    return found, room


def _cut(review: Review, listed: int, detailed: int, base: str, link: str | None) -> str:
    ports = review.changes.ports
    kinds = Counter(port.kind for port in ports[listed:])
    left = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    where = f"[the whole review]({link})" if link else f"run {code(f'proxyrules review {base}')}"
    words = f"This comment is cut: {detailed} of {len(ports)} service ports have their details"
    more = f", {len(ports) - listed} are not listed ({left})" if left else ""
    return f"\n{words}{more}. For all of them: {where}.\n\n"


def _head(review: Review) -> str:
    old, new = sides(review)
    if review.changes.same:
        limited = " in what was compared" if review.not_looked_at else ""
        title = f"No change for traffic{limited}"
    else:
        title = "What changes for traffic"
    number = review.snapshots
    compared = f"{number} snapshot{'s' if number != 1 else ''} compared"
    if review.unchanged:
        compared += f", {review.unchanged} of them with the same input"
    line = f"{plain_text(old)} → {plain_text(new)}: {compared}."
    if not review.changes.same:
        line += f" {plain_text(counts(review.changes))}."
    return f"### {title}\n\n{line}\n\n"


def _table(rows: Sequence[str]) -> list[str]:
    if not rows:
        return []
    return ["| Service port | What changes | Nodes |\n|---|---|---|\n", *rows, "\n"]


def _row(port: PortChanges, changes: Changes) -> str:
    lines = summary(port, changes)
    if len(lines) > _SUMMARIZED:
        lines = [*lines[: _SUMMARIZED - 1], f"and {len(lines) - _SUMMARIZED + 1} more"]
    words = "<br>".join(map(plain_text, lines))
    return f"| {code(str(port.key))} | {words} | {plain_text(where_words(port.where, changes))} |\n"


def _details(port: PortChanges, review: Review) -> str:
    """Write the changes of a service port, unfolded on click."""
    place = review.places.get(port.key)
    head = f"<details><summary>{_html(str(port.key))}</summary>\n\n"
    at = f"{code(str(place))}\n\n" if place else ""
    lines = ["| What | Before | After | Nodes |\n|---|---|---|---|\n"]
    for placed in port.changes:
        change = placed.change
        cells = [
            plain_text(table_subject(change)),
            *(_value(value(side)) for side in (change.before, change.after)),
            plain_text(where_words(placed.where, review.changes)),
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join([head, at, *lines, "\n</details>\n\n"])


def _tail(review: Review) -> str:
    """Write what belongs to no service port, what differs in text only and what was not seen."""
    return "".join(_tail_lines(review))


def _tail_lines(review: Review) -> Iterator[str]:
    changes = review.changes
    node = [f"{sentence(one.change)} ({where_words(one.where, changes)})" for one in changes.node]
    yield from _list("Rules of the whole node", node)
    may = [f"{one.change.what} ({where_words(one.where, changes)})" for one in changes.may_differ]
    yield from _list("May differ", may)
    renamed = [
        f"{one.old} is now {one.new} ({where_words(one.where, changes)})" for one in changes.renamed
    ]
    yield from _list("Renamed, with no change for traffic", renamed)
    if changes.silent:
        where = where_words(changes.silent, changes)
        words = f"Rules differ in text only on {plain_text(where)}"
        yield f"{words}: no packet is treated differently.\n\n"
    missed = [
        f"{one.change.what} ({where_words(one.where, changes)})" for one in changes.not_compared
    ]
    yield from _list("Not compared", [*review.not_looked_at, *missed])
    yield from _list("New findings of lint", [_finding(one) for one in review.findings])
    yield from _list("Notes", review.notes)


def _finding(one: Located) -> str:
    place = f"{one.file}:{one.line}: " if one.line else f"{one.file}: " if one.file else ""
    hint = f"; {one.hint}" if one.hint else ""
    return f"{place}{one.severity} {one.id}: {message_of(one)}{hint}"


def _list(title: str, entries: Sequence[str]) -> Iterator[str]:
    if not entries:
        return
    yield f"**{title}**\n\n"
    some = entries if len(entries) <= _LISTED + 1 else entries[:_LISTED]
    yield from (f"- {plain_text(entry)}\n" for entry in some)
    if len(some) < len(entries):
        yield f"- and {len(entries) - len(some)} more\n"
    yield "\n"


def _clipped(text: str) -> str:
    return text if len(text) <= _CLIPPED else f"{text[: _CLIPPED - 3]}..."


def plain_text(text: str) -> str:
    """Write text so that nothing in it is markup, and nobody is mentioned."""
    return _MARKUP.sub(r"\\\1", _clipped(shown(text))).replace("@", _NO_MENTION)


def _value(text: str) -> str:
    return text if text == NOTHING else code(text)


def code(text: str) -> str:
    """Write a value of a table cell: nothing in it may end the cell or begin markup."""
    escaped = _clipped(shown(text)).replace("|", "\\|").replace("`", "'")
    return f"`{escaped}`"


def _html(text: str) -> str:
    from html import escape

    return f"<code>{escape(_clipped(shown(text)))}</code>"
