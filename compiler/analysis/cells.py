"""What becomes of one kind of packets on one node: a cell of the matrix, exactly."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Literal, NamedTuple

from msgspec.structs import replace

from compiler.netfilter.evaluate import Packet, evaluate, follow
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome, shares
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import DROPS, Question
from compiler.netfilter.work import TooMuchWorkError, Work

Kind = Literal["endpoint", "nothing", "rejected", "dropped", "undecided", "unknown"]
_ORDER: tuple[Kind, ...] = ("endpoint", "nothing", "rejected", "dropped", "undecided", "unknown")
# Rules that may be asked to see whether open questions matter.
_WORK = 100_000
_IS_LOCAL = "is an address of the node"
# Shares that the kernel's 31-bit thresholds or the order of rules make unlike are one share.
_ROUNDING = 1_000_000


class Result(NamedTuple):
    """What becomes of a part of a cell's new connections.

    `share` is exact, of 1. `to` is the address that an `endpoint` result was translated to, what a
    `rejected` one is answered with, what an `undecided` one depends on, and why an `unknown` one
    can't be asked. `nothing` is a packet that passes as it is, not translated. `source` is
    `masquerade`, or the address that the packet's source was made, empty where it stays. `at` is
    the node's address where its addresses are treated differently.
    """

    share: Fraction
    kind: Kind
    to: str = ""
    source: str = ""
    at: str = ""

    @property
    def alike(self) -> tuple[int, str, str, str, str]:
        """What two results are compared by: shares to one part in a million."""
        return round(self.share * _ROUNDING), self.kind, self.to, self.source, self.at


Cell = tuple[Result, ...]
"""Everything that becomes of a cell's packets, sorted; the shares (at each address) add up to 1."""


def unknown(reason: str) -> Cell:
    """Return the cell of packets that can't be made, since something is not known."""
    return (Result(Fraction(1), "unknown", reason),)


def alike(one: Cell, other: Cell) -> bool:
    """Say whether two cells are the same but for rounding."""
    return one == other or [r.alike for r in one] == [r.alike for r in other]


class Asked(NamedTuple):
    """A cell, and whether its rules remember clients (session affinity)."""

    cell: Cell
    remembers: bool


IsLocal = Callable[[str], bool | None]
"""Says whether an address is the node's own, None where that is not known."""


def ask(ruleset: Ruleset, packet: Packet, host: Host, local: IsLocal) -> Asked:
    """Say what becomes of a packet.

    Whether a packet is delivered or forwarded does not matter here, so that it decides nothing
    where the node's addresses are not known. Policies that no text shows are the kernel's, ACCEPT.
    """
    found = evaluate(ruleset, packet, host)
    remembers = any(name.startswith("+") for outcome in found for name in outcome.lists)
    if not any(outcome.verdict == "undecided" for outcome in found):
        return Asked(_sorted((_result(one), one.share) for one in found), remembers)
    try:
        both = follow(ruleset, packet.traffic(), host, splitting=True, work=Work(_WORK))
    except TooMuchWorkError:
        return Asked(_sorted((_result(one), one.share) for one in found), remembers)
    return Asked(decided(both, local), remembers)


def decided(outcomes: Iterable[Outcome], local: IsLocal) -> Cell:
    """Add up what holds for all answers; the rest is undecided."""
    held = []
    for outcome in outcomes:
        known = {q: _settled(q, local) for q, _ in outcome.answers}
        if all(known[q] in (None, answer) for q, answer in outcome.answers):
            open_ = frozenset((q, answer) for q, answer in outcome.answers if known[q] is None)
            held.append(_bare(outcome, open_))
    parts: list[tuple[Result, Fraction]] = []
    questions: set[Question] = set()
    for (treatment, answers), share in shares(held).items():
        if answers:
            questions |= {question for question, _ in answers}
        else:
            by = treatment.undecided_by
            kind, to = _kind(treatment.verdict, treatment.destination, treatment.answer, by)
            parts.append((Result(Fraction(0), kind, to, treatment.source), share))
    rest = 1 - sum((share for _, share in parts), Fraction(0))
    if rest:
        parts.append((Result(Fraction(0), "undecided", _in_words(questions)), rest))
    return _sorted(parts)


def _in_words(questions: Iterable[Question]) -> str:
    """Write what an outcome depends on, all addresses in one."""
    asked = sorted(questions)
    own = sorted(
        (q.subject for q in asked if q.words == _IS_LOCAL), key=lambda a: natural(f"{a}:0")
    )
    words = [question.spoken() for question in asked if question.words != _IS_LOCAL]
    if own:
        words.insert(0, f"whether {' or '.join(own)} {_IS_LOCAL}")
    return ", ".join(dict.fromkeys(words))


def _settled(question: Question, local: IsLocal) -> bool | None:
    """Return the answer that is known or assumed, None where there is none."""
    if question.words == DROPS:
        return False
    if question.words == _IS_LOCAL:
        return local(question.subject)
    return None


def _bare(outcome: Outcome, answers: frozenset[tuple[Question, bool]]) -> Outcome:
    """Leave out of an outcome what no cell shows."""
    return replace(outcome, delivery="", mark=0, lists=(), options="", answers=answers)


def _result(outcome: Outcome) -> Result:
    source = outcome.source if outcome.verdict == "accepted" else ""
    kind, to = _kind(outcome.verdict, outcome.destination, outcome.answer, outcome.undecided_by)
    return Result(Fraction(0), kind, to, source)


def _kind(verdict: str, destination: str, answer: str, undecided_by: str) -> tuple[Kind, str]:
    if verdict == "accepted":
        return ("endpoint", destination) if destination else ("nothing", "")
    if verdict == "rejected":
        return "rejected", answer
    if verdict == "dropped":
        return "dropped", ""
    return "undecided", undecided_by


def _sorted(parts: Iterable[tuple[Result, Fraction]]) -> Cell:
    """Add up the shares of equal results, and sort them."""
    found: dict[Result, Fraction] = {}
    for result, share in parts:
        found[result] = found.get(result, Fraction(0)) + share
    made = [result._replace(share=share) for result, share in found.items()]
    return tuple(sorted(made, key=_order))


def _order(result: Result) -> tuple[int, tuple[int, int, int], str, str]:
    return _ORDER.index(result.kind), natural(result.to), result.to, result.source


def natural(address: str) -> tuple[int, int, int]:
    """Return what an address with its port is sorted by."""
    host, _, port = address.rpartition(":")
    try:
        parsed = ipaddress.ip_address(host.strip("[]"))
        return parsed.version, int(parsed), int(port)
    except ValueError:
        return 0, 0, 0
