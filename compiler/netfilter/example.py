"""One packet that stands for a set of them, with a world in which given answers hold."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from compiler.family import IPV4
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from compiler.netfilter.traffic import NUMBERS, Question, Ranges, Traffic, print_address

# The most ordinary first.
_STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
_LOCAL = "is an address of the node"
# Came in by none of the interfaces that rules ask for: a name that no rule has.
_OTHER_INTERFACE = "other-if"


class Example(msgspec.Struct, frozen=True):
    """A packet and the node that it comes to.

    `open_questions` are answers that no packet and no node can be made to give (`-m set`, …).
    """

    packet: Packet
    host: Host
    open_questions: tuple[Question, ...]


def example(traffic: Traffic, answers: Mapping[Question, bool]) -> Example:
    """Return one packet of a set."""
    names = {number: name for name, number in NUMBERS.items()}
    number = next(bit for bit in _preferred() if traffic.protocols >> bit & 1)
    source = _address(traffic.source, traffic)
    local = {source} if traffic.hook == "OUTPUT" else set()
    lists: dict[str, tuple[float, ...]] = {}
    unanswered: list[Question] = []
    interface = traffic.interface or _OTHER_INTERFACE
    for question, answer in answers.items():
        words, subject = question
        if words == _LOCAL:
            address = (
                _address(traffic.destination, traffic) if subject == "destination" else subject
            )
            local |= {source if subject == "source" else address} if answer else set()
        elif subject.startswith("source in the list "):
            if age := _age(subject, answers):
                lists[subject.split(" ")[4]] = (age,)
        elif subject == "in":
            interface = words.removesuffix("+") if answer else interface
        else:
            unanswered.append(question)
    return Example(
        Packet(
            source=source,
            destination=_address(traffic.destination, traffic),
            protocol=names.get(number, str(number)),
            source_port=_last(traffic.source_ports, 40000),
            destination_port=_last(traffic.destination_ports, 40000),
            local=traffic.hook == "OUTPUT",
            interface=None if traffic.hook == "OUTPUT" else interface,
            state=next(state for state in _STATES if state in traffic.states),
            mark=traffic.mark,
            lists=lists,
        ),
        Host(frozenset(local)),
        tuple(unanswered),
    )


def _age(subject: str, answers: Mapping[Question, bool]) -> float | None:
    """Return how long ago the source was put on a list, None where it is not on it.

    Lists are asked whether that is within so many seconds, or ever (0).
    """
    asked = [(int(one.words), answer) for one, answer in answers.items() if one.subject == subject]
    within = [seconds for seconds, answer in asked if answer]
    if not within:
        return None
    beyond = max((seconds for seconds, answer in asked if not answer), default=0)
    return float(min((seconds for seconds in within if seconds), default=beyond + 1))


def _preferred() -> list[int]:
    return [6, 17, 132, *range(1, 256), 0]


def _last(ranges: Ranges, wanted: int) -> int:
    """Return a port: the wanted one where it is in the ranges."""
    if any(low <= wanted <= high for low, high in ranges):
        return wanted
    return ranges[0][0]


def _address(ranges: Ranges, traffic: Traffic) -> str:
    """Return an address of some ranges, an ordinary one where there is a choice."""
    ordinary = (198 << 24) + (18 << 16) + 9 if traffic.family == IPV4 else 0x20010002 << 96 | 9
    if any(low <= ordinary <= high for low, high in ranges):
        return print_address(ordinary, traffic.family)
    low, high = ranges[-1]
    return print_address(low + 1 if high > low else low, traffic.family)
