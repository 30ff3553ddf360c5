"""Requests that are being made while rules may change: which belong to which rules."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest

from compiler.family import IPV4
from compiler.lab import observation
from compiler.lab.errors import LabError
from compiler.lab.expected import Expected
from compiler.lab.layout import Member, Role, Target
from compiler.lab.observation import Observation, Plan
from compiler.lab.request import Answer, Call, Reply

PLAN = Plan(
    lab="any",
    target=Target(
        name="default/web", protocol="TCP", family=IPV4, port=80, cluster_ip="10.200.1.10"
    ),
    call=Call("10.200.1.10", 80),
    clients=(Member(name="a", role=Role.LOCAL_POD, addresses=("10.10.0.6",)),),
    every=1,
)


class Node:
    """A node whose rules change where a test says so; every read takes the next of its texts."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def read(self) -> observation._Rules:
        text = self.texts.pop(0)
        if not text:
            raise LabError("there is no lab")
        return observation._Rules(text, (Expected({text: Fraction(1)}),))


def observed(
    monkeypatch: pytest.MonkeyPatch, *texts: str, count: int, following: bool
) -> Observation:
    """Make requests that are answered by `web`, one per second of the clock."""
    clock = [0.0]

    def requests(_: object, call: Call, count: int, every: float) -> Iterator[Reply]:
        for number in range(count):
            clock[0] = float(number)
            yield Reply(0, clock[0], Answer("web"))

    monkeypatch.setattr(observation, "requests", requests)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    made = Observation(PLAN, following=following)
    node = Node(*texts)
    monkeypatch.setattr(made, "_read", node.read)
    made.begin()
    for _ in made.make(count):
        pass
    made.end()
    assert node.texts == []
    return made


def test_rules_that_stay_make_one_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    made = observed(monkeypatch, *"rrrr", count=3, following=True)
    (only,) = made.experiments
    assert (len(only.replies), only.rules_changed, made.uncounted) == (3, False, 0)


def test_a_change_begins_another_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the second of six requests rules are known to be the same; after the third not."""
    made = observed(monkeypatch, *"rrnnnnn", count=6, following=True)
    before, after = made.experiments
    assert [reply.at for reply in before.replies] == [0, 1]
    assert [reply.at for reply in after.replies] == [3, 4, 5]
    assert made.uncounted == 1
    assert [list(one.expected[0].shares) for one in (before, after)] == [["r"], ["n"]]


def test_two_changes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = observed(monkeypatch, *"rrnmmmm", count=6, following=True)
    first, last = made.experiments
    assert [reply.at for reply in first.replies] == [0, 1]
    assert [reply.at for reply in last.replies] == [4, 5]
    assert made.uncounted == 2


@pytest.mark.parametrize(("last", "changed"), [("r", False), ("n", True), ("", True)])
def test_without_following_rules_are_compared_at_the_end(
    last: str, changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab that is gone at the end may have had other rules before."""
    made = observed(monkeypatch, "r", last, count=6, following=False)
    (only,) = made.experiments
    assert (len(only.replies), only.rules_changed) == (6, changed)
