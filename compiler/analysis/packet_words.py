"""A difference in treatment, in words: which packets, and what becomes of them on either side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from compiler.netfilter.compare import Difference
from compiler.netfilter.outcome import Treatment
from compiler.netfilter.traffic import (
    ALL_PORTS,
    ALL_PROTOCOLS,
    DROPS,
    NUMBERS,
    STATES,
    Question,
    Traffic,
    print_ranges,
    single,
)

# How many outcomes of one side a sentence lists.
_LISTED = 4
_NAMES = {number: name for name, number in NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class PacketChange:
    """`before` and `after` are what becomes of `packets` (`from 10.10.0.0/16 to …`)."""

    packets: str
    before: str
    after: str


def packet_change(difference: Difference) -> PacketChange:
    """Put a difference into words."""
    witness = difference.witness()
    packets = packets_of(difference.traffic)
    if given := answers_of(witness.answers):
        packets += f" ({given})"
    target = destination_of(difference.traffic)
    changed = [
        key for key in {**witness.old, **witness.new} if _differ(witness.old, witness.new, key)
    ]
    sides = []
    for side in (witness.old, witness.new):
        shares = {key: side[key] for key in side if key in changed}
        sides.append(_outcomes(shares, side, target))
    if sides[0] == sides[1]:
        # they differ in what is left out of words: the mark, lists, options of nat
        sides = [_outcomes(side, side, target, full=True) for side in (witness.old, witness.new)]
    return PacketChange(packets, *sides)


def _differ(
    old: Mapping[Treatment, Fraction], new: Mapping[Treatment, Fraction], key: Treatment
) -> bool:
    return old.get(key) != new.get(key)


def _outcomes(
    shares: Mapping[Treatment, Fraction],
    side: Mapping[Treatment, Fraction],
    target: str,
    *,
    full: bool = False,
) -> str:
    """Write the outcomes of one side that the other does not have so."""
    if not shares:
        return "nothing"
    certain = len(side) == 1
    words: dict[str, Fraction] = {}
    for treatment, share in sorted(shares.items(), key=lambda item: item[0].destination):
        word = treatment_in_words(treatment, target, full=full, one_of_several=not certain)
        words[word] = words.get(word, Fraction(0)) + share
    parts = [word if certain else f"{percent(share)} {word}" for word, share in words.items()]
    more = len(parts) - _LISTED
    return "; ".join(parts[:_LISTED]) + (f"; and {more} more" if more > 0 else "")


def treatment_in_words(
    treatment: Treatment, target: str, *, full: bool = False, one_of_several: bool = False
) -> str:
    """Write what becomes of a packet (`10.10.1.2:80, masqueraded`; `dropped`).

    With `full`, also what hardly anybody notices: mark, lists, options of nat. `one_of_several`
    puts the details in brackets.
    """
    words = _fate_in_words(treatment, target)
    details = [*_source_in_words(treatment), *(_unnoticed(treatment) if full else ())]
    if one_of_several:
        listed = ", ".join([*_answer(treatment), *details])
        return f"{words} ({listed})" if listed else words
    return ", ".join([" ".join([words, *(f"({one})" for one in _answer(treatment))]), *details])


def _answer(treatment: Treatment) -> list[str]:
    return [treatment.answer] if treatment.verdict == "rejected" else []


def _fate_in_words(treatment: Treatment, target: str) -> str:
    if treatment.verdict in {"rejected", "dropped"}:
        return treatment.verdict
    if treatment.verdict == "undecided":
        return f"depends on {treatment.undecided_by}"
    if treatment.destination:
        return treatment.destination
    if treatment.delivery == "input":
        return f"not translated, delivered to {target} on the node"
    return f"not translated, continues to {target}"


def _source_in_words(treatment: Treatment) -> Iterator[str]:
    if treatment.source == "masquerade":
        yield "masqueraded"
    elif treatment.source:
        yield f"from {treatment.source}"


def _unnoticed(treatment: Treatment) -> Iterator[str]:
    yield f"mark {treatment.mark:#x}"
    for name in treatment.lists:
        yield f"{'added to' if name[0] == '+' else 'removed from'} the list {name[1:]}"
    if treatment.options:
        yield treatment.options


def packets_of(traffic: Traffic) -> str:
    """Name a set of packets (`from 10.10.0.0/16 to 10.200.1.201:9000/tcp`)."""
    origin = (
        "the node" if traffic.hook == "OUTPUT" else print_ranges(traffic.source, traffic.family)
    )
    words = f"from {origin} to {destination_of(traffic)}"
    known = [
        state
        for state in ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
        if state in traffic.states
    ]
    if "NEW" not in known and frozenset(known) != STATES:
        words += f", {' or '.join(known)}"
    return words


def destination_of(traffic: Traffic) -> str:
    """Name where packets go (`10.200.1.201:9000/tcp`, `any address, port 30080/tcp`)."""
    address = print_ranges(traffic.destination, traffic.family)
    protocol = _protocol(traffic.protocols)
    port = single(traffic.destination_ports)
    if port is None:
        ports = "" if traffic.destination_ports == ALL_PORTS else ", other ports"
        return f"{address}{ports}{', ' + protocol if protocol else ''}"
    if single(traffic.destination) is None:
        return f"{address}, port {port}{'/' + protocol if protocol else ''}"
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}{'/' + protocol if protocol else ''}"


def _protocol(bits: int) -> str:
    if bits == ALL_PROTOCOLS:
        return ""
    numbers = [number for number in range(256) if bits >> number & 1]
    if len(numbers) == 1:
        return _NAMES.get(numbers[0], f"protocol {numbers[0]}")
    return "other protocols"


def answers_of(answers: Mapping[Question, bool]) -> str:
    """Write the answers that a difference depends on."""
    words = []
    for question, answer in answers.items():
        if question.words == "is an address of the node":
            subject = {"source": "the source", "destination": "the destination"}.get(
                question.subject, question.subject
            )
            words.append(f"{subject} is {'' if answer else 'not '}an address of the node")
        elif question.subject.startswith("source in the list "):
            name = question.subject.split(" ")[4]
            words.append(f"the client is {'' if answer else 'not '}on the list {name}")
        elif question.words == DROPS:
            words.append(f"{question.subject} {DROPS if answer else 'has the policy ACCEPT'}")
        elif question.subject == "in":
            words.append(f"{'by' if answer else 'not by'} interface {question.words}")
        else:
            words.append(f"{question.words}: {'yes' if answer else 'no'}")
    return ", ".join(words)


def percent(share: Fraction | float) -> str:
    """Write a share of traffic: 33.3 %, 50 %, 0.05 %."""
    digits = 1 if share >= 0.01 else 3
    return f"{round(float(share) * 100, digits):g} %"
