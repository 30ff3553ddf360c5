"""What `verify --metrics` found as text, JSON, GitHub workflow commands and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from xml.sax.saxutils import escape, quoteattr

from compiler.cli.colour import Paint, shown
from compiler.cli.github import command
from compiler.cli.matrix_text import wrapped
from compiler.node_metrics.report import (
    MetricFinding,
    MetricsReport,
    NodeReport,
    RuleNumbers,
    State,
)
from compiler.node_metrics.sync import duration

NOT_SEEN = (
    "Equal numbers do not prove equal rules: endpoints that were exchanged, and rules that were "
    "changed after the sync, are not seen. verify --against compares the rules themselves."
)
_COLOURS = {"error": "red", "warning": "yellow", "information": "cyan"}
_STATE_COLOURS = {State.AS_PREDICTED: "green", State.STALE: "red"}
_HEAD = ("NODE", "FAMILY", "FILTER", "NAT", "SYNCED", "STATE")
# Of more nodes only those are shown that are not as predicted, without -v.
_ALL_SHOWN = 20
# Files that are named, of those that were not read.
_FILES = 3


def as_text(report: MetricsReport, paint: Paint, *, verbose: bool) -> Iterator[str]:
    """Give a table of nodes, what was found of each, and a summary."""
    few = verbose or len(report.nodes) <= _ALL_SHOWN
    listed = [one for one in report.nodes if few or one.state is not State.AS_PREDICTED]
    if listed:
        yield from _table(listed, paint)
    for name, findings in [("", report.findings), *((n.node, n.findings) for n in listed)]:
        some = [one for one in findings if verbose or not name or one.severity != "information"]
        if some and (name or listed):
            yield ""
        if some and name:
            yield paint(shown(name), "bold")
        for one in some:
            kind = paint(_in_words(one.kind), _COLOURS[one.severity])
            yield f"{'  ' if name else ''}{kind}: {shown(_place(one) + one.message)}"
    yield ""
    for note in _notes(report, left_out=len(report.nodes) - len(listed)):
        yield from wrapped(note, indent="")


def _table(nodes: Sequence[NodeReport], paint: Paint) -> Iterator[str]:
    rows = [_HEAD, *chain.from_iterable(map(_rows, nodes))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        state = row[-1]
        colour = _STATE_COLOURS.get(State(state), "yellow") if state in set(State) else ""
        yield "  ".join([*cells, paint(state, colour) if colour else state]).rstrip()


def _rows(node: NodeReport) -> Iterator[tuple[str, ...]]:
    """Give the lines of a node: one for each family that it has numbers of."""
    synced = "" if node.synced is None else f"{duration(node.synced)} ago"
    families = list(dict.fromkeys(numbers.family for numbers in node.numbers)) or [""]
    for place, family in enumerate(families):
        cells = {n.table: _cell(n) for n in node.numbers if n.family == family}
        named = family or ("either" if node.numbers else "")
        first = place == 0
        yield (
            shown(node.node) if first else "",
            named,
            cells.get("filter", "-"),
            cells.get("nat", "-"),
            synced if first else "",
            node.state.value if first else "",
        )


def _cell(numbers: RuleNumbers) -> str:
    if numbers.agrees:
        return f"{numbers.found:,}"
    return f"{numbers.found:,} ({' or '.join(f'{one:,}' for one in numbers.predicted)})"


def _notes(report: MetricsReport, left_out: int) -> Iterator[str]:
    if left_out:
        yield f"{_nodes(left_out)} as predicted not shown (-v shows them)."
    if report.hint:
        yield f"{report.hint}."
    if report.mixed:
        have = "has" if report.mixed == 1 else "have"
        yield (
            f"{_nodes(report.mixed)} {have} one number for both IP families, as kube-proxy before "
            "1.33: it was compared with either."
        )
    if report.not_read:
        names = ", ".join(map(shown, report.not_read[:_FILES]))
        more = f" and {len(report.not_read) - _FILES} more" if len(report.not_read) > _FILES else ""
        yield f"Not read, since the names are no node's metrics: {names}{more}."
    yield f"{summary(report)}."
    yield NOT_SEEN


def summary(report: MetricsReport) -> str:
    """Say how many nodes are in each state."""
    parts = [f"{report.states[state]:,} {state.value}" for state in State if report.states[state]]
    return f"{_nodes(len(report.nodes))}: {', '.join(parts)}"


def _nodes(count: int) -> str:
    return f"{count:,} node{'s'[: count != 1]}"


def _place(finding: MetricFinding) -> str:
    if not finding.file:
        return ""
    return f"{finding.file}:{finding.line}: " if finding.line else f"{finding.file}: "


def _in_words(kind: str) -> str:
    return kind.replace("-", " ")


def as_json(report: MetricsReport) -> str:
    """Return all that was found as one JSON object."""
    value = {
        "ok": not report.failed,
        "nodes": [
            {
                "node": node.node,
                "state": node.state.value,
                "syncedSecondsAgo": None if node.synced is None else round(node.synced, 3),
                "rules": [
                    {
                        "family": numbers.family or None,
                        "table": numbers.table,
                        "found": numbers.found,
                        "predicted": list(numbers.predicted),
                    }
                    for numbers in node.numbers
                ],
                "findings": list(map(_json_finding, node.findings)),
            }
            for node in report.nodes
        ],
        "findings": list(map(_json_finding, report.findings)),
        "states": {state.value: report.states[state] for state in State},
        "nodesWithOneNumberForBothFamilies": report.mixed,
        "hint": report.hint,
        "notRead": list(report.not_read),
        "notSeen": NOT_SEEN,
    }
    return json.dumps(value, indent=2)


def _json_finding(finding: MetricFinding) -> dict[str, object]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "message": finding.message,
        "file": finding.file or None,
        "line": finding.line or None,
    }


def as_github(report: MetricsReport) -> Iterator[str]:
    """Give workflow commands, one for each finding, and the summary."""
    levels = {"error": "error", "warning": "warning", "information": "notice"}
    for name, findings in [("", report.findings), *((n.node, n.findings) for n in report.nodes)]:
        for one in findings:
            message = shown(f"Node {name}: {one.message}" if name else one.message)
            title = _in_words(one.kind)
            yield command(levels[one.severity], title, message, one.file, one.line)
    yield summary(report)
    yield NOT_SEEN


def as_junit(report: MetricsReport) -> Iterator[str]:
    """Give JUnit XML: a test case for each node, and one for what is no node's."""
    cases = [(node.node, node.findings, bool(node.numbers)) for node in report.nodes]
    if report.findings:
        cases.append(("the metrics", report.findings, True))
    failures = sum(_fails(findings, compared=compared) for _, findings, compared in cases)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    totals = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="0"'
    yield f'<testsuites name="proxyrules verify" {totals}>'
    yield f'  <testsuite name="kube-proxy metrics" {totals}>'
    for name, findings, compared in cases:
        head = f'    <testcase classname="proxyrules.verify" name={quoteattr(shown(name))}'
        if not findings and compared:
            yield head + "/>"
            continue
        yield head + ">"
        yield from _outcome(findings, compared=compared)
        yield "    </testcase>"
    yield f"    <system-out>{escape(NOT_SEEN)}</system-out>"
    yield "  </testsuite>"
    yield "</testsuites>"


def _outcome(findings: Sequence[MetricFinding], *, compared: bool) -> Iterator[str]:
    lines = [escape(shown(f"{one.kind}: {_place(one)}{one.message}")) for one in findings]
    if not _fails(findings, compared=compared):
        yield "      <system-out>"
        yield from lines
        yield "      </system-out>"
        return
    failing = [one for one in findings if one.severity != "information"]
    kind, message = (
        (failing[0].kind, failing[0].message) if failing else ("not-compared", "not compared")
    )
    yield f'      <failure type="{kind}" message={quoteattr(shown(message))}>'
    yield from lines
    yield "      </failure>"


def _fails(findings: Sequence[MetricFinding], *, compared: bool) -> bool:
    return not compared or any(one.severity != "information" for one in findings)
