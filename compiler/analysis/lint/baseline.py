"""Findings that are known: a baseline keeps them, and only new ones are reported.

A baseline is JSON: `{"version": 1, "findings": […]}`, where each finding has `rule`, `object`,
`field` and `count`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace

import msgspec

from compiler.analysis.lint.run import LintReport, Located
from compiler.errors import InputError, Problem
from compiler.manifests.source import Source

VERSION = 1
_HINT = "write it with --write-baseline"


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: str
    object: str
    field: str
    count: int


class _Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    findings: list[_Known]


_Key = tuple[str, str, str]


def _key(one: Located) -> _Key:
    """Identify a finding by its rule, object and field: it stays when lines move.

    The message is no part of it, since that may count endpoints, unless there is nothing else.
    """
    return one.id, one.subject, one.object_field or ("" if one.subject else one.message)


def fingerprint(one: Located) -> str:
    """Return a short text that identifies a finding; it stays when lines move."""
    return hashlib.sha256("\n".join(_key(one)).encode()).hexdigest()[:16]


def known(report: LintReport) -> Counter[_Key]:
    """Return the findings of a report as a baseline has them."""
    return Counter(map(_key, report.findings))


def as_baseline(report: LintReport) -> str:
    """Return a baseline with the findings of a report."""
    counts = known(report)
    entries = [
        {"rule": rule, "object": subject, "field": field, "count": count}
        for (rule, subject, field), count in sorted(counts.items())
    ]
    return json.dumps({"version": VERSION, "findings": entries}, indent=2) + "\n"


def read_baseline(source: Source) -> Counter[_Key]:
    """Read a baseline: how often each finding is known. Raises `InputError`."""
    try:
        baseline = msgspec.json.decode(source.text, type=_Baseline)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        where = where.strip("`").removeprefix("$.")
        message = message[:1].lower() + message[1:].replace("`", '"')
        raise InputError(Problem(source.name, message, _HINT, field=where)) from error
    except msgspec.DecodeError as error:
        raise InputError(Problem(source.name, "not JSON", _HINT)) from error
    if baseline.version != VERSION:
        message = f"version {baseline.version} of a baseline is not supported"
        raise InputError(Problem(source.name, message, _HINT))
    counts: Counter[_Key] = Counter()
    for one in baseline.findings:
        counts[one.rule, one.object, one.field] += one.count
    return counts


def without_known(report: LintReport, known: Counter[_Key]) -> LintReport:
    """Leave out the findings that a baseline has, each as often as it has it."""
    rest = known.copy()
    new = []
    for one in report.findings:
        if rest[_key(one)] > 0:
            rest[_key(one)] -= 1
        else:
            new.append(one)
    # Of what could not be looked at it is not known whether it is gone.
    ran = {rule.id for rule in report.rules} - {
        *report.idle,
        *(rule for rule, _ in report.unchecked),
    }
    gone = sum(count for (rule, _, _), count in rest.items() if rule in ran and count > 0)
    return replace(report, findings=tuple(new), known=len(report.findings) - len(new), gone=gone)
