"""All packets to an entry point, cut into cells whose packets are all treated alike.

The evaluator does the cutting (`follow_apart`): each way is followed with all packets that take it.
A cell is then the packets that have the same ways, and its answer is the one that `trace` gives for
any of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise

from msgspec.structs import replace

from compiler.analysis.node_view import NodeView
from compiler.analysis.trace import Case, Way, cases_of, is_foreign, trace_packet
from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.apart import follow_apart
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.traffic import Question, Ranges, Traffic, cut, print_address
from compiler.netfilter.work import TooMuchWorkError, Work

# Rules that may be asked of the packets to one address, and cells that they may be cut into.
MAX_WORK = 2_000_000
MAX_CELLS = 2_000
_WORK_OF_ENDPOINT = 20_000
STATE_ORDER = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
# As `trace` sends them: a first packet has SYN, others ACK.
_SENT = (
    (frozenset(("NEW",)), frozenset(("SYN",))),
    (frozenset(STATE_ORDER[1:]), frozenset(("ACK",))),
)
SOURCE_PORT = 40000
_IN_LIST = re.compile(r"source in the list (\S+) ")
_LOOPBACK: Mapping[str, tuple[int, int]] = {"ipv4": (127 << 24, (128 << 24) - 1), "ipv6": (1, 1)}
_Part = tuple[Traffic, Outcome]


class TooManyCellsError(Exception):
    """Rules tell so many packets apart that not all answers can be given."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Packets that are all treated alike, with one that stands for them.

    `cases` are those of `trace` for a client that no list has, each with its pins: the ways of a
    client that the list of an endpoint has, in the order of the rules.
    """

    sources: Ranges
    states: tuple[str, ...]
    packet: Packet
    cases: tuple[tuple[Case, tuple[Way, ...]], ...]


class Cutter:
    """Cuts the packets to addresses of one node."""

    def __init__(self, view: NodeView) -> None:
        self.view = view
        # with built-in chains, as `trace` asks them
        self.rules = NodeRules(view.ruleset)
        self.host = view.host
        if self.host.addresses is None:
            # no endpoint is taken for one of them; `notes` says so
            self.host = replace(self.host, addresses=frozenset(view.around.addresses))

    def cells(self, aim: Packet, left_out: Collection[int] = ()) -> list[Cell]:
        """Cut all packets to where `aim` goes to, but those from the addresses in `left_out`.

        Packets of the node itself come from its own addresses alone. Raises TooManyCellsError.
        """
        sources = self._own_sources() if aim.local else self._all_sources(left_out)
        work = Work(MAX_WORK + _WORK_OF_ENDPOINT * len(left_out))
        found: list[Cell] = []
        for states, flags in _SENT:
            traffic = replace(aim.traffic(), source=sources, states=states, flags=flags, lists=None)
            try:
                parts = list(follow_apart(self.rules.ruleset, traffic, self.host, work))
            except TooMuchWorkError:
                raise TooManyCellsError from None
            found += self._cells(replace(aim, flags=flags), parts)
            if len(found) > MAX_CELLS:
                raise TooManyCellsError
        return found

    def asks_interface(self, cells: Iterable[Cell]) -> bool:
        """Say whether any answer may depend on the interface that packets come in by."""
        return any(
            "-i " in way.undecided_by
            or any(asked.subject == "in" for asked, _ in way.outcome.answers)
            for cell in cells
            for case, pins in cell.cases
            for way in (*case.ways, *pins)
        )

    def _own_sources(self) -> Ranges:
        """Return what a node sends from: its addresses, and loopback's."""
        loopback = _LOOPBACK[self.view.family]
        numbers = {int(ip_address(one)) for one in self.host.addresses or ()}
        outer = (number for number in numbers if not loopback[0] <= number <= loopback[1])
        return tuple(sorted((loopback, *((number, number) for number in outer))))

    def _all_sources(self, left_out: Collection[int]) -> Ranges:
        ranges: Ranges = ((0, (1 << (32 if self.view.family == "ipv4" else 128)) - 1),)
        for number in left_out:
            _, ranges = cut(ranges, number, number)
        return ranges

    def _cells(self, aim: Packet, parts: Sequence[_Part]) -> Iterator[Cell]:
        by_state = {
            state: tuple(
                place for place, (traffic, _) in enumerate(parts) if state in traffic.states
            )
            for state in STATE_ORDER
        }
        # words tell who sends to itself from all others
        named = {outcome.destination.rpartition(":")[0].strip("[]") for _, outcome in parts}
        alone = frozenset(int(ip_address(one)) for one in named if one)
        for same in dict.fromkeys(by_state.values()):
            if not same:
                continue
            states = tuple(state for state in STATE_ORDER if by_state[state] == same)
            for (places, _), sources in _regions(parts, same, alone).items():
                packet = replace(
                    aim, source=print_address(sources[0][0], self.view.family), state=states[0]
                )
                outcomes = [parts[place][1] for place in places]
                yield Cell(sources, states, packet, tuple(self._cases(packet, outcomes)))

    def _cases(
        self, packet: Packet, outcomes: Sequence[Outcome]
    ) -> Iterator[tuple[Case, tuple[Way, ...]]]:
        """Give what `trace` answers for a packet, with the ways of clients that a list has."""
        unlisted, listed = _by_list(outcomes)
        cases = cases_of(unlisted)
        pinned = [cases_of(some) for some in listed.values()]
        mine = [way for some in (cases, *pinned) for case in some for way in case.ways]
        foreign = any(way.decided_by is not None and is_foreign(way.decided_by) for way in mine)
        if foreign or not cases or not all(pinned):
            # which rules were asked matters for the words, or too much is open
            cases = list(trace_packet(self.rules, packet, self.host).cases)
            clients = (replace(packet, lists={name: (0.0,)}) for name in listed)
            pinned = [list(trace_packet(self.rules, one, self.host).cases) for one in clients]
        for case in cases:
            ways = (_pin(some, case) for some in pinned)
            yield case, tuple(way for way in ways if way is not None)


def _regions(
    parts: Sequence[_Part], places: Sequence[int], alone: frozenset[int]
) -> dict[tuple[tuple[int, ...], int | None], Ranges]:
    """Return the sources by the parts that they are in; those in `alone` by themselves."""
    starting: dict[int, list[int]] = {}
    ending: dict[int, list[int]] = {}
    for place in places:
        for low, high in parts[place][0].source:
            starting.setdefault(low, []).append(place)
            ending.setdefault(high + 1, []).append(place)
    edges = sorted({*starting, *ending, *alone, *(number + 1 for number in alone)})
    found: dict[tuple[tuple[int, ...], int | None], list[tuple[int, int]]] = {}
    active: set[int] = set()
    for low, after in pairwise(edges):
        active.difference_update(ending.get(low, ()))
        active.update(starting.get(low, ()))
        if not active:
            continue
        key = tuple(sorted(active)), low if low in alone else None
        ranges = found.setdefault(key, [])
        if ranges and ranges[-1][1] == low - 1:
            ranges[-1] = (ranges[-1][0], after - 1)
        else:
            ranges.append((low, after - 1))
    return {key: tuple(ranges) for key, ranges in found.items()}


def _by_list(outcomes: Iterable[Outcome]) -> tuple[list[Outcome], dict[str, list[Outcome]]]:
    """Tell the outcomes for clients that no list has from those that one endpoint's list has."""
    unlisted: list[Outcome] = []
    listed: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        on = list(_lists(outcome))
        if not on:
            unlisted.append(outcome)
        elif len(on) == 1 and on[0][0].startswith(ENDPOINT_PREFIX):
            name, question = on[0]
            answers = outcome.answers - {(question, True)}
            listed.setdefault(name, []).append(replace(outcome, answers=answers))
    return unlisted, listed


def _lists(outcome: Outcome) -> Iterator[tuple[str, Question]]:
    """Give the lists that the packet's address is on, with the question that asks for it."""
    for question, answer in outcome.answers:
        if answer and (found := _IN_LIST.match(question.subject)):
            yield found[1], question


def _pin(cases: Sequence[Case], case: Case) -> Way | None:
    """Return the way of a pinned client where a case holds, None where there is no one way."""
    for pinned in cases:
        agrees = all(
            case.given.get(asked, answer) is answer for asked, answer in pinned.given.items()
        )
        if agrees and len(pinned.ways) == 1 and pinned.ways[0].pinned is not None:
            return pinned.ways[0]
    return None
