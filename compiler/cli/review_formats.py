"""A review as text and as JSON, and what all its formats say alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from compiler.cli.changes_json import changes_value
from compiler.cli.changes_text import change_lines, summary_line
from compiler.cli.colour import Paint, shown
from compiler.cli.lint_machine import message_of
from compiler.snapshots.changes import PortChanges

if TYPE_CHECKING:
    from compiler.analysis.lint.run import Located
    from compiler.snapshots.review import Review


def sides(review: Review) -> tuple[str, str]:
    """Name both sides: `main (merge base 1a2b3c4d5e)`, and the work tree or HEAD."""
    at = "merge base " * review.base_moved_on + review.base.short
    old = f"{review.base.name} ({at})"
    files = f"{review.uncommitted} uncommitted file{'s' if review.uncommitted != 1 else ''}"
    if review.head is not None:
        new = f"{review.head.name} ({review.head.short})"
        return old, f"{new}, without {files}" if review.uncommitted else new
    return old, f"the work tree, with {files}" if review.uncommitted else "the work tree"


def summary(review: Review) -> str:
    """Sum the review up in one line."""
    line = summary_line(review.changes)
    if review.not_looked_at and review.changes.same:
        line = line.replace("No change for traffic", "No change for traffic in what was compared")
    return line


def as_text(review: Review, paint: Paint) -> Iterator[str]:
    """Give the lines for a reader."""
    old, new = sides(review)
    yield shown(f"{old} → {new}")
    yield ""
    lines = list(change_lines(review.changes, paint, review.places))
    yield from lines
    if lines:
        yield ""
    for words in review.not_looked_at:
        yield paint(shown(f"not compared: {words}"), "yellow")
    for note in review.notes:
        yield shown(f"note: {note}")
    for one in review.findings:
        yield paint(finding_line(one), "yellow")
    yield summary(review)


def finding_line(one: Located) -> str:
    """Write a finding of lint in one line."""
    parts = [one.file, *(str(number) for number in (one.line, one.column) if number)]
    place = ":".join(parts) + ": " if one.file else ""
    return shown(f"new finding: {place}{one.severity} {one.id}: {message_of(one)}")


def as_json(review: Review) -> str:
    """Return the review as one JSON object."""

    def place(port: PortChanges) -> dict[str, Any]:
        found = review.places.get(port.key)
        if found is None:
            return {"place": None}
        return {"place": {"file": found.file, "line": found.line, "column": found.column}}

    value = {
        "same": review.same,
        "base": {"name": review.base.name, "mergeBase": review.base.sha},
        "head": None
        if review.head is None
        else {"name": review.head.name, "commit": review.head.sha},
        "uncommittedFiles": review.uncommitted,
        "snapshots": {"compared": review.snapshots, "withTheSameInput": review.unchanged},
        **changes_value(review.changes, place),
        "notLookedAt": list(review.not_looked_at),
        "notes": list(review.notes),
        "newFindings": [
            {
                "rule": one.id,
                "severity": one.severity,
                "message": message_of(one),
                "file": one.file or None,
                "line": one.line or None,
                "column": one.column or None,
            }
            for one in review.findings
        ],
        "problems": [str(problem) for problem in review.problems],
    }
    value["same"] = review.same
    return json.dumps(value, indent=2) + "\n"
