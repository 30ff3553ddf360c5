"""What `lint` did not look at, in words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from compiler.analysis.lint.registry import all_rules
from compiler.analysis.lint.run import LintReport


def unchecked_lines(report: LintReport) -> Iterator[str]:
    """Say what rules could not look at, and which had no input at all, these in one line."""
    for rule, reason in report.unchecked:
        yield f"{rule}: {reason}" if rule else reason
    by_reason: dict[str, list[str]] = {}
    for rule, reason in report.idle.items():
        by_reason.setdefault(reason, []).append(rule)
    parts = [
        f"{', '.join(_runs(some))} (need{'s' * (len(some) == 1)} {reason})"
        for reason, some in by_reason.items()
    ]
    if parts:
        yield "; ".join(parts)


def _runs(ids: list[str]) -> Iterator[str]:
    """Write ids in order, three and more that follow one another in short: `PR601 to PR604`."""
    places = {rule: place for place, rule in enumerate(all_rules())}
    for _, group in groupby(enumerate(ids), key=lambda one: places[one[1]] - one[0]):
        some = [rule for _, rule in group]
        yield from [f"{some[0]} to {some[-1]}"] if len(some) > 2 else some
