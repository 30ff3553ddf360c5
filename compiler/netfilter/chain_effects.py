"""What one chain does to packets, by itself: effects that two versions of it can be compared by.

Nothing is known of what happened to the packets before, so every question is open; a jump to
another chain is an effect, whatever that chain does.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Self, cast

from compiler.netfilter.chain import Chain
from compiler.netfilter.evaluate import matches
from compiler.netfilter.host import Host
from compiler.netfilter.passage import Frame, Passage, Undecided
from compiler.netfilter.target import Jump, Next
from compiler.netfilter.targets.other import GoesOn
from compiler.netfilter.traffic import STATES, Ask, Question, Traffic
from compiler.netfilter.work import Work

Effects = tuple[tuple[object, ...], ...]
Answers = frozenset[tuple[Question, bool]]


def alike(traffic: Traffic, old: Chain | None, new: Chain | None, work: Work) -> bool:
    """Say whether two versions of a chain have the same effects on packets. Raises Split."""
    return _effects(traffic, old, work) == _effects(traffic, new, work)


def _effects(
    traffic: Traffic, chain: Chain | None, work: Work
) -> Mapping[tuple[Effects, Answers], Fraction]:
    """Write down what a chain does, by itself, to packets in any state."""
    if chain is None:
        return {((("no chain",),), frozenset()): Fraction(1)}
    first = _Local(traffic)
    first.work = work
    first.frames = [Frame(first.asking(chain))]
    waiting = [first]
    found: dict[tuple[Effects, Answers], Fraction] = {}
    while waiting:
        passage = waiting.pop()
        try:
            _through(passage)
        except Ask as ask:
            waiting += passage.answering(ask.question)
        else:
            key = tuple(passage.effects), frozenset(passage.answers.items())
            found[key] = found.get(key, Fraction(0)) + passage.probability
        waiting += cast("list[_Local]", passage.forks)
        passage.forks = []
    return found


class _Local(Passage):
    """A packet in the middle of its way: nothing is known of what happened to it before.

    Targets write down what they do (`effects`). What follows a jump may find the packet changed in
    any way: questions after it (`history`) are others than before it.
    """

    def __init__(self, traffic: Traffic) -> None:
        super().__init__(traffic, Host(), None)
        self.splitting = True
        self.known_mark = 0
        self.entered_by = None
        self.effects: list[tuple[object, ...]] = []

    def clone(self) -> Self:
        """Return a copy with effects of its own."""
        other = super().clone()
        other.effects = list(self.effects)
        return other

    def called(self, *effect: object) -> None:
        """Write down what may change the packet in ways not seen here."""
        self.effects.append(effect)
        self.history = f"{self.history} {effect}"
        self.known_mark = 0
        self.listing = {}

    def state_in(self, states: frozenset[str]) -> bool:
        """As in any state; whether it was translated before is not known."""
        if super().state_in(states & STATES):
            return True
        translated = states - STATES
        return bool(translated) and self.assumed(f"--ctstate {','.join(sorted(translated))}")

    def leaves_by(self, pattern: str) -> bool:
        """Say whether it leaves by an interface: not known in the middle."""
        return self.assumed(f"-o {pattern}")

    def enters_by(self, pattern: str) -> bool:
        """Say whether it came in by an interface."""
        return self.assumed(f"-i {pattern}")

    def set_mark(self, value: int, mask: int) -> None:
        """Write it down; two changes in a row are one."""
        super().set_mark(value, mask)
        last = self.effects[-1] if self.effects else ()
        if last[:1] == ("mark",):
            _, before, covered = last
            assert isinstance(before, int)  # noqa: S101 - written below
            assert isinstance(covered, int)  # noqa: S101 - written below
            self.effects[-1] = ("mark", (before & ~mask & 0xFFFFFFFF) ^ value, covered | mask)
        else:
            self.effects.append(("mark", value, mask))

    def remember(self, key: tuple[str, str, str]) -> None:
        """Write it down."""
        super().remember(key)
        self.effects.append(("list", key, True))

    def forget(self, key: tuple[str, str, str]) -> None:
        """Write it down."""
        super().forget(key)
        self.effects.append(("list", key, False))


def _through(passage: _Local) -> None:
    """Take a packet through one chain."""
    frame = passage.frames[-1]
    while frame.place < len(frame.rules):
        rule = frame.rules[frame.place]
        target = rule.target
        written = len(passage.effects)
        try:
            matched = matches(rule, passage)
        except Ask:
            del passage.effects[written:]
            raise
        frame.place += 1
        if not matched or target is None or isinstance(target, GoesOn):
            continue
        if isinstance(target, Jump):
            passage.called(str(target))
            if target.goto:
                return
            continue
        before = len(passage.effects)
        try:
            after = target.apply(passage)
        except Undecided:
            passage.called(str(target))
            continue
        if after is Next.CONTINUE:
            if len(passage.effects) == before and target.name != "MARK":
                passage.called(str(target))
            continue
        if after is not Next.RETURN:
            passage.effects.append((str(target),))
            return
        break
    passage.effects.append(("RETURN",))
