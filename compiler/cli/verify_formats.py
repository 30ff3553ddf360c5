"""Findings of `verify` as text, JSON, GitHub workflow commands and JUnit XML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from compiler.analysis.effects import Effects
from compiler.analysis.findings import Finding
from compiler.cli.colour import Paint, shown
from compiler.cli.github import command
from compiler.kube_rules.node_rules import NodeRules

_COLOURS = {"error": "red", "warning": "yellow", "information": "cyan"}
_NODE = "the whole node"
# Findings of one service port that are shown without -v.
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found, and what it looked at: name and path of the dump, sizes, and `expected`.

    `path` is empty where the dump is no file. `effects` are what the faults do to traffic.
    """

    findings: tuple[Finding, ...]
    name: str
    path: str
    rules: int
    chains: int
    expected: NodeRules
    effects: Effects

    @property
    def failed(self) -> bool:
        """Whether anything is more than information."""
        return any(finding.severity != "information" for finding in self.findings)


def _groups(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Put findings together by service port, the whole node's last."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.service or _NODE, []).append(finding)
    if _NODE in groups:
        groups[_NODE] = groups.pop(_NODE)
    return groups


def _in_words(kind: str) -> str:
    """Write a kind of finding in words; the hyphen of kube-proxy is part of its name."""
    return kind.replace("-", " ").replace("kube proxy", "kube-proxy")


def as_text(report: Report, paint: Paint, *, verbose: bool) -> Iterator[str]:
    """Give the lines for a reader."""
    for service, findings in _groups(report.findings).items():
        yield paint(shown(service), "bold")
        listed = findings if verbose else findings[:_SHOWN]
        for finding in listed:
            kind = _in_words(finding.kind)
            colour = _COLOURS[finding.severity]
            place = f"{report.name}:{finding.line}: " if finding.line else ""
            yield f"  {paint(kind, colour)}: {shown(place + finding.message)}"
            if finding.expected:
                yield shown(f"      should be  {finding.expected}")
            if finding.found:
                yield shown(f"      is         {finding.found}")
        if len(listed) < len(findings):
            yield f"  … and {len(findings) - len(listed)} more (-v shows them)"
        yield from _effect_lines(report, service, paint)
    yield _summary(report)


def _effect_lines(report: Report, service: str, paint: Paint) -> Iterator[str]:
    """Give the lines about what a service port's faults do to traffic, or the whole node's."""
    sentences = report.effects.services.get(service, ())
    if service == _NODE:
        sentences = report.effects.node
    for sentence in sentences:
        yield f"  {paint('effect', 'magenta')}: {shown(sentence)}"
    if service == _NODE:
        for reason in report.effects.undecided:
            yield f"  {paint('effect', 'magenta')}: possibly more: {shown(reason)}"


def _summary(report: Report) -> str:
    counts = Counter(finding.severity for finding in report.findings)
    checked = f"{report.rules:,} rules in {report.chains:,} chains checked"
    if not report.failed:
        summary = f"The node has the rules that its manifests give: {checked}"
        extra = counts["information"]
        return f"{summary}; {extra} informational." if extra else f"{summary}."
    parts = [
        f"{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}"
        for severity in ("error", "warning")
        if counts[severity]
    ]
    if counts["information"]:
        parts.append(f"{counts['information']} informational")
    return f"{', '.join(parts)}; {checked}."


def as_json(report: Report) -> str:
    """Return the findings as one JSON object."""
    value = {
        "ok": not report.failed,
        "dump": report.name,
        "checked": {"rules": report.rules, "chains": report.chains},
        "findings": [
            {
                "severity": finding.severity,
                "kind": finding.kind,
                "service": finding.service,
                "table": finding.table,
                "chain": finding.chain,
                "message": finding.message,
                "expected": finding.expected,
                "found": finding.found,
                "line": finding.line or None,
            }
            for finding in report.findings
        ],
        "effects": {
            "services": {name: list(some) for name, some in report.effects.services.items()},
            "node": list(report.effects.node),
            "undecided": list(report.effects.undecided),
        },
    }
    return json.dumps(value, indent=2) + "\n"


def as_github(report: Report) -> Iterator[str]:
    """Give workflow commands, one for each finding, and what was found in all."""
    levels = {"error": "error", "warning": "warning", "information": "notice"}
    for finding in report.findings:
        parts = [f"{finding.service}: {finding.message}" if finding.service else finding.message]
        if finding.expected:
            parts.append(f"should be {finding.expected}")
        if finding.found:
            parts.append(f"is {finding.found}")
        message = "\n".join(shown(part) for part in parts)
        title = _in_words(finding.kind)
        yield command(levels[finding.severity], title, message, report.path, finding.line)
    yield _summary(report)


def as_junit(report: Report) -> Iterator[str]:
    """Give JUnit XML: a test case for each service port and one for the node."""
    groups = _groups(report.findings)
    names = list(dict.fromkeys((*map(str, report.expected.keys), *groups)))
    if _NODE not in names:
        names.append(_NODE)
    failures = sum(_failing(groups.get(name, [])) for name in names)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    totals = f'tests="{len(names)}" failures="{failures}" errors="0" skipped="0"'
    yield f'<testsuites name="proxyrules verify" {totals}>'
    yield f"  <testsuite name={quoteattr(shown(report.name))} {totals}>"
    for name in names:
        yield from _case(name, groups.get(name, []))
    yield "  </testsuite>"
    yield "</testsuites>"


def _failing(findings: list[Finding]) -> bool:
    return any(finding.severity != "information" for finding in findings)


def _case(name: str, findings: list[Finding]) -> Iterator[str]:
    head = f'    <testcase classname="proxyrules.verify" name={quoteattr(shown(name))}'
    if not findings:
        yield head + "/>"
        return
    yield head + ">"
    failing = [finding for finding in findings if finding.severity != "information"]
    if failing:
        first = quoteattr(shown(failing[0].message))
        yield f'      <failure type="{failing[0].kind}" message={first}>'
        yield from (escape(shown(line)) for finding in failing for line in _lines(finding))
        yield "      </failure>"
    noted = [finding for finding in findings if finding.severity == "information"]
    if noted:
        yield "      <system-out>"
        yield from (escape(shown(line)) for finding in noted for line in _lines(finding))
        yield "      </system-out>"
    yield "    </testcase>"


def _lines(finding: Finding) -> Iterator[str]:
    place = f"line {finding.line}: " if finding.line else ""
    yield f"{finding.kind}: {place}{finding.message}"
    if finding.expected:
        yield f"  should be  {finding.expected}"
    if finding.found:
        yield f"  is         {finding.found}"
