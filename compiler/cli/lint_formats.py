"""Findings of `lint` as text, and what the formats for programs share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from compiler.analysis.lint.rule import SEVERITIES
from compiler.analysis.lint.run import LintReport, Located
from compiler.analysis.lint.unchecked import unchecked_lines
from compiler.cli.colour import Paint, shown
from compiler.cli.messages import option_name

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
# What a caret line underlines: a scalar up to the next blank, comma or bracket, or a quoted one.
_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,\]}]+")
# A longer line, such as all of a JSON text, helps no reader.
MAX_SHOWN = 160


def as_text(report: LintReport, paint: Paint) -> Iterator[str]:
    """Give the lines for a reader: every finding with its line of the input, and a summary."""
    for one in report.findings:
        yield from _finding_lines(one, paint)
    yield from closing_lines(report, paint)


def closing_lines(report: LintReport, paint: Paint) -> Iterator[str]:
    """Give what was not looked at, and the summary."""
    for line in unchecked_lines(report):
        yield f"{paint('not checked', 'magenta')}: {shown(line)}"
    yield summary(report)


def _finding_lines(one: Located, paint: Paint) -> Iterator[str]:
    place = place_of(one)
    head = f"{paint(shown(place), 'bold')}: " if place else ""
    label = paint(f"{one.severity} {one.id}", _COLOURS[one.severity])
    subject = f"{one.subject}: " if one.subject else ""
    yield f"{head}{label}: {shown(subject + one.message)}"
    yield from _source_lines(one, paint)
    if one.hint:
        yield f"  hint: {shown(one.hint)}"


def _source_lines(one: Located, paint: Paint) -> Iterator[str]:
    """Give the line in question, and carets below the value."""
    if not one.line or not one.text.strip() or len(one.text) > MAX_SHOWN:
        return
    text = one.text.rstrip().replace("\t", " ")
    number = str(one.line)
    yield f"  {number} | {shown(text)}"
    if one.column:
        carets = "^" * token_length(one)
        margin = " " * len(number)
        yield f"  {margin} | {' ' * (one.column - 1)}{paint(carets, _COLOURS[one.severity])}"


def token_length(one: Located) -> int:
    """Return how long the value in question is, on its line; 1 where that is not known."""
    found = _TOKEN.match(one.text, max(one.column - 1, 0))
    return max(1, len(found[0].rstrip(":"))) if found else 1


def place_of(one: Located) -> str:
    """Return `file:line:column`, as much of it as there is; else the option in question."""
    if not one.file:
        return option_name(one.argument) if one.argument else ""
    return ":".join([one.file, *(str(part) for part in (one.line, one.column) if part)])


def summary(report: LintReport) -> str:
    """Return what was found, and what was looked at."""
    looked = f"{counted(report.services, 'Service')}, {counted(report.nodes, 'Node')}"
    if report.dumps:
        looked += f", {counted(report.dumps, 'dump')}"
    by = f"{counted(len(report.rules) - len(report.idle), 'rule')} checked {looked}"
    counts = Counter(one.severity for one in report.findings)
    parts = [
        f"{counts[severity]} {'informational' if severity == 'info' else severity}"
        f"{'s' if counts[severity] > 1 and severity != 'info' else ''}"
        for severity in SEVERITIES
        if counts[severity]
    ]
    left_out = []
    if report.suppressed:
        left_out.append(f"{report.suppressed} ignored by annotations")
    if report.known:
        left_out.append(f"{report.known} known by the baseline")
    if report.gone:
        left_out.append(f"{report.gone} of the baseline no longer found")
    return "; ".join([", ".join(parts) or "No findings", *left_out, by]) + "."


def counted(number: int, noun: str) -> str:
    """Write a number of things: `1 rule`, `2,000 rules`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
