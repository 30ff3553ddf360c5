"""What may become of packets, with shares, and how outcomes add up to treatments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

import msgspec

from compiler.netfilter.rule import Rule
from compiler.netfilter.traffic import Question


class Step(msgspec.Struct, frozen=True):
    """A rule that was asked on the way. `failed` is what did not hold, empty where it matched."""

    table: str
    hook: str
    rule: Rule
    failed: str = ""


class Treatment(NamedTuple):
    """What may be noticed of an outcome: its fields but the share, the path and the answers."""

    verdict: str
    answer: str
    delivery: str
    destination: str
    source: str
    mark: int
    undecided_by: str
    lists: tuple[str, ...]
    options: str


Answered = tuple[Treatment, frozenset[tuple[Question, bool]]]
"""A treatment, and the answers that it depends on."""


class Outcome(msgspec.Struct, frozen=True):
    """One thing that may become of a packet, with its share of all (exact, of 1).

    `verdict` is `accepted`, `dropped`, `rejected` (with `answer`) or `undecided` (for want of
    `undecided_by`). `delivery` is `input` for packets to the node itself, `forward` for those to
    others. `destination` is what nat made of it (`10.10.1.2:80`), empty where nothing; `source` is
    `masquerade`, or the address that it was made, empty where it stays. `mark` is the one that
    routing sees. `lists` are the `xt_recent` lists that the packet's source was put on (`+NAME`) or
    taken off (`-NAME`), with another side or mask in words. `options` are those of the targets that
    translated it (`--random-fully`), and targets that changed it otherwise (`-j TTL --ttl-set 1`).
    `answers` are those that it holds for (`follow`), `visited` the chains that it passed. `path`
    are the rules that matched, in order; the last one decided, or where none did, a policy. `asked`
    are all that were asked, in order, where that was recorded.
    """

    share: Fraction
    verdict: str
    answer: str
    delivery: str
    destination: str
    source: str
    mark: int
    undecided_by: str
    lists: tuple[str, ...]
    options: str
    path: tuple[Step, ...]
    answers: frozenset[tuple[Question, bool]] = frozenset()
    visited: tuple[tuple[str, str], ...] = ()
    asked: tuple[Step, ...] = ()

    @property
    def treatment(self) -> Treatment:
        """All that a packet's sender, receiver or a router could notice."""
        accepted = self.verdict == "accepted"
        return Treatment(
            self.verdict,
            self.answer,
            self.delivery if accepted else "",
            self.destination if accepted else "",
            self.source if accepted else "",
            self.mark,
            self.undecided_by,
            self.lists,
            self.options if accepted else "",
        )


def shares(outcomes: Iterable[Outcome]) -> Mapping[Answered, Fraction]:
    """Add up the shares of equal treatments, by the answers that they depend on.

    A treatment that is the same for both answers to a question does not depend on it.
    """
    found: dict[Treatment, dict[frozenset[tuple[Question, bool]], Fraction]] = {}
    for outcome in outcomes:
        held = found.setdefault(outcome.treatment, {})
        held[outcome.answers] = held.get(outcome.answers, Fraction(0)) + outcome.share
    return {
        (treatment, answers): share
        for treatment, held in found.items()
        for answers, share in _without_idle_questions(held).items()
    }


def _without_idle_questions(
    held: dict[frozenset[tuple[Question, bool]], Fraction],
) -> dict[frozenset[tuple[Question, bool]], Fraction]:
    """Merge entries that differ in nothing but the answer to one question."""
    waiting = list(held)
    while waiting:
        answers = waiting.pop()
        for question, answer in answers:
            if (share := held.get(answers)) is None:
                break
            other = answers - {(question, answer)} | {(question, not answer)}
            if held.get(other) == share:
                del held[answers], held[other]
                merged = answers - {(question, answer)}
                held[merged] = held.get(merged, Fraction(0)) + share
                waiting.append(merged)
                break
    return held
