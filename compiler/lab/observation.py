"""Requests as they are made, with the rules that they meet, which may change meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from compiler.family import Family
from compiler.lab import affinity, netns
from compiler.lab.errors import LabError
from compiler.lab.expected import Expected, expectations, view_of
from compiler.lab.experiment import Experiment
from compiler.lab.layout import NODE, Member, Target, family_of
from compiler.lab.loading import listed, saved
from compiler.lab.request import Call, Reply, requests
from compiler.lab.run_directory import State, netns_name, read_state
from compiler.lab.wiring import incoming_interfaces

# Rules are read again at most this often: iptables-save takes some 10 ms.
CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """What is to be done: a call to a service port from clients, `every` so many seconds."""

    lab: str
    target: Target
    call: Call
    clients: tuple[Member, ...]
    every: float = 0


@dataclass(frozen=True)
class _Rules:
    text: str
    expected: tuple[Expected, ...]


@dataclass
class Observation:
    """Requests that are being made, and the experiments that they are: one per set of rules.

    Where rules are read again between requests (`following`), those made since they were last known
    to be the same belong to no experiment; `uncounted` says how many. Otherwise a change leaves an
    experiment whose rules changed.
    """

    plan: Plan
    following: bool = False
    replies: list[Reply] = field(default_factory=list)
    uncounted: int = 0
    _rules: _Rules | None = None
    _ended: list[Experiment] = field(default_factory=list)
    _first: int = 0
    _same_until: int = 0
    _checked: float = 0
    _changed: bool = False

    def begin(self) -> None:
        """Read the node's rules. Raises LabError."""
        self._rules = netns.aside(self._read)
        self._checked = time.monotonic()

    def make(self, count: int | None) -> Iterator[Reply]:
        """Make `count` rounds of requests, or go on for ever.

        Raises NamespaceGoneError where the lab is removed meanwhile.
        """
        names = [netns_name(self.plan.lab, client.name) for client in self.plan.clients]
        for reply in requests(names, self.plan.call, count, self.plan.every):
            self.replies.append(reply)
            yield reply
            due = time.monotonic() - self._checked >= CHECK_SECONDS
            if self.following and self._rules is not None and due:
                self._check()

    def end(self) -> None:
        """Look whether the rules are still those that the requests are compared with."""
        if self._rules is not None and self.replies:
            self._check()

    @property
    def experiments(self) -> list[Experiment]:
        """What was done so far, in order; without those in which no request was made."""
        last = self._experiment(len(self.replies))
        return [one for one in (*self._ended, last) if one.replies]

    @property
    def current(self) -> Experiment:
        """What is being done with the rules as they are."""
        return self._experiment(len(self.replies))

    def _experiment(self, until: int) -> Experiment:
        plan = self.plan
        names = tuple(client.name for client in plan.clients)
        expected = self._rules.expected if self._rules else ()
        replies = self.replies[self._first : until]
        every = plan.every
        return Experiment(plan.target.name, names, expected, replies, every, self._changed)

    def _check(self) -> None:
        """Read the rules again; where they have changed, another experiment begins."""
        self._checked = time.monotonic()
        before, count = self._rules, len(self.replies)
        try:
            now = netns.aside(self._read)
        except LabError:
            # The lab is being removed, which the next request will report.
            self._changed = True
            return
        if before is not None and now.text == before.text:
            self._same_until = count
        elif not self.following:
            self._changed = True
        else:
            self._ended.append(self._experiment(max(self._first, self._same_until)))
            self.uncounted += count - max(self._first, self._same_until)
            self._rules, self._first, self._same_until = now, count, count

    def _read(self) -> _Rules:
        """Read the rules as the kernel has them, and what follows from them for each client."""
        state = read_state(self.plan.lab)
        family = family_of(self.plan.call.address)
        node = netns_name(state.name, NODE)
        text = saved(node, family, state.backend)
        interfaces = incoming_interfaces(state.name, state.layout)
        pins = _pins(state, node, family) if " recent " in text else []
        view = view_of(text, state.layout, interfaces, pins or ())
        expected = expectations(view, self.plan.call, self.plan.clients)
        if pins is None:
            expected = tuple(replace(one, pinned=True) for one in expected)
        return _Rules(text, expected)


def _pins(state: State, node: str, family: Family) -> Sequence[affinity.Pin] | None:
    """Return who is pinned where, None where the kernel does not show its clock."""
    with suppress(LabError):
        return affinity.pins(node, listed(node, family, state.backend))
    return None
