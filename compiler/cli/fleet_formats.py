"""A fleet's report as text, JSON and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from compiler.cli.colour import Paint, shown
from compiler.cli.fleet_words import (
    NO_DUMP,
    Row,
    groups,
    kind_in_words,
    nodes_in_words,
    problem_in_words,
    rows,
    state_in_words,
    summary,
)
from compiler.errors import Problem
from compiler.fleet.report import FleetFinding, FleetReport
from compiler.fleet.results import State

_COLOURS = {"error": "red", "information": "cyan"}
_STATE_COLOURS: dict[str, str] = {
    State.CLEAN: "green",
    State.STALE: "yellow",
    State.NOT_CHECKED: "cyan",
}
# So many nodes are all listed; of more the clean ones are counted.
_SHORT = 30
# Findings of one service port that are shown without -v.
_SHOWN = 8


def as_text(report: FleetReport, paint: Paint, *, verbose: bool) -> Iterator[str]:
    """Give the lines for a reader: the nodes, what is wrong with them, and with the input."""
    yield from _table(report, paint, verbose=verbose)
    for service, findings in groups(report.findings):
        yield ""
        yield paint(shown(service), "bold")
        listed = findings if verbose else findings[:_SHOWN]
        for one in listed:
            yield from _finding_lines(one, paint, verbose=verbose)
        if len(listed) < len(findings):
            yield f"  … and {len(findings) - len(listed)} more (-v shows them)"
    if report.not_listed:
        yield ""
        yield f"{report.not_listed:,} more findings, of dumps that have over 100, are not listed."
    for title, problems in (("input", report.problems), ("notes", report.notes)):
        if problems:
            yield ""
            yield paint(title, "bold")
            yield from (f"  {shown(problem_in_words(problem))}" for problem in problems)
    if report.others and verbose:
        yield f"  {report.others:,} files that are no dumps were left out"
    yield ""
    yield summary(report)


def _table(report: FleetReport, paint: Paint, *, verbose: bool) -> Iterator[str]:
    found = rows(report)
    listed = found
    if not verbose and len(found) > _SHORT:
        listed = [row for row in found if row.state not in (State.CLEAN, NO_DUMP)]
    heads = ("NODE", "STATE", "DUMP")
    cells = [(shown(row.node), row.state, shown(row.dump)) for row in listed]
    widths = [max(len(row[place]) for row in (heads, *cells)) for place in (0, 1)]
    yield "  ".join((heads[0].ljust(widths[0]), heads[1].ljust(widths[1]), heads[2]))
    for row, (node, state, dump) in zip(listed, cells, strict=True):
        colour = _STATE_COLOURS.get(row.kind, "red")
        words = paint(state, colour) + " " * (widths[1] - len(state))
        yield f"{node.ljust(widths[0])}  {words}  {dump}".rstrip()
    if len(listed) < len(found):
        clean = sum(row.state == State.CLEAN for row in found)
        if clean:
            yield f"… and {clean:,} clean (-v lists them)"
        if report.without_dump:
            yield f"no dump: {shown(nodes_in_words(report.without_dump))}"


def _finding_lines(one: FleetFinding, paint: Paint, *, verbose: bool) -> Iterator[str]:
    finding = one.finding
    kind = paint(kind_in_words(finding), _COLOURS[finding.severity])
    yield f"  {kind}: {shown(finding.message)}"
    yield f"      {shown(nodes_in_words(one.nodes, all_of_them=verbose))}"
    if finding.expected:
        yield shown(f"      should be  {finding.expected}")
    if finding.found:
        yield shown(f"      is         {finding.found}")


def as_json(report: FleetReport) -> str:
    """Return the report as one JSON object."""
    value = {
        "ok": not report.failed,
        "fleet": report.name,
        "family": report.family.value,
        "states": {str(state): count for state, count in report.states.items()}
        | ({NO_DUMP: len(report.without_dump)} if report.without_dump else {}),
        "nodes": [_node(row) for row in rows(report)],
        "findings": [
            {
                "severity": one.finding.severity,
                "kind": one.finding.kind,
                "nodes": list(one.nodes),
                "service": one.finding.service,
                "table": one.finding.table,
                "chain": one.finding.chain,
                "message": one.finding.message,
                "expected": one.finding.expected,
                "found": one.finding.found,
                "example": {"dump": one.dump, "line": one.finding.line or None},
            }
            for one in report.findings
        ],
        "findingsNotListed": report.not_listed,
        "problems": [_problem(problem) for problem in report.problems],
        "notes": [_problem(problem) for problem in report.notes],
        "otherFiles": report.others,
    }
    return json.dumps(value, indent=2) + "\n"


def _node(row: Row) -> dict[str, object]:
    result = row.result
    made = result.generated if result else None
    return {
        "node": row.node,
        "state": row.kind,
        "dump": row.dump or None,
        "errors": result and result.errors,
        "staleEndpoints": result and result.stale_endpoints,
        "staleServicePorts": result and result.stale_services,
        "checked": result and {"rules": result.rules, "chains": result.chains},
        "generated": made and made.isoformat(),
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file or None,
        "line": problem.line,
        "subject": problem.subject or None,
        "message": problem_in_words(Problem("", problem.message, argument=problem.argument)),
        "text": problem_in_words(problem),
    }


def as_junit(report: FleetReport) -> Iterator[str]:
    """Give JUnit XML: a test case per dump, and one per node without a dump."""
    found = rows(report)
    failures = sum(_is_faulty(row) for row in found)
    errors = sum(_is_unchecked(row) for row in found)
    skipped = sum(row.kind == State.NOT_CHECKED for row in found)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    totals = f'tests="{len(found)}" failures="{failures}" errors="{errors}" skipped="{skipped}"'
    yield f'<testsuites name="proxyrules verify --fleet" {totals}>'
    yield f"  <testsuite name={quoteattr(shown(report.name))} {totals}>"
    for row in found:
        yield from _case(row)
    notes = [*report.problems, *report.notes]
    if notes:
        yield "    <system-out>"
        yield from (escape(shown(problem_in_words(problem))) for problem in notes)
        yield "    </system-out>"
    yield "  </testsuite>"
    yield "</testsuites>"


def _is_unchecked(row: Row) -> bool:
    return row.kind in (NO_DUMP, State.UNREADABLE, State.UNKNOWN)


def _is_faulty(row: Row) -> bool:
    return not _is_unchecked(row) and row.kind not in (State.CLEAN, State.NOT_CHECKED)


def _case(row: Row) -> Iterator[str]:
    name = f"{row.node} ({row.dump})" if row.dump else row.node
    head = f'    <testcase classname="proxyrules.verify" name={quoteattr(shown(name))}'
    if row.kind == State.CLEAN:
        yield head + "/>"
        return
    yield head + ">"
    if row.kind == State.NOT_CHECKED:
        yield "      <skipped/>"
    elif _is_unchecked(row) or row.result is None:
        problem = row.result.problem if row.result else "the node has no dump"
        yield f'      <error type="{row.kind}" message={quoteattr(shown(problem))}/>'
    else:
        words = quoteattr(state_in_words(row.result))
        yield f'      <failure type="{row.kind}" message={words}>'
        for finding in row.result.findings:
            place = f"line {finding.line}: " if finding.line else ""
            service = f"{finding.service}: " if finding.service else ""
            line = f"{kind_in_words(finding)}: {service}{place}{finding.message}"
            yield escape(shown(line))
        if row.result.not_listed:
            yield f"and {row.result.not_listed} more"
        yield "      </failure>"
    yield "    </testcase>"
