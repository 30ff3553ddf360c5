"""What the evaluator says of packets is what the kernel does to them."""

from __future__ import annotations

import ipaddress
import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest
from msgspec.structs import replace

from compiler.family import IPV4, IPV6, Family
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES, Case, node_text
from tests.kernel.agreement import (
    Loaded,
    agrees,
    chi_squared,
    foreign_names,
    foreign_text,
    load,
)
from tests.kernel.sampling import aims, possible, sample
from tests.kernel.wire import HOST, NODE, Fate, Wire

pytestmark = pytest.mark.kernel

# What restore text of more lines shows, shorter ones show as well.
LONGEST = 700
# Packets of each pair where chance decides, and how often right shares may fail a test.
PER_SPREAD = 300
FALSE_ALARM = 1e-7
BY_NAME = {case.name: case for case in ALL_CASES}


def differences(found: list[tuple[Packet, tuple[Outcome, ...], Fate]]) -> list[str]:
    """Return the packets with which the kernel did what no outcome says."""
    return [
        f"{packet}\n    {fate}\n    "
        + "\n    ".join(f"{o.share} {o.treatment} {o.options}" for o in outcomes)
        for packet, outcomes, fate in found
        if not any(agrees(outcome, packet, fate) for outcome in outcomes)
    ]


def compare(loaded: Loaded, seed: str, count: int) -> int:
    """Send packets drawn from the rules; return how many were compared."""
    rng = random.Random(seed)
    packets = sample(aims(loaded.ruleset), rng, count, loaded.wire.next_port)
    found = loaded.try_packets(packets)
    assert [o.undecided_by for _, outcomes, _ in found for o in outcomes if o.undecided_by] == []
    assert differences(found) == []
    assert loaded.miscounted() == []
    return len(found)


def short_cases(step: int) -> list[Case]:
    """Every so many cases, but for the very long ones, and one whose endpoint is multicast."""
    return [
        case
        for case in ALL_CASES[::step]
        if case.expected.count("\n") < LONGEST and "[ff06::" not in case.expected
    ]


def test_cases(wire: Wire, backend: str) -> None:
    pairs = 0
    for case in short_cases(3):
        loaded = load(wire, backend, case.ip_family, node_text(case.expected))
        pairs += compare(loaded, case.name, 8)
    assert pairs >= 700


@pytest.mark.parametrize(
    ("name", "family"),
    [(name, family) for family in (IPV4, IPV6) for name in foreign_names(family)],
)
def test_beside_the_rules_of_others(wire: Wire, backend: str, name: str, family: Family) -> None:
    cases = [case for case in short_cases(2) if case.ip_family == family]
    for case in random.Random(name).sample(cases, 2):
        text, foreign = node_text(case.expected), foreign_text(name, family)
        compare(load(wire, backend, family, text, foreign), case.name + name, 40)


DNAT_ON_THE_NODE = """\
*nat
-A OUTPUT -d 198.18.0.1 -p tcp -j DNAT --to-destination 10.89.0.9
-A OUTPUT -d 198.18.0.2 -p tcp -j DNAT --to-destination 192.168.0.6
COMMIT
*filter
:SEEN - [0:0]
-A OUTPUT -o {there} -p tcp -j SEEN
-A INPUT -p tcp -j SEEN
-A SEEN -o {there} -j DROP
COMMIT
"""


@pytest.mark.parametrize("there", ["eth0", "veth0", "lo"])
def test_interfaces_that_packets_leave_by(wire: Wire, backend: str, there: str) -> None:
    """OUTPUT sees the route before DNAT, and INPUT none."""
    foreign = DNAT_ON_THE_NODE.format(there=there)
    text = node_text(BY_NAME["no-endpoints"].expected)
    loaded = load(wire, backend, IPV4, text, foreign)
    found = loaded.try_packets(
        [
            Packet(
                source=NODE[1],
                destination=destination,
                destination_port=8080,
                local=True,
                source_port=wire.next_port(),
            )
            for destination in ("198.18.0.1", "198.18.0.2", "10.89.0.9", NODE[0], "198.18.0.3")
        ]
    )
    assert differences(found) == []
    assert loaded.miscounted() == []
    kinds = ["gone" if fate.kind == "gone" else "seen" for _, _, fate in found]
    gone = {"eth0": (0, 1, 4), "veth0": (2,), "lo": (3,)}[there]
    assert kinds == ["gone" if place in gone else "seen" for place in range(5)]


def spread(ruleset: Ruleset) -> list[Packet]:
    """Return one packet for every entry point where chance decides, as it comes from outside."""
    aimed = aims(ruleset)
    found = {}
    for place, (destination, protocol, port) in enumerate(aimed.to):
        source = "198.18.5.1" if aimed.family == IPV4 else "2001:db8:ffff::1"
        packet = Packet(
            source=source,
            destination=destination,
            protocol=protocol,
            destination_port=port,
            interface="eth0",
            source_port=place,
        )
        outcomes = evaluate(ruleset, packet, HOST) if possible(packet) else ()
        if len(outcomes) > 1:
            found[frozenset((o.destination, o.share) for o in outcomes)] = packet
    return list(found.values())


def test_new_connections_are_spread_as_said(wire: Wire, backend: str) -> None:
    """With a fault in one pair of a million runs, where nothing is wrong."""
    tried = 0
    for case in random.Random(7).sample(short_cases(1), 60):
        loaded = load(wire, backend, case.ip_family, node_text(case.expected))
        for packet in spread(loaded.ruleset)[:2]:
            said = evaluate(loaded.ruleset, packet, HOST)
            clients = [
                replace(packet, source=client, source_port=loaded.wire.next_port())
                for client in islice(addresses(packet.source), PER_SPREAD)
            ]
            fates = loaded.wire.send(clients)
            assert differences([(c, said, f) for c, f in zip(clients, fates, strict=True)]) == []
            shares: dict[str, float] = {}
            for outcome in said:
                shares[outcome.destination] = shares.get(outcome.destination, 0) + outcome.share
            counts = Counter(
                f"[{fate.destination}]:{fate.destination_port}"
                if ":" in fate.destination
                else f"{fate.destination}:{fate.destination_port}"
                for fate in fates
            )
            assert chi_squared(counts, shares) > FALSE_ALARM, (case.name, packet, counts)
            tried += 1
    assert tried >= 20


def addresses(first: str) -> Iterator[str]:
    """Give addresses from one on: affinity remembers each that it has seen."""
    address = ipaddress.ip_address(first)
    while True:
        yield str(address)
        address += 1


def test_a_wrong_share_would_be_seen() -> None:
    """The test above could fail: a half, a quarter and a quarter, where it is a third each."""
    shares = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    counts = {"a": PER_SPREAD // 2, "b": PER_SPREAD // 4, "c": PER_SPREAD // 4}
    assert chi_squared(counts, shares) < FALSE_ALARM
    assert chi_squared({"a": 4, "d": 1}, shares) == 0


# The tail of the distribution, from the tables in every book.
@pytest.mark.parametrize(
    ("counts", "shares", "tail"),
    [
        ({"a": 60, "b": 40}, {"a": 0.5, "b": 0.5}, 0.0455),
        ({"a": 50, "b": 30, "c": 20}, {"a": 0.4, "b": 0.3, "c": 0.3}, 0.0541),
        ({"a": 32, "b": 28, "c": 24, "d": 16}, dict.fromkeys("abcd", 0.25), 0.1328),
    ],
)
def test_chi_squared(counts: dict[str, int], shares: dict[str, float], tail: float) -> None:
    assert chi_squared(counts, shares) == pytest.approx(tail, abs=0.0001)


def test_pinned_clients(wire: Wire, backend: str) -> None:
    """A client goes where it went before: to that endpoint alone, however many there are."""
    cases = [case for case in short_cases(1) if "--rcheck" in case.expected]
    for place, case in enumerate(random.Random(3).sample(cases, 15)):
        loaded = load(wire, backend, case.ip_family, node_text(case.expected))
        kept = [p for p in spread(loaded.ruleset) if evaluate(loaded.ruleset, p, HOST)[0].lists]
        for packet in kept[:1]:
            # cases have lists of one name, which outlive the rules before these
            client = replace(packet, source=f"{packet.source[:-1]}{40 + place}")
            pinned = random.Random(case.name).choice(evaluate(loaded.ruleset, client, HOST))
            name = pinned.lists[0].removeprefix("+")
            wire.pin(name, client.source)
            ((sent, said, fate),) = loaded.try_packets([client])
            assert sent.lists == {name: (0.0,)}
            assert [o.destination for o in said] == [pinned.destination]
            assert differences([(sent, said, fate)]) == []


def test_lists_forget_after_their_seconds(wire: Wire, backend: str) -> None:
    case = BY_NAME["seed-affinity-clientip-30s"]
    text = node_text(case.expected).replace("--seconds 30", "--seconds 1")
    loaded = load(wire, backend, IPV4, text)
    packet = spread(loaded.ruleset)[0]
    name = evaluate(loaded.ruleset, packet, HOST)[0].lists[0].removeprefix("+")
    wire.pin(name, packet.source)
    time.sleep(2.1)
    old = replace(packet, lists={name: (2.1,)})
    assert len({o.destination for o in evaluate(loaded.ruleset, old, HOST)}) == 3
    assert wire.listed()[name] == {packet.source: 1}
    (fate,) = wire.send([replace(old, source_port=wire.next_port())])
    assert fate.kind == "forward"
    # --reap has removed it from the lists of the endpoints that were asked
    assert sum(packet.source in rows for rows in wire.listed().values()) == 1
