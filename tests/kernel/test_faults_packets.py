"""Faults in rules, and packets that are to hit them: what changes for these in the kernel."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby

import pytest
from msgspec.structs import replace

from compiler.netfilter.compare import compare
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES
from tests.kernel.agreement import Loaded, load
from tests.kernel.box import BACKENDS
from tests.kernel.sampling import Aims, aims, sample
from tests.kernel.wire import HOST, Wire, fresh_wire
from tests.mutations import Fault, faults

pytestmark = pytest.mark.kernel

FAULTS = 300
PACKETS = 8
# Restore text of more lines shows nothing that shorter ones don't.
LONGEST = 250


@pytest.fixture(scope="module", params=BACKENDS)
def wire(request: pytest.FixtureRequest) -> Iterator[tuple[Wire, str]]:
    with fresh_wire() as made:
        yield made, request.param


def lines_of(ruleset: Ruleset, lines: tuple[str, ...], table: str) -> list[Rule]:
    """Return the rules that lines of restore text are."""
    text = (
        f"*{table}\n" + "\n".join(line for line in lines if line.startswith("-A ")) + "\nCOMMIT\n"
    )
    made = parse_rules(text, family=ruleset.family)
    return [rule for _, rule in made.all_rules()]


def aimed_at(fault: Fault, ruleset: Ruleset) -> Aims:
    """Collect what the changed rules ask for, before and after, and what leads to them."""
    changed = lines_of(ruleset, (*fault.before, *fault.after), fault.table)
    chains = {rule.chain for rule in changed} | {rule.jumps_to for rule in changed} - {""}
    for _ in range(4):
        chains |= {rule.chain for _, rule in ruleset.all_rules() if rule.jumps_to in chains}
    near = [rule for _, rule in ruleset.all_rules() if rule.chain in chains or not changed]
    own, around = aims(ruleset, changed), aims(ruleset, near)
    # half of the packets go where the changed rules point
    share = -(-len(around.to) // max(1, len(own.to)))
    return Aims(
        own.family,
        own.to * share + around.to,
        own.sources * 2 + around.sources,
        own.marks * 3 + around.marks,
    )


def hitting(fault: Fault, old: Ruleset, new: Ruleset) -> list[Packet]:
    """Draw packets, first of all such as the evaluator says are treated in another way now."""
    rng = random.Random(f"{fault.case} {fault.before} {fault.after}")
    drawn = sample(aimed_at(fault, old), rng, PACKETS * 4, lambda: 0)
    changed = [
        packet
        for packet in drawn
        if {o.treatment for o in evaluate(old, packet, HOST)}
        != {o.treatment for o in evaluate(new, packet, HOST)}
    ]
    others = [packet for packet in drawn if packet not in changed]
    return (changed[: PACKETS // 2] + others)[:PACKETS]


def tried(loaded: Loaded, packets: list[Packet], fault: Fault) -> list[str]:
    """Send packets; return with which of them the kernel did what no outcome says."""
    found = loaded.try_packets([replace(p, source_port=loaded.wire.next_port()) for p in packets])
    return [
        f"{fault.kind}: {fault.before} -> {fault.after}\n  {packet}\n  {fate}\n  "
        + "\n  ".join(f"{outcome.treatment}, {outcome.path[-1:]}" for outcome in outcomes)
        for packet, outcomes, fate in found
        if not any(loaded.fits(outcome, packet, fate) for outcome in outcomes)
    ]


def test_what_a_fault_changes(wire: tuple[Wire, str]) -> None:
    """Under the old rules and the new ones alike; each backend gets every other fault.

    What it changes for a packet `compare` must not call unchanged.
    """
    made, backend = wire
    cases = [
        case
        for case in ALL_CASES
        if case.expected.count("\n") < LONGEST and "[ff06::" not in case.expected
    ]
    # a pin of a second may end between a look at the lists and the packet
    cases = [
        case
        for case in random.Random(5).sample(cases, 60)
        if "--rcheck --seconds 1 " not in case.expected
    ]
    mine = list(faults(FAULTS, seed=9, cases=cases))[BACKENDS.index(backend) :: len(BACKENDS)]
    changed = compared = 0
    for _, some in groupby(mine, lambda fault: fault.old):
        several = list(some)
        old = load(made, backend, several[0].family, several[0].old)
        before = old.ruleset
        afters = [parse_rules(f.new, family=f.family, like=before) for f in several]
        packets = [hitting(f, before, after) for f, after in zip(several, afters, strict=True)]
        for fault, drawn in zip(several, packets, strict=True):
            assert not (found := tried(old, drawn, fault)), "\n".join(found)
        assert old.miscounted() == []
        for fault, drawn in zip(several, packets, strict=True):
            new = load(made, backend, fault.family, fault.new, like=before)
            assert not (found := tried(new, drawn, fault)), "\n".join(found)
            assert new.miscounted() == []
            differ = [
                packet
                for packet in drawn
                if {o.treatment for o in evaluate(before, packet, HOST)}
                != {o.treatment for o in evaluate(new.ruleset, packet, HOST)}
            ]
            # `compare` is about packets that come unmarked
            if shown := next((packet for packet in differ if not packet.mark), None):
                compared += 1
                proven = compare(before, new.ruleset).proven
                assert not proven, f"{fault.kind}: {fault.before} -> {fault.after}\n  {shown}"
            changed += bool(differ)
    # what else there is changes no packet, or few: comments, duplicates, the order of like rules
    assert changed >= len(mine) // 3
    assert compared >= changed // 2
