from __future__ import annotations

import os
import random
import re
from functools import lru_cache

import pytest

from compiler.family import IPV4
from compiler.kube_rules.jumps import with_jumps
from compiler.netfilter.compare import Comparison, compare
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.example import example
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import shares
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import print_address, single
from tests.cases import ALL_CASES, GOLDEN, Case, node_text
from tests.mutations import HARMLESS, Fault, faults

# As many in CI; a developer's run looks at fewer, the same ones every time.
FAULTS = int(os.environ.get("PROXYRULES_FAULTS", "600"))
CHUNKS = 20
PACKETS = 15


def rules(text: str, like: Ruleset | None = None) -> Ruleset:
    return with_jumps(parse_rules(text, like=like))


@lru_cache(maxsize=64)
def known(text: str) -> Ruleset:
    return parse_rules(text)


def compared(old: str, new: str) -> Comparison:
    before = rules(old)
    return compare(before, rules(new, like=before))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_fault_that_changes_traffic_is_called_none(chunk: int) -> None:
    """Each fault is held against single packets; what differs has a packet that shows it."""
    for number, fault in enumerate(faults(seed=1000 + chunk, count=FAULTS // CHUNKS)):
        old = known(fault.old)
        new = parse_rules(fault.new, family=fault.family, like=old)
        comparison = compare(old, new, work=100_000)
        told = f"{chunk}/{number} {fault.case} {fault.kind}: {fault.before} -> {fault.after}"
        if comparison.proven:
            packet = differing_packet(fault, old, new, random.Random(number))
            assert packet is None, f"{told}: {packet}"
        else:
            assert fault.kind not in HARMLESS, told
            assert shown(comparison, old, new), told


def shown(comparison: Comparison, old: Ruleset, new: Ruleset) -> bool:
    """Say whether one packet shows the difference, or the result says why it can't."""
    if comparison.unseen or any(one.undecided for one in comparison.differences):
        return True
    for difference in comparison.differences:
        found = example(difference.traffic, difference.witness().answers)
        outcomes = [evaluate(side, found.packet, found.host) for side in (old, new)]
        if shares(outcomes[0]) != shares(outcomes[1]):
            return True
    return False


def differing_packet(
    fault: Fault, old: Ruleset, new: Ruleset, chance: random.Random
) -> Packet | None:
    """Return a packet, made of the rules' own constants, that the two sides treat differently."""
    text = "\n".join((*fault.before, *fault.after)) + fault.new
    pattern = r"\d+\.\d+\.\d+\.\d+" if fault.family == IPV4 else r"(?<=-[sd] )[0-9a-f:]+"
    strangers = ["198.18.0.9"] if fault.family == IPV4 else ["2001:2::9"]
    addresses = [*dict.fromkeys(re.findall(pattern, text)), *strangers]
    near = re.findall(pattern, "\n".join((*fault.before, *fault.after))) or addresses
    ports = [int(port) for port in re.findall(r"--dport (\d+)", text)] or [80]
    for _ in range(PACKETS):
        local = chance.random() < 0.3
        own = chance.choice(addresses)
        packet = Packet(
            source=own if local else chance.choice([*near, *strangers]),
            destination=chance.choice([chance.choice(near), chance.choice(addresses)]),
            protocol=chance.choice(["tcp", "tcp", "udp", "sctp"]),
            destination_port=chance.choice(ports),
            local=local,
            interface=None if local else chance.choice(["eth0", "cbr0"]),
            state=chance.choice(["NEW", "NEW", "NEW", "ESTABLISHED", "INVALID"]),
        )
        if not local and packet.source == own:
            continue  # the kernel drops it as a martian
        host = Host(frozenset((own,)))
        if shares(evaluate(old, packet, host)) != shares(evaluate(new, packet, host)):
            return packet
    return None


# Restore text of more lines takes seconds each.
HARMLESS_CHUNKS = 5
LONGEST = 400
SWAPS = 3
SMALL = [case for case in ALL_CASES if case.expected.count("\n") < LONGEST]
SERVICE_JUMP = re.compile(r"-A KUBE-SERVICES .* -j KUBE-(?:SVC|SVL|EXT|XLB|FW)-")


def harmless(case: Case, lines: list[str]) -> Comparison:
    """Compare a case's node with the same under other lines, with less work than by default."""
    old = known(node_text(case.expected))
    new = parse_rules("\n".join(lines), family=old.family, like=old)
    return compare(old, new, work=200_000)


@pytest.mark.parametrize("chunk", range(HARMLESS_CHUNKS))
def test_a_duplicate_below_itself_is_called_none(chunk: int) -> None:
    """But for a rule that flips a mark, or leaves it to chance: twice is not once."""
    cases = random.Random(chunk).sample(SMALL, min(FAULTS // 5, 300) // HARMLESS_CHUNKS)
    given_up = 0
    for case in cases:
        lines = node_text(case.expected).splitlines()
        twice = re.compile(r"-A (?!.*--xor-mark|.*--mode random)")
        places = [place for place, line in enumerate(lines) if twice.match(line)]
        place = random.Random(f"{chunk} {case.name}").choice(places)
        lines.insert(place, lines[place])
        comparison = harmless(case, lines)
        assert not comparison.differences, f"{case.name}: {lines[place]}"
        given_up += not comparison.proven
    # where too many ways lead to the chain, it says so
    assert given_up <= len(cases) // 10


@pytest.mark.parametrize("chunk", range(HARMLESS_CHUNKS))
def test_a_swap_of_two_service_ports_is_called_none(chunk: int) -> None:
    swapped = 0
    for case in SMALL[chunk::HARMLESS_CHUNKS]:
        lines = node_text(case.expected).splitlines()
        nat = lines.index("*nat")
        jumps = [place for place in range(nat, len(lines)) if SERVICE_JUMP.match(lines[place])]
        pairs = [(a, b) for a in jumps for b in jumps if a < b and apart(lines[a], lines[b])]
        chance = random.Random(f"{chunk} {case.name}")
        for one, other in chance.sample(pairs, min(len(pairs), SWAPS)):
            changed = lines.copy()
            changed[one], changed[other] = lines[other], lines[one]
            assert harmless(case, changed).proven, f"{case.name}: {lines[one]} <-> {lines[other]}"
            swapped += 1
    assert swapped >= 20


def apart(one: str, other: str) -> bool:
    """Say whether two rules are of different service ports and about different packets."""
    asked = [re.findall(r"-d \S+|-p \S+|--dport \d+", line) for line in (one, other)]
    return asked[0] != asked[1] and one.rpartition(" ")[2] != other.rpartition(" ")[2]


STUDY = (GOLDEN / "seed-affinity-none.rules").read_text()
JUMP = "-A KUBE-SERVICES -d 10.0.0.9/32 -j KUBE-SVC-KBDEBIL6IU6WL7RF\n"


def test_equal_rules_need_no_packets() -> None:
    comparison = compared(STUDY, STUDY)
    assert comparison.proven
    assert comparison.classes == 0


def test_comments_and_counters_are_silent() -> None:
    changed = STUDY.replace("cluster IP", "CLUSTER IP")
    comparison = compared(STUDY, changed)
    assert comparison.proven
    assert comparison.silent == (("nat", "KUBE-SERVICES"), ("nat", "KUBE-SVC-KBDEBIL6IU6WL7RF"))


def test_a_duplicate_is_followed_through_all_tables() -> None:
    """The first of two equal jumps does all that the second could."""
    line = next(one for one in STUDY.splitlines() if "9000 -j KUBE-SVC" in one)
    comparison = compared(STUDY, STUDY.replace(line, f"{line}\n{line}"))
    assert comparison.proven
    assert comparison.classes > 0


def test_a_lost_translation_is_shared_out_among_the_others() -> None:
    """A chain without its DNAT returns, and the rules after the jump deal its packets out."""
    lost = re.sub(r"-A KUBE-SEP-TBW2IYJKUCAC7GB3 .*DNAT.*\n", "", STUDY)
    comparison = compared(STUDY, lost)
    assert comparison.differences
    after = comparison.differences[0].witness().new
    assert {one.destination: round(float(share), 6) for one, share in after.items()} == {
        "10.10.2.2:80": 0.5,
        "10.10.3.3:80": 0.5,
    }


def test_the_lost_translation_of_the_last_endpoint_leaves_packets_as_they_are() -> None:
    lost = re.sub(r"-A KUBE-SEP-K7ALM6KJRBAYOHKX .*DNAT.*\n", "", STUDY)
    after = compared(STUDY, lost).differences[0].witness().new
    untouched = [share for one, share in after.items() if not one.destination]
    assert [round(float(share), 4) for share in untouched] == [0.3333]


def test_an_unknown_match_is_the_same_on_both_sides() -> None:
    foreign = "-A KUBE-SERVICES -m set --match-set bad src -j DROP\n-A KUBE-SERVICES -m comment"
    text = STUDY.replace("-A KUBE-SERVICES -m comment", foreign, 1)
    line = next(one for one in text.splitlines() if "9000 -j KUBE-SVC" in one)
    assert compared(text, text.replace(line, f"{line}\n{line}")).proven


def test_an_unknown_match_that_came_may_make_a_difference() -> None:
    foreign = "-A KUBE-SERVICES -m set --match-set bad src -j RETURN\n-A KUBE-SERVICES -m comment"
    comparison = compared(STUDY, STUDY.replace("-A KUBE-SERVICES -m comment", foreign, 1))
    assert not comparison.proven


def test_an_unknown_target_is_undecided() -> None:
    foreign = f"-A KUBE-SERVICES -d 10.200.1.201/32 -j NFQUEUE\n{JUMP}"
    changed = STUDY.replace("-A KUBE-POSTROUTING", f"{foreign}-A KUBE-POSTROUTING", 1)
    found: dict[str, set[bool]] = {}
    for one in compared(STUDY, changed).differences:
        address = single(one.traffic.destination)
        assert address is not None
        found.setdefault(print_address(address, IPV4), set()).add(one.undecided)
        reasons = {outcome.undecided_by for outcome in (*one.old, *one.new)} - {""}
        assert reasons == ({"-j NFQUEUE"} if one.undecided else set())
    # the rule beside it is followed as ever
    assert found == {"10.200.1.201": {True}, "10.0.0.9": {False}}


def test_what_is_too_much_to_follow_is_said() -> None:
    before = rules(STUDY)
    changed = rules(STUDY.replace("--xor-mark 0x00004000", "--xor-mark 0x00008000"))
    comparison = compare(before, changed, work=1)
    assert comparison.unseen == (("nat", "KUBE-POSTROUTING"),)
    assert not comparison.proven


def test_the_order_of_affinity_rules_matters_for_clients_on_two_lists() -> None:
    text = (GOLDEN / "seed-affinity-clientip-30s.rules").read_text()
    lines = text.splitlines(keepends=True)
    checks = [place for place, line in enumerate(lines) if "--rcheck" in line]
    first, second = checks[:2]
    lines[first], lines[second] = lines[second], lines[first]
    comparison = compared(text, "".join(lines))
    assert comparison.differences
    answers = comparison.differences[0].witness().answers
    lists = [question.subject for question, answer in answers.items() if answer]
    assert sum("in the list" in subject for subject in lists) == 2
