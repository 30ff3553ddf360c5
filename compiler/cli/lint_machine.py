"""Findings of `lint` for programs: JSON, GitHub commands, JUnit XML, GitLab code quality."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from compiler.analysis.lint.baseline import fingerprint
from compiler.analysis.lint.run import LintReport, Located
from compiler.analysis.lint.unchecked import unchecked_lines
from compiler.cli import github
from compiler.cli.colour import shown
from compiler.cli.lint_formats import place_of, summary, token_length
from compiler.cli.lint_levels import fails


def as_json(report: LintReport, level: str) -> str:
    """Return the findings as one JSON object."""
    value = {
        "ok": not any(fails(one.severity, level) for one in report.findings),
        "checked": {
            "services": report.services,
            "nodes": report.nodes,
            "dumps": report.dumps,
            "rules": [rule.id for rule in report.rules if rule.id not in report.idle],
        },
        "findings": [
            {
                "rule": one.id,
                "name": one.rule.name,
                "severity": one.severity,
                "object": one.subject,
                "field": one.field,
                "message": one.message,
                "hint": one.hint,
                "file": one.file or None,
                "line": one.line or None,
                "column": one.column or None,
                "option": place_of(one) if one.argument and not one.file else None,
                "fixable": bool(one.fix),
            }
            for one in report.findings
        ],
        "not_checked": [
            *({"rule": rule, "reason": reason} for rule, reason in report.unchecked),
            *({"rule": rule, "reason": f"needs {need}"} for rule, need in report.idle.items()),
        ],
        "suppressed": report.suppressed,
        "baseline": {"known": report.known, "gone": report.gone},
    }
    return json.dumps(value, indent=2) + "\n"


def message_of(one: Located) -> str:
    """Return object and message, with the option in question where no file has it."""
    place = place_of(one) if not one.file else ""
    return ": ".join(part for part in (place, one.subject, one.message) if part)


def annotation(one: Located) -> str:
    """Return a finding as GitHub shows it at its line."""
    level = "notice" if one.severity == "info" else one.severity
    message = "\n".join(map(shown, filter(None, (message_of(one), one.hint))))
    columns = (one.column, one.column + token_length(one)) if one.column else None
    title = f"{one.id} {one.rule.name}"
    return github.command(level, title, message, one.file, one.line, columns)


def as_github(report: LintReport) -> Iterator[str]:
    """Give workflow commands, which GitHub shows as annotations of the job."""
    yield from map(annotation, report.findings)
    for line in unchecked_lines(report):
        yield github.command("notice", "not checked", shown(line))
    yield summary(report)


def as_junit(report: LintReport, level: str) -> Iterator[str]:
    """Give JUnit XML: a test case for each rule; findings at or above a level fail it."""
    by_rule: dict[str, list[Located]] = {rule.id: [] for rule in report.rules}
    for one in report.findings:
        by_rule[one.id].append(one)
    failures = sum(any(fails(o.severity, level) for o in some) for some in by_rule.values())
    totals = f'tests="{len(by_rule)}" failures="{failures}" errors="0" skipped="{len(report.idle)}"'
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="proxyrules lint" {totals}>'
    yield f'  <testsuite name="proxyrules lint" {totals}>'
    for rule in report.rules:
        head = f'    <testcase classname="proxyrules.lint" name="{rule.id} {rule.name}"'
        if need := report.idle.get(rule.id):
            yield head + ">"
            yield f"      <skipped message={quoteattr(f'needs {need}')}/>"
            yield "    </testcase>"
            continue
        if not by_rule[rule.id]:
            yield head + "/>"
            continue
        yield head + ">"
        yield from _case(by_rule[rule.id], level)
        yield "    </testcase>"
    if report.unchecked:
        yield "    <system-out>"
        yield from (escape(f"not checked: {shown(line)}") for line in unchecked_lines(report))
        yield "    </system-out>"
    yield "  </testsuite>"
    yield "</testsuites>"


def _case(findings: list[Located], level: str) -> Iterator[str]:
    failing = [one for one in findings if fails(one.severity, level)]
    if failing:
        message = quoteattr(shown(message_of(failing[0])))
        yield f'      <failure type="{failing[0].severity}" message={message}>'
        yield from (escape(shown(_line(one))) for one in failing)
        yield "      </failure>"
    noted = [one for one in findings if not fails(one.severity, level)]
    if noted:
        yield "      <system-out>"
        yield from (escape(shown(_line(one))) for one in noted)
        yield "      </system-out>"


def _line(one: Located) -> str:
    place = f"{place_of(one)}: " if one.file else ""
    return f"{place}{one.severity}: {message_of(one)}" + (f"; {one.hint}" if one.hint else "")


def as_gitlab(report: LintReport, inputs: list[str]) -> str:
    """Return a GitLab code quality report; `inputs` are the names of what was read.

    Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
    """
    levels = {"error": "critical", "warning": "major", "info": "info"}
    seen: Counter[str] = Counter()
    issues = []
    for one in report.findings:
        mark = fingerprint(one)
        seen[mark] += 1  # GitLab shows only one issue for each fingerprint
        issues.append(
            {
                "description": message_of(one) + (f"; {one.hint}" if one.hint else ""),
                "check_name": one.id,
                "fingerprint": mark if seen[mark] == 1 else f"{mark}-{seen[mark]}",
                "severity": levels[one.severity],
                "location": {
                    "path": (one.file or inputs[0]).removeprefix("./"),
                    "lines": {"begin": one.line or 1},
                },
            }
        )
    return json.dumps(issues, indent=2) + "\n"
