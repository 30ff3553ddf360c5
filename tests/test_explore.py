"""`explore`: its documents answer as `trace` does, for every packet, and explain every rule."""

from __future__ import annotations

import random
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from compiler.analysis.explore.cells import STATE_ORDER, Cutter
from compiler.analysis.explore.values import MAX_ENDPOINTS
from compiler.analysis.node_view import Column
from compiler.analysis.packet_words import answers_of
from compiler.exploring import explore, make_exploration, side_of_rules
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.traffic import print_address
from compiler.questions import diff, read_rules
from tests.cases import ALL_CASES, FIXTURES, GOLDEN, Case, case_id
from tests.explored import (
    Json,
    cells_of,
    entries,
    expected,
    explored,
    holds,
    shown,
    traced,
    way_expected,
    way_shown,
)

PACKETS = 6
NODE = {"ipv4": "172.18.0.2", "ipv6": "fd00:18::2"}
# A rule of somebody else's, about an interface, below kube-proxy's.
BY_INTERFACE = "-A FORWARD -i eth1 -p tcp -m tcp --dport 8080 -j DROP\n"
RANGES = (GOLDEN / "loadbalancer-source-ranges.standalone").read_text()


def random_packets(
    document: Json, cutter: Cutter, seed: str, count: int
) -> list[tuple[Json, Json, Packet, int]]:
    """Return packets to entry points, from all over and from where cells begin and end."""
    chance = random.Random(seed)
    known = list(entries(document))
    found = []
    for _ in range(count if known else 0):
        state, entry = chance.choice(known)
        local = chance.random() < 0.3 or entry["via"] == "localhost"
        cells = [one for one in entry["cells"] if one["local"] is local]
        cell = chance.choice(cells)
        low, high = (int(end, 16) for end in chance.choice(cell["sources"]))
        anywhere = chance.getrandbits(32 if cutter.view.family == "ipv4" else 128)
        source = chance.choice([low, high, chance.randint(low, high), anywhere])
        if local:
            source = chance.choice([low, high])
        by = chance.choice([None, *{one["interface"] for one in cells}, "eth0"])
        packet = Packet(
            source=print_address(source, cutter.view.family),
            destination=chance.choice(entry["to"]),
            protocol=entry["protocol"],
            destination_port=entry["port"],
            local=local,
            interface=None if local else by,
            state=chance.choice(STATE_ORDER),
        )
        packet = replace(packet, flags=frozenset(("SYN" if packet.state == "NEW" else "ACK",)))
        found.append((state, entry, packet, source))
    return found


def check_packet(cutter: Cutter, state: Json, entry: Json, packet: Packet, source: int) -> None:
    """Look a packet up and compare it with `trace`, also for clients that lists have."""
    (cell,) = cells_of(entry, packet, source)
    trace = traced(cutter, packet)
    assert [case["if"] for case in cell["cases"]] == [answers_of(one.given) for one in trace.cases]
    for case, one in zip(cell["cases"], trace.cases, strict=True):
        assert shown(state, case) == expected(cutter, packet, one.ways)
    for name, seconds, way in cell["pins"]:
        young = replace(packet, lists={name: (float(seconds),)})
        (pinned,) = traced(cutter, young).cases[0].ways
        # of when the client was seen the page knows more than the document
        mine = way_shown(state, state["ways"][way])
        theirs = way_expected(cutter, replace(young, lists={}), pinned)
        assert mine == theirs
        old = replace(packet, lists={name: (seconds + 1.0,)})
        answers = expected(cutter, old, traced(cutter, old).cases[0].ways)
        assert shown(state, cell["cases"][0]) == answers


SMALL = [case for case in ALL_CASES if "large" not in case.name]


@pytest.mark.parametrize("case", SMALL[::3], ids=case_id)
def test_answers_are_those_of_trace(case: Case) -> None:
    addresses = [NODE[case.family]] if len(case.name) % 3 else []
    view, document = explored(case.expected, addresses)
    cutter = Cutter(view)
    for state, entry, packet, source in random_packets(document, cutter, case.name, PACKETS):
        check_packet(cutter, state, entry, packet, source)


@pytest.mark.parametrize(
    "dump", sorted((FIXTURES / "dumps").glob("*.save")), ids=lambda one: one.stem
)
@pytest.mark.parametrize("addresses", [(), ("10.0.0.11",)], ids=["", "addresses"])
def test_answers_in_dumps_with_rules_of_others(dump: Path, addresses: tuple[str, ...]) -> None:
    view, document = explored(dump.read_text(), addresses)
    cutter = Cutter(view)
    for state, entry, packet, source in random_packets(document, cutter, dump.stem, 40):
        check_packet(cutter, state, entry, packet, source)


def test_answers_with_rules_about_interfaces() -> None:
    text = RANGES.replace("COMMIT", f"{BY_INTERFACE}COMMIT", 1)
    view, document = explored(text, [NODE["ipv4"]])
    cutter = Cutter(view)
    interfaces = {one["interface"] for _, entry in entries(document) for one in entry["cells"]}
    assert interfaces == {None, "eth0"}
    undecided = 0
    for state, entry, packet, source in random_packets(document, cutter, "interfaces", 300):
        check_packet(cutter, state, entry, packet, source)
        undecided += len(cells_of(entry, packet, source)[0]["cases"]) > 1
    assert undecided


@pytest.mark.parametrize("case", SMALL[::5], ids=case_id)
def test_every_packet_is_in_one_cell(case: Case) -> None:
    view, document = explored(case.expected, [NODE[case.family]])
    bits = 32 if case.family == "ipv4" else 128
    own = {int(ip_address(one)) for one in view.around.addresses}
    for _, entry in entries(document):
        kinds = {(one["local"], one["interface"]) for one in entry["cells"]}
        assert (True, None) in kinds
        for kind in kinds:
            cells = [one for one in entry["cells"] if (one["local"], one["interface"]) == kind]
            for state in STATE_ORDER:
                ranges = sorted(
                    (int(low, 16), int(high, 16))
                    for one in cells
                    if state in one["states"]
                    for low, high in one["sources"]
                )
                assert all(before[1] < after[0] for before, after in pairwise(ranges))
                if kind[0]:
                    assert all(any(low <= one <= high for low, high in ranges) for one in own)
                elif not entry["notLooked"]:
                    assert (ranges[0][0], ranges[-1][1]) == (0, (1 << bits) - 1)
                    assert all(after[0] == before[1] + 1 for before, after in pairwise(ranges))


def test_ways_of_a_large_service_are_few() -> None:
    view, document = explored((GOLDEN / "large-cluster.rules").read_text())
    (detail,) = document["details"]
    (entry,) = detail["states"][0]["entries"]
    endpoints = document["index"][0]["endpoints"]
    assert endpoints > 1000 > MAX_ENDPOINTS
    assert "endpoints (more than 50)" in entry["notLooked"]
    assert len(entry["cells"]) < 20
    assert len(detail["states"][0]["ways"]) < 13 * endpoints
    one = int(
        ip_address(
            view.rules.endpoint_address(detail["states"][0]["chains"][-1]["chain"]).partition(":")[
                0
            ]
        )
    )
    assert not any(holds(cell, one) for cell in entry["cells"])


@pytest.mark.parametrize("case", SMALL[1::3], ids=case_id)
def test_every_word_of_kube_proxys_rules_is_explained(case: Case) -> None:
    _, document = explored(case.expected, [NODE[case.family]])
    rules = [
        rule
        for detail in document["details"]
        for state in detail["states"]
        for rule in state["rules"]
    ]
    for rule in rules:
        assert " ".join(words for words, _ in rule["words"]) == rule["text"]
        assert all(said for _, said in rule["words"]), rule
        assert rule["why"], rule


STUDY = (FIXTURES / "seed-affinity-none", FIXTURES / "seed-affinity-clientip")


def study_cells(folder: Path) -> tuple[Json, list[Json]]:
    """Return the state of the study's Service and the cells of new connections to it."""
    document: Json = dict(
        explore([folder / "input.yaml"], config=folder / "kube-proxy.yaml", nodes=["worker-1"])
    )
    (detail,) = document["details"]
    (state,) = detail["states"]
    (entry,) = state["entries"]
    return state, [cell for cell in entry["cells"] if "NEW" in cell["states"]]


def test_what_if_is_what_a_compile_with_affinity_gives() -> None:
    """Pinning the ways in their order is what the page does for a Service without affinity."""
    (plain, cells), (pinned, others) = (study_cells(folder) for folder in STUDY)
    assert len(cells) == len(others) > 2
    for cell, other in zip(cells, others, strict=True):
        assert (cell["local"], cell["sources"]) == (other["local"], other["sources"])
        assert cell["pins"] == []
        (case,), (with_affinity,) = cell["cases"], other["cases"]
        ways = [plain["ways"][way] for way, _, _ in case["ways"]]
        pins = [(pinned["ways"][way], seconds) for _, seconds, way in other["pins"]]
        assert {seconds for _, seconds in pins} == {10800}
        assert [(one["translatedTo"], one["source"]) for one in ways] == [
            (one["translatedTo"], one["source"]) for one, _ in pins
        ]
        assert [share[1:] for share in case["ways"]] == [
            share[1:] for share in with_affinity["ways"]
        ]
        # who lands on an endpoint by chance is put on its list, and nowhere else
        names = [name for name, _, _ in other["pins"]]
        stamps = [pinned["ways"][way]["stamps"] for way, _, _ in with_affinity["ways"]]
        assert stamps == [[name] for name in names]


def test_changes_are_those_of_diff() -> None:
    texts = [GOLDEN / f"{folder.name}.rules" for folder in STUDY]
    rules = [read_rules(text) for text in texts]
    explored_sides = [
        side_of_rules(name, [Column(name, one)])
        for name, one in zip(("old", "new"), rules, strict=True)
    ]
    document: Json = dict(make_exploration(explored_sides, ["old", "new"]).document())
    (entry,), (detail,) = document["index"], list(document["details"])
    (port,) = diff(*texts).ports
    assert entry["change"] == port.change == "changed"
    assert detail["byView"] == [0, 1]
    assert [line.split("  ") for line in detail["changes"]] == [
        ["+ session affinity", "ClientIP, 10800 s"]
    ]
    marked = [edge["change"] for edge in detail["states"][1]["graph"]["edges"] if edge["change"]]
    assert marked == ["added"] * 3
    assert not any(edge["change"] for edge in detail["states"][0]["graph"]["edges"])
