"""Findings of `lint` as SARIF 2.1.0.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; what GitHub reads of it:
https://docs.github.com/code-security/code-scanning/integrating-with-code-scanning/
sarif-support-for-code-scanning
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import quote

from compiler.analysis.lint.baseline import fingerprint
from compiler.analysis.lint.documentation import documentation
from compiler.analysis.lint.registry import group_of
from compiler.analysis.lint.rule import LintRule
from compiler.analysis.lint.run import LintReport, Located
from compiler.analysis.lint.unchecked import unchecked_lines
from compiler.cli.lint_formats import token_length
from compiler.cli.lint_machine import message_of

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def as_sarif(report: LintReport) -> str:
    """Return the findings as one SARIF log."""
    rules = report.rules
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    driver = {
        "name": "proxyrules lint",
        "version": _version(),
        "rules": [_rule(rule) for rule in rules],
    }
    invocation = {
        "executionSuccessful": True,
        "toolExecutionNotifications": [
            {"level": "note", "message": {"text": f"not checked: {line}"}}
            for line in unchecked_lines(report)
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": [_result(one, numbers[one.id]) for one in report.findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _version() -> str:
    try:
        return version("proxyrules")
    except PackageNotFoundError:  # run from a checkout
        return "0"


def _rule(rule: type[LintRule]) -> dict[str, object]:
    found = documentation(rule)
    sections = [f"## {name}\n\n{text}" for name, text in found.sections.items()]
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": found.title},
        "fullDescription": {"text": found.symptom},
        "help": {"text": "\n\n".join(sections), "markdown": "\n\n".join(sections)},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [group_of(rule.id).lower()]},
    }


def _result(one: Located, number: int) -> dict[str, object]:
    parts = [message_of(one), *filter(None, [one.hint])]
    result: dict[str, object] = {
        "ruleId": one.id,
        "ruleIndex": number,
        "level": _LEVELS[one.severity],
        "message": {"text": "; ".join(parts)},
        "partialFingerprints": {"proxyrules/v1": fingerprint(one)},
    }
    if one.file:
        result["locations"] = [_location(one)]
    return result


def _location(one: Located) -> dict[str, object]:
    physical: dict[str, object] = {"artifactLocation": {"uri": quote(one.file.removeprefix("./"))}}
    if one.line:
        region: dict[str, object] = {"startLine": one.line}
        if one.column:
            region |= {"startColumn": one.column, "endColumn": one.column + token_length(one)}
        if one.text and len(one.text) < 1000:
            region["snippet"] = {"text": one.text}
        physical["region"] = region
    location: dict[str, object] = {"physicalLocation": physical}
    if one.subject:
        name = f"{one.subject} {one.field}" if one.field else one.subject
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return location
