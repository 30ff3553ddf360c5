"""What a packet is expected to meet, compared with what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from compiler.analysis.packet_words import percent
from compiler.analysis.trace import Case, Trace

VERDICTS = ("ACCEPT", "REJECT", "DROP")
_SHARE = re.compile(r"(?P<percent>\d+(?:\.(?P<digits>\d+))?) ?%\Z|(?P<fraction>\d+/\d+)\Z")
_ENDPOINT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9.]+):\d+\Z")
# Shares given as fractions are meant up to the kernel's rounding.
_ROUNDING = Fraction(1, 10**6)


class ExpectationError(ValueError):
    """An expectation that can't be read; `hint` says what would be right."""

    def __init__(self, message: str, hint: str) -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Expected:
    """An outcome that is expected: an endpoint, or ACCEPT, REJECT or DROP.

    `share` is its part of connections, None where any; it may be off by `tolerance`.
    """

    outcome: str
    share: Fraction | None = None
    tolerance: Fraction = Fraction(0)

    def __str__(self) -> str:
        return self.outcome if self.share is None else f"{self.outcome} ({percent(self.share)})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether expectations hold; `failures` says in words what does not."""

    failures: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether all of them hold."""
        return not self.failures


def read_expected(text: str) -> Expected:
    """Read `10.10.1.2:80`, `10.10.1.2:80=33%`, `10.10.1.2:80=1/3`, `REJECT`.

    A percentage stands for all shares that round to it. Raises ExpectationError.
    """
    outcome, equals, share = text.partition("=")
    outcome = outcome.strip()
    verdict = outcome.upper()
    if verdict not in VERDICTS and not _ENDPOINT.match(outcome):
        hint = f"use ADDRESS:PORT, {', '.join(VERDICTS)}, each with =SHARE where wanted"
        raise ExpectationError(f'"{outcome}" is not an outcome', hint)
    name = verdict if verdict in VERDICTS else outcome
    if not equals:
        return Expected(name)
    found = _SHARE.match(share.strip())
    if not found or (found["fraction"] and found["fraction"].endswith("/0")):
        raise ExpectationError(f'"{share.strip()}" is not a share', "use 33%, 33.3% or 1/3")
    if found["fraction"]:
        return Expected(name, Fraction(found["fraction"]), _ROUNDING)
    digits = len(found["digits"] or "")
    return Expected(name, Fraction(found["percent"]) / 100, Fraction(1, 200 * 10**digits))


def compare(trace: Trace, expected: Sequence[Expected], masqueraded: bool | None = None) -> Verdict:
    """Compare a trace with all outcomes that are expected: no others may occur.

    Where something is open, expectations must hold in every case. `masqueraded` is whether the
    source is to be rewritten in all that is accepted, None where it does not matter.
    """
    failures: dict[str, None] = {}
    for case in trace.cases:
        failures.update(dict.fromkeys(_outcomes(case, expected)))
        if masqueraded is not None:
            failures.update(dict.fromkeys(_sources(case, wanted=masqueraded)))
    return Verdict(tuple(failures))


def _outcomes(case: Case, expected: Sequence[Expected]) -> list[str]:
    if not expected:
        return []
    found: dict[str, Fraction] = {}
    for way in case.ways:
        found[way.outcome_name] = found.get(way.outcome_name, Fraction(0)) + way.share
    failures = []
    for one in expected:
        share = found.pop(one.outcome, None)
        if share is None:
            failures.append(f"{one.outcome} is expected, and does not occur")
        elif one.share is not None and abs(share - one.share) > one.tolerance:
            failures.append(f"{one.outcome} gets {percent(share)}, not {percent(one.share)}")
    failures += [f"{name} gets {percent(share)}, not expected" for name, share in found.items()]
    return failures


def _sources(case: Case, *, wanted: bool) -> list[str]:
    failures = []
    for way in case.ways:
        if way.verdict == "accepted" and bool(way.source) is not wanted:
            words = "is not masqueraded" if wanted else "is masqueraded"
            failures.append(f"{way.outcome_name} {words}")
    if wanted and not any(way.verdict == "accepted" for way in case.ways):
        failures.append("nothing is masqueraded: no packet is accepted")
    return failures
