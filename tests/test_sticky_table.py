"""The table that `sticky` plays by, against the evaluator that it comes from."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.node import NodeLists, Prepared
from compiler.analysis.sticky.recent import RecentList
from compiler.analysis.sticky.table import Table, named_lists, tables
from compiler.family import IPV4
from compiler.kube_rules.jumps import with_jumps
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.host import Host
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from tests.cases import FIXTURES, GOLDEN

HOST = Host(addresses=frozenset(("172.18.0.2", "fd00:18::2")))
ACCEPT = {(table, name): "ACCEPT" for table, names in BUILTIN_CHAINS.items() for name in names}
HZ = 250
# A node port in a cluster with affinity and a Local policy, and the study's cluster IP.
PACKETS = {
    "study-clientip-30s": Packet(
        source="10.10.0.6", destination="10.200.1.201", destination_port=9000
    ),
    "nodeport-affinity-local": Packet(
        source="198.51.100.7", destination="172.18.0.2", destination_port=30080
    ),
    "seed-affinity-default-timeout": Packet(
        source="10.10.0.6", destination="10.200.1.201", destination_port=9000
    ),
    "seed-affinity-none": Packet(
        source="10.10.0.6", destination="10.200.1.201", destination_port=9000
    ),
}


def rules(name: str) -> Ruleset:
    text = (GOLDEN / f"{name}.rules").read_text()
    return with_jumps(parse_rules(text, family=IPV4), policies=ACCEPT)


RULES = {name: rules(name) for name in PACKETS}


def table_of(ruleset: Ruleset, packet: Packet, host: Host = HOST) -> Table:
    ((_, table),) = tables(ruleset, packet.traffic(), host)
    return table


TABLES = {name: table_of(RULES[name], packet) for name, packet in PACKETS.items()}


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(PACKETS)),
    ages=st.lists(st.one_of(st.none(), st.integers(0, 11_000 * HZ)), min_size=8, max_size=8),
    near=st.lists(st.integers(-1, 1), min_size=8, max_size=8),
)
def test_table_and_evaluator_agree(name: str, ages: list[int | None], near: list[int]) -> None:
    """For any ages of the stamps, those at the limit among them."""
    table, packet = TABLES[name], PACKETS[name]
    now = 1 << 40
    lists = NodeLists()
    lists.load(named_lists(RULES[name]), 0)
    held: dict[str, tuple[float, ...]] = {}
    names = sorted(lists.lists)
    for place, (one, age) in enumerate(zip(names, ages, strict=False)):
        if age is None:
            continue
        limit = next((c.seconds for c in table.checks if c.name == one), 0) * HZ
        exact = limit + near[place] if place % 2 else age
        lists.lists[one].entries[7] = now - exact
        lists.held[7] = (*lists.held.get(7, ()), lists.lists[one])
        held[one] = (Fraction(exact, HZ),)  # type: ignore[assignment]
    row = lists.pinned(7, Prepared(table, HZ), now) or table.otherwise
    said = evaluate(RULES[name], replace(packet, lists=held), HOST)
    assert {
        (way.verdict, way.destination, way.sets): share
        for way, share in zip(row.ways, row.shares, strict=True)
    } == {
        (one.verdict, one.destination, tuple(n[1:] for n in one.lists)): one.share for one in said
    }


def test_what_each_fixture_is_there_for() -> None:
    """The property above would hold for rules without any check, too."""
    checks = {name: len(table.checks) for name, table in TABLES.items()}
    assert checks["study-clientip-30s"] == 3
    assert checks["nodeport-affinity-local"] >= 1
    assert checks["seed-affinity-none"] == 0
    assert all(table.endpoints for table in TABLES.values())
    assert all((FIXTURES / name).is_dir() for name in TABLES)


def test_clients_that_rules_tell_apart_have_tables_of_their_own() -> None:
    ruleset = RULES["nodeport-affinity-local"]
    everyone = replace(PACKETS["nodeport-affinity-local"].traffic(), source=((0, (1 << 32) - 1),))
    found = tables(ruleset, everyone, HOST)
    assert len({table for _, table in found}) > 1
    covered = sum(last - first + 1 for ranges, _ in found for first, last in ranges)
    assert covered == 1 << 32


FILTER = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n"
LIST = FILTER + "*nat\n:PREROUTING ACCEPT [0:0]\n:A - [0:0]\n{}\nCOMMIT\n"
PACKET = Packet(source="10.0.0.1", destination="10.0.0.2", destination_port=80)
DNAT = "-j DNAT --to-destination 10.0.0.9:80"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            ["-A PREROUTING -m recent --update --seconds 5 --name L -j A", f"-A A -p tcp {DNAT}"],
            "the list L is checked by other rules than --rcheck",
        ),
        (
            ["-A PREROUTING -m recent --rcheck --hitcount 3 --seconds 5 --name L -j A"],
            "the list L is checked by a mask or by a hit count",
        ),
        (
            ["-A PREROUTING -m recent --rcheck --seconds 5 --name L --mask 255.0.0.0 -j ACCEPT"],
            "the list L is checked by a mask or by a hit count",
        ),
        (
            [
                "-A PREROUTING -m recent --rcheck --seconds 5 --name L -j A",
                "-A A -m recent --rcheck --seconds 5 --name M -j ACCEPT",
            ],
            "rules check several xt_recent lists at once",
        ),
        (
            ["-A PREROUTING -m time --timestart 08:00 -p tcp " + DNAT],
            "depends on what rules don't show",
        ),
        (
            ["-A PREROUTING -m recent --rcheck --seconds 5 --name L -j ACCEPT"] * 2,
            "",
        ),
        (
            ["-A PREROUTING -p tcp --sport 32768:40000 " + DNAT],
            "treat connections of one client differently by their source port",
        ),
    ],
)
def test_what_fits_no_table_is_an_error(lines: list[str], problem: str) -> None:
    ruleset = parse_rules(LIST.format("\n".join(lines)), family=IPV4)
    traffic = PACKET.traffic()
    if "source port" in problem:
        traffic = replace(traffic, source_ports=((32768, 60999),))
    if not problem:
        tables(ruleset, traffic, HOST)
        return
    with pytest.raises(StickyError) as raised:
        tables(ruleset, traffic, HOST)
    assert problem in str(raised.value)


def test_questions_that_make_no_difference_are_left_out() -> None:
    """Whether an endpoint is an address of the node, where that is not known."""
    name = "study-clientip-30s"
    assert table_of(RULES[name], PACKETS[name], Host()) == TABLES[name]


def test_lists_stay_while_rules_name_them() -> None:
    lists = NodeLists(limit=2)
    lists.load({"A", "B"}, 0)
    kept = lists.lists["A"]
    lists.load({"A", "C"}, 5)
    assert lists.lists["A"] is kept
    assert set(lists.lists) == {"A", "C"}
    assert isinstance(lists.lists["C"], RecentList)
    assert lists.lists["C"].born == 5
