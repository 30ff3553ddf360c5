"""Which rules of two versions of a chain differ, and which packets those rules are about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

from compiler.netfilter.chain import Chain
from compiler.netfilter.matches.conntrack import Conntrack
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.rule import Rule
from compiler.netfilter.traffic import STATES, Ranges, Traffic, cut


def differing_rules(old: Chain | None, new: Chain | None) -> Iterator[Rule]:
    """Give the rules that have to go and to come to make one version of a chain the other.

    What remains is in the same order on both sides, so that a packet which matches none of the
    rules given here passes both versions alike.
    """
    before = old.rules if old else ()
    after = new.rules if new else ()
    start = 0
    least = min(len(before), len(after))
    while start < least and before[start].effect == after[start].effect:
        start += 1
    end = 0
    while end < least - start and before[-1 - end].effect == after[-1 - end].effect:
        end += 1
    gone = before[start : len(before) - end]
    come = after[start : len(after) - end]
    kept_before, kept_after = _common(gone, come)
    yield from (rule for place, rule in enumerate(gone) if place not in kept_before)
    yield from (rule for place, rule in enumerate(come) if place not in kept_after)


def _common(before: Sequence[Rule], after: Sequence[Rule]) -> tuple[set[int], set[int]]:
    """Return the places of rules that both have, in one order: a longest common subsequence.

    The longest where no rule occurs twice, else a good one.
    """
    places: dict[str, list[int]] = {}
    for place, rule in enumerate(before):
        places.setdefault(rule.effect, []).append(place)
    for several in places.values():
        several.reverse()
    pairs: list[tuple[int, int]] = []
    for place, rule in enumerate(after):
        if several := places.get(rule.effect, []):
            pairs.append((several.pop(), place))
    rising = longest_rising([pair[0] for pair in pairs])
    kept = [pairs[index] for index in rising]
    return {pair[0] for pair in kept}, {pair[1] for pair in kept}


def longest_rising(numbers: Sequence[int]) -> list[int]:
    """Return the indexes of a longest rising subsequence."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, value in enumerate(numbers):
        place = bisect_left(tails, value)
        if place == len(tails):
            tails.append(value)
            ends.append(index)
        else:
            tails[place] = value
            ends[place] = index
        before.append(ends[place - 1] if place else -1)
    chosen = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chosen.append(index)
        index = before[index]
    return chosen[::-1]


def asked_by(rule: Rule, traffic: Traffic, *, destination: bool = True) -> Traffic | None:
    """Return the part of the packets that a rule may match; None where there is none.

    Only what is plain to see narrows it (addresses, protocol, ports, states), so the part may be
    too large, never too small. Without `destination`, address and port that packets go to are left
    alone: nat may have rewritten them since.
    """
    header = rule.header
    changes: dict[str, object] = {}
    for field, network in (("source", header.source), ("destination", header.destination)):
        if network is None or network.mask is not None or (field != "source" and not destination):
            continue
        inside, outside = cut(getattr(traffic, field), network.low, network.high)
        changes[field] = outside if network.negated else inside
    protocol = header.protocol
    if protocol is not None and protocol.number:
        bit = 1 << protocol.number
        changes["protocols"] = traffic.protocols & (~bit if protocol.negated else bit)
    for match in rule.matches:
        if isinstance(match, PortMatch):
            _ports(match, traffic, changes, destination=destination)
        elif isinstance(match, Conntrack) and match.states and not match.states - STATES:
            states = traffic.states & match.states
            changes["states"] = traffic.states - match.states if match.negated else states
    if any(not value for value in changes.values()):
        return None
    return msgspec.structs.replace(traffic, **changes)


def _ports(
    match: PortMatch, traffic: Traffic, changes: dict[str, object], *, destination: bool
) -> None:
    asked: list[tuple[str, tuple[int, int] | None, bool]] = [
        ("source_ports", match.source_ports, match.source_negated)
    ]
    if destination:
        asked.append(("destination_ports", match.destination_ports, match.destination_negated))
    for field, ports, negated in asked:
        if ports is not None:
            ranges: Ranges = getattr(traffic, field)
            inside, outside = cut(ranges, *ports)
            changes[field] = outside if negated else inside
