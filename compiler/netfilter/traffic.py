"""A set of packets, cut in two where a rule treats some of them otherwise than the rest.

One packet is the smallest such set. `evaluate` follows a set as if it were one packet; where a
match would tell its members apart it raises `Split` with the two parts. So what comes out is exact,
and holds for every member: this is what lets `compare` speak of all packets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from compiler.family import IPV4, IPV6, Family
from compiler.netfilter import values

Ranges = tuple[tuple[int, int], ...]
"""Whole numbers (addresses, ports): first and last of each range, in order, apart."""

Hook = Literal["PREROUTING", "OUTPUT"]
ListKey = tuple[str, str, str]
"""An `xt_recent` list, the side of the packet that is looked up in it, and the mask."""
# What a list is asked for by default: the whole source address.
WHOLE_SOURCE = {IPV4: ("source", "255.255.255.255"), IPV6: ("source", ":".join(["ffff"] * 8))}

STATES = frozenset(("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"))
ALL_PORTS: Ranges = ((0, 65535),)
ALL_PROTOCOLS = (1 << 256) - 1
# A list can be asked whether an address was put on it at any time: `0` seconds.
_EVER = 1 << 62
NUMBERS = {name: int(number) for number, name in values.PROTOCOLS.items() if number.isdigit()}


# Asked of a built-in chain whose policy is not shown.
DROPS = "has the policy DROP"


class Question(NamedTuple):
    """What a rule asks and nothing here can answer: its words, and of which packet it asks."""

    words: str
    subject: str = ""

    def spoken(self) -> str:
        """Write a question for a person."""
        if self.subject == "in":
            return f"-i {self.words}"
        if self.words.isdigit():
            return f"{self.subject.rsplit(' ', 2)[0]}, within {self.words} s"
        if self.words in ("is an address of the node", DROPS):
            return f"whether {self.subject} {self.words}"
        return self.words


def list_in_words(key: ListKey) -> str:
    """Write a list for a person, with side and mask where they are not the usual ones."""
    name, side, mask = key
    return name if (side, mask) in WHOLE_SOURCE.values() else f"{name} ({side}, mask {mask})"


def fits_interface(name: str, pattern: str) -> bool:
    """Say whether an interface's name fits a pattern, as `ifname_compare_aligned` does."""
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def protocol_bits(names: Iterable[str]) -> int:
    """Return protocols by name (`tcp`) as bits."""
    bits = 0
    for name in names:
        bits |= 1 << (int(name) if name.isdigit() else NUMBERS[name])
    return bits


def follows(question: Question, answers: Mapping[Question, bool]) -> bool | None:
    """Return the answer that others settle: of a list that is asked for several times, say.

    Who was put on a list within 10 s was so within 30 s, too.
    """
    known = answers.get(question)
    if known is not None or " in the list " not in question.subject:
        return known
    wanted = int(question.words) or _EVER
    for other, answer in answers.items():
        if other.subject == question.subject:
            seconds = int(other.words) or _EVER
            if answer and seconds <= wanted:
                return True
            if not answer and seconds >= wanted:
                return False
    return None


def contradict(answers: Mapping[Question, bool]) -> bool:
    """Say whether no packet can give all of these answers."""
    for question, answer in answers.items():
        others = {other: said for other, said in answers.items() if other != question}
        if follows(question, others) is (not answer):
            return True
    return False


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Packets as they come to a node's netfilter hooks, by all that rules can ask of them.

    `hook` is where they come in: PREROUTING from an interface, OUTPUT from the node itself.
    `protocols` has bit n set for protocol n. `interface` is None where it is not known, and so are
    `lists`: ages in seconds of the stamps that `xt_recent` lists have of the packet's address.
    `source_local` says whether the source is an address of the node, where that is known without
    the address.
    """

    family: Family
    hook: Hook
    source: Ranges
    destination: Ranges
    protocols: int = ALL_PROTOCOLS
    source_ports: Ranges = ALL_PORTS
    destination_ports: Ranges = ALL_PORTS
    states: frozenset[str] = STATES
    interface: str | None = None
    mark: int = 0
    lists: Mapping[ListKey, tuple[float, ...]] | None = None
    flags: frozenset[str] | None = None
    icmp_type: str | None = None
    source_local: bool | None = None


class Split(Exception):  # noqa: N818 - a turn of the work, and not an error
    """A match tells packets of one set apart: the set in two parts."""

    def __init__(self, *parts: Traffic) -> None:
        self.parts = parts
        super().__init__()


class Ask(Exception):  # noqa: N818 - a turn of the work, and not an error
    """A rule asks what only the world outside the rules could answer: both answers are followed."""

    def __init__(self, question: Question) -> None:
        self.question = question
        super().__init__()


def everything(family: Family, hook: Hook) -> Traffic:
    """Return all packets that can come to a hook, unmarked."""
    bits = 32 if family == IPV4 else 128
    whole: Ranges = ((0, (1 << bits) - 1),)
    return Traffic(
        family=family,
        hook=hook,
        source=whole,
        destination=whole,
        # A node sends from its own addresses, and drops what comes in with one of them
        # (fib_validate_source).
        source_local=hook == "OUTPUT",
    )


def within(ranges: Ranges, low: int, high: int) -> bool | None:
    """Say whether all numbers lie from `low` to `high`; None where some do and some don't."""
    inside = outside = False
    for first, last in ranges:
        if first <= high and low <= last:
            inside = True
            outside = outside or first < low or last > high
        else:
            outside = True
    return None if inside and outside else inside


def cut(ranges: Ranges, low: int, high: int) -> tuple[Ranges, Ranges]:
    """Return the numbers from `low` to `high`, and the others."""
    inside: list[tuple[int, int]] = []
    outside: list[tuple[int, int]] = []
    for first, last in ranges:
        if first <= high and low <= last:
            inside.append((max(first, low), min(last, high)))
            if first < low:
                outside.append((first, low - 1))
            if last > high:
                outside.append((high + 1, last))
        else:
            outside.append((first, last))
    return tuple(inside), tuple(outside)


def single(ranges: Ranges) -> int | None:
    """Return the one number that ranges hold, None where they hold several."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return ranges[0][0]
    return None


def print_address(number: int, family: Family) -> str:
    """Write an address."""
    kind = ipaddress.IPv4Address if family == IPV4 else ipaddress.IPv6Address
    return str(kind(number))


def print_ranges(ranges: Ranges, family: Family) -> str:
    """Write addresses, as a network and what is left out of it where that is short.

    `10.10.0.0/16`; `any address but 10.10.0.0/16`; `10.10.0.0/16 but 10.10.1.2`.
    """
    bits = 32 if family == IPV4 else 128
    low, high = ranges[0][0], ranges[-1][1]
    length = bits - (low ^ high).bit_length()
    size = 1 << (bits - length)
    first = low & -size
    holes = _holes(ranges, first, first + size - 1)
    if len(holes) > _LISTED:
        return f"{_print_network(first, length, family)}, some of it"
    words = [name for hole in holes for name in _print_range(*hole, family)]
    if len(words) > _LISTED:
        words = [f"{print_address(a, family)} to {print_address(b, family)}" for a, b in holes]
    network = _print_network(first, length, family)
    if holes and len(ranges) == 1 and len(words) > 1:
        return f"{print_address(low, family)} to {print_address(high, family)}"
    return f"{network} but {', '.join(words)}" if words else network


_LISTED = 4


def _holes(ranges: Ranges, first: int, last: int) -> list[tuple[int, int]]:
    """Return what of `first` to `last` is in none of the ranges."""
    holes = []
    place = first
    for low, high in ranges:
        if low > place:
            holes.append((place, low - 1))
        place = high + 1
    return [*holes, (place, last)] if place <= last else holes


def _print_range(low: int, high: int, family: Family) -> list[str]:
    """Write a range as the networks that it is made of."""
    kind = ipaddress.IPv4Address if family == IPV4 else ipaddress.IPv6Address
    networks = ipaddress.summarize_address_range(kind(low), kind(high))
    return [str(one).removesuffix("/32").removesuffix("/128") for one in networks]


def _print_network(first: int, length: int, family: Family) -> str:
    if length == 0:
        return "any address"
    address = print_address(first, family)
    return address if length == (32 if family == IPV4 else 128) else f"{address}/{length}"
