"""A review as annotations of lines: GitHub's workflow commands and GitLab's code quality report.

Sources: https://docs.github.com/actions/reference/workflow-commands-for-github-actions,
https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from compiler.cli import github
from compiler.cli.changes_words import elsewhere, sentence, where_words
from compiler.cli.lint_machine import annotation, message_of
from compiler.cli.review_formats import summary

if TYPE_CHECKING:
    from compiler.snapshots.changes import PortChanges
    from compiler.snapshots.review import Review

_REFUSED = ("rejected", "dropped")


def is_loss(port: PortChanges) -> bool:
    """Say whether traffic that was served is not served any more."""
    refused = any(
        one.change.what == "traffic to" and (one.change.after or "").startswith(_REFUSED)
        for one in port.changes
    )
    return port.kind == "removed" or refused


def as_github(review: Review) -> Iterator[str]:
    """Give an annotation per service port, those that lose traffic first.

    GitHub shows ten annotations of a level for each step.
    """
    changes = review.changes
    for port in sorted(changes.ports, key=is_loss, reverse=True):
        place = review.places.get(port.key)
        level = "warning" if is_loss(port) else "notice"
        title = f"{port.key} {_verb(port)}"
        path, line = (place.file, place.line) if place else ("", 0)
        yield github.command(level, title, "\n".join(_message(port, review)), path, line)
    for placed in (*changes.node, *changes.may_differ):
        where = where_words(placed.where, changes)
        yield github.command("warning", "traffic changes", f"{sentence(placed.change)} ({where})")
    for one in review.findings:
        yield annotation(one)
    for words in review.not_looked_at:
        yield github.command("warning", "not compared", words, review.file)
    yield summary(review)


def _verb(port: PortChanges) -> str:
    return "changes for traffic" if port.kind == "changed" else f"is {port.kind}"


def _message(port: PortChanges, review: Review) -> Iterator[str]:
    for placed in port.changes:
        where = elsewhere(placed, port, review.changes)
        yield sentence(placed.change) + (f" ({where})" if where else "")
    yield f"Nodes: {where_words(port.where, review.changes)}"


def as_gitlab(review: Review) -> str:
    """Return a code quality report, with an issue per service port and per thing not compared."""
    issues = []
    for port in review.changes.ports:
        place = review.places.get(port.key)
        text = f"{port.key} {_verb(port)}: {'; '.join(_message(port, review))}"
        severity = "major" if is_loss(port) else "info"
        at = (place.file, place.line) if place else (review.file, 1)
        issues.append(_issue("traffic-change", str(port.key), text, severity, at))
    for placed in (*review.changes.node, *review.changes.may_differ):
        text = f"{sentence(placed.change)} ({where_words(placed.where, review.changes)})"
        issues.append(_issue("traffic-change", text, text, "major", (review.file, 1)))
    for one in review.findings:
        text = f"{one.id}: {message_of(one)}"
        severity = "critical" if one.severity == "error" else "major"
        at = (one.file or review.file, one.line or 1)
        issues.append(_issue(one.rule.name, one.subject, text, severity, at))
    for words in review.not_looked_at:
        issues.append(_issue("not-compared", words, words, "minor", (review.file, 1)))  # noqa: PERF401
    return json.dumps(issues, indent=2) + "\n"


def _issue(
    check: str, subject: str, text: str, severity: str, at: tuple[str, int]
) -> dict[str, object]:
    # the same change keeps its fingerprint when lines move
    fingerprint = hashlib.sha256(f"{check}\0{subject}\0{text}".encode()).hexdigest()
    return {
        "description": text,
        "check_name": f"proxyrules/{check}",
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": at[0], "lines": {"begin": at[1]}},
    }
