"""What `trace` says of packets is what the kernel does to them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from compiler.analysis.packet_request import RequestError, Resolver
from compiler.analysis.trace import trace_packet
from compiler.family import IPV4, IPV6, Family
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.senders import Surroundings
from compiler.netfilter.evaluate import Packet
from tests.cases import FIXTURE_CASES, Case, node_text
from tests.flow_files import requests_of, traced_case
from tests.kernel.agreement import Loaded, agrees, foreign_names, foreign_text, load
from tests.kernel.sampling import aims, possible, sample
from tests.kernel.wire import HOST, NODE, NODE6, Wire, lists_of

pytestmark = pytest.mark.kernel

# Goldens of more lines show nothing that shorter ones don't.
LONGEST = 400


def agree(loaded: Loaded, packets: Sequence[Packet]) -> int:
    """Send packets; what becomes of each must be one of the ways that `trace` gives."""
    rules = NodeRules(loaded.ruleset)
    wrong = []
    for sent, _, fate in loaded.try_packets(packets):
        (case,) = trace_packet(rules, sent, HOST).cases
        assert sum(way.share for way in case.ways) == 1
        if not any(agrees(way.outcome, sent, fate) for way in case.ways):
            wrong.append((sent, fate, [way.outcome_name for way in case.ways]))
    assert wrong == []
    return len(packets)


def asked(case: Case, loaded: Loaded) -> list[Packet]:
    """Return the packets of a fixture's flow file, for the addresses of the node on the wire."""
    rules = NodeRules(loaded.ruleset)
    resolver = Resolver(Surroundings(rules, [*NODE[1:], *NODE6[1:]]))
    packets = []
    for _, request in requests_of(traced_case(case)):
        try:
            (resolved,) = resolver.resolve(request)
        except RequestError:
            continue  # a node port at an address that this node has not
        packet = replace(resolved.packet, source_port=loaded.wire.next_port())
        if possible(packet):
            packets.append(packet)
    return packets


def test_flows_of_fixtures(wire: Wire, backend: str) -> None:
    pairs = 0
    for case in FIXTURE_CASES:
        if case.expected.count("\n") > LONGEST:
            continue
        loaded = load(wire, backend, case.ip_family, node_text(case.expected))
        pairs += agree(loaded, asked(case, loaded))
    assert pairs >= 300


@pytest.mark.parametrize(
    ("name", "family"),
    [(name, family) for family in (IPV4, IPV6) for name in foreign_names(family)],
)
def test_beside_the_rules_of_others(wire: Wire, backend: str, name: str, family: Family) -> None:
    cases = [case for case in FIXTURE_CASES if case.ip_family == family]
    case = random.Random(name).choice([c for c in cases if c.expected.count("\n") < LONGEST])
    loaded = load(wire, backend, family, node_text(case.expected), foreign_text(name, family))
    rng = random.Random(f"trace {name}")
    assert agree(loaded, sample(aims(loaded.ruleset), rng, 30, wire.next_port)) == 30


def test_a_pinned_client_goes_where_it_is_pinned(wire: Wire, backend: str) -> None:
    (case,) = (one for one in FIXTURE_CASES if one.name == "seed-affinity-clientip")
    loaded = load(wire, backend, IPV4, node_text(case.expected))
    tried = 0
    for place, name in enumerate(
        name for name in sorted(wire.listed()) if f"--name {name} " in case.expected
    ):
        client = f"198.18.6.{place + 1}"
        wire.pin(name, client)
        packet = Packet(
            source=client,
            destination="10.200.1.201",
            destination_port=9000,
            interface="eth0",
            source_port=wire.next_port(),
            lists=lists_of(wire.listed(), client),
        )
        (only,) = trace_packet(NodeRules(loaded.ruleset), packet, HOST).ways
        assert only.pinned is not None
        assert only.pinned.list_name == name
        assert agree(loaded, [packet]) == 1
        tried += 1
    assert tried == 3
