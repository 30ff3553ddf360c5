"""Graphs say what the evaluator says, and leave nothing of the chains out."""

from __future__ import annotations

from fractions import Fraction

import pytest

from compiler.analysis.cells import Cell
from compiler.analysis.graph.draw import HAIRPIN, draw
from compiler.analysis.graph.folding import folded
from compiler.analysis.graph.model import Edge, Graph
from compiler.analysis.graph.structure import read_structure
from compiler.analysis.graph.traffic import ASSUMED, Traffic
from compiler.analysis.node_view import NodeView
from compiler.analysis.packet_words import percent
from compiler.api import Column, RequestError, graph, read_columns
from compiler.kube_rules.destinations import NoSuchServiceError
from compiler.kube_rules.senders import Sender
from compiler.netfilter.parse import parse_rules
from tests.cases import CONFORMANCE_CASES, FIXTURE_CASES, FIXTURES, Case, case_id
from tests.graphs import NODE, changed, edge, ends_from, golden_text, only_graph, view_of

LARGE = 50_000
SMALL = [case for case in [*FIXTURE_CASES, *CONFORMANCE_CASES[::4]] if len(case.expected) < LARGE]
LOCAL = "nodeport-affinity-local"
ENDS = {"nothing": "passed", "endpoint": "endpoint"}


def expected_ends(cell: Cell) -> dict[tuple[str, str], Fraction]:
    found: dict[tuple[str, str], Fraction] = {}
    for one in cell:
        kind = ENDS.get(one.kind, one.kind)
        end = kind, one.to if kind == "endpoint" else ""
        found[end] = found.get(end, Fraction(0)) + one.share
    return found


@pytest.mark.parametrize("case", SMALL, ids=case_id)
def test_every_way_of_every_case_ends_as_the_matrix_says(case: Case) -> None:
    """From every sender through every entry point: all ends with exactly their shares."""
    tried = 0
    view = view_of(case.expected, case.ip_family)
    for key in view.rules.keys:
        whole = draw(view, key)
        for kind in ("pod", "node", "outside"):
            drawn = draw(view, key, wanted=kind)
            tried += check_ways(view, drawn, kind)
            check_shares(whole, drawn)
    assert tried or not view.rules.keys


def check_ways(view: NodeView, drawn: Graph, kind: str) -> int:
    traffic = Traffic(view, read_structure(view.rules, drawn.key, {}), {})
    count = 0
    for one in drawn.nodes:
        if one.kind != "entry" or (entry := traffic._entry(one.key)) is None:
            continue
        senders = {str(k): v for k, v in view.senders_to(entry, view.source_ranges(entry)).items()}
        sender = senders.get(kind)
        if isinstance(sender, Sender):
            cell = view.cell(entry, sender)
            assert ends_from(drawn, one.key) == expected_ends(cell), (one.words, kind)
            assert sum(ends_from(drawn, one.key).values()) == 1
            masked = any(result.source == "masquerade" for result in cell)
            assert any("masqueraded" in e.masquerade for e in reachable(drawn, one.key)) == masked
            count += 1
    return count


def reachable(drawn: Graph, start: str) -> list[Edge]:
    found: list[Edge] = []
    waiting = [start]
    while waiting:
        key = waiting.pop()
        for one in drawn.edges:
            if one.source == key and one.kind == "way":
                found.append(one)
                waiting.append(one.target)
    return found


def check_shares(whole: Graph, drawn: Graph) -> None:
    """The shares of the rules' values are those of the packets that were sent."""
    known = {(e.source, e.target, e.kind, e.condition): e.share for e in whole.edges}
    for one in drawn.edges:
        place = one.source, one.target, one.kind, one.condition
        if known.get(place) is not None:
            assert one.share == known[place]


SVC, SEP_2, SEP_10 = (
    "KUBE-SVC-CDGGSHYLG3RE2FKL",
    "KUBE-SEP-PHA6Y4ULJMLTBWSQ",
    "KUBE-SEP-V77VTYPZ6GHYI2IU",
)
MASQUERADED = f'-A {SVC} -m comment --comment "default/web:http cluster IP"'


def words(drawn: Graph, kind: str) -> list[str]:
    return [node.words for node in drawn.nodes if node.kind == kind]


def test_external_policy_local() -> None:
    drawn = only_graph(golden_text(LOCAL))
    external = "external traffic"
    edges = [
        (one.condition, drawn.node(one.target).words, one.masquerade)
        for one in drawn.edges
        if drawn.node(one.source).words == external
    ]
    assert edges == [
        ("from 10.10.0.0/16", "endpoints of the cluster", ()),
        ("from this node", "endpoints of the cluster", ("masqueraded",)),
        ("all other", "endpoints on this node", ()),
    ]
    assert edge(drawn, "endpoints on this node", "10.10.1.2").share == 1
    cluster_ip = edge(drawn, "via cluster IP", "endpoints of the cluster")
    assert cluster_ip.masquerade == ("masqueraded unless from 10.10.0.0/16",)
    assert HAIRPIN in drawn.notes


def test_affinity_leads_back_within_its_seconds() -> None:
    drawn = only_graph(golden_text(LOCAL))
    back = [one for one in drawn.edges if one.kind == "return"]
    assert [one.affinity for one in back] == [60] * 4
    without = only_graph(golden_text("nodeport-local"))
    assert [one for one in without.edges if one.kind == "return"] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f" --name {SEP_10} --set -m tcp", "", "asked for 60 s, but never remembered"),
        (
            f" -m recent --name {SEP_10} --rcheck --seconds 60 --reap -j {SEP_10}",
            f" -m recent --name {SEP_10} --rcheck --seconds 60 --reap -j LOG",
            "remembered, but never asked for",
        ),
    ],
)
def test_affinity_that_does_not_hold(old: str, new: str, said: str) -> None:
    text = changed(LOCAL).replace(old if new else f" -m recent{old}", new or " -m tcp", 1)
    assert text != changed(LOCAL)
    (back,) = [
        one for one in only_graph(text).edges if one.kind == "return" and one.affinity is None
    ]
    assert back.condition == said


def test_source_ranges() -> None:
    drawn = only_graph(golden_text("loadbalancer-source-ranges"))
    ranges = "load-balancer source ranges"
    inside = edge(drawn, ranges, "external traffic")
    assert inside.condition == "from 203.0.113.0/24, 10.1.0.0/16"
    assert edge(drawn, ranges, "dropped: from none").condition == "all other"
    assert edge(drawn, "external traffic", "endpoints of").masquerade == ("masqueraded",)
    assert words(only_graph(golden_text("loadbalancer-source-ranges"), "outside"), "dropped")


def test_no_endpoints_are_rejected_and_none_on_this_node_dropped() -> None:
    rejecting = only_graph(golden_text("no-endpoints"))
    assert words(rejecting, "rejected") == ["rejected: no endpoints"]
    drawn = only_graph(golden_text("nodeport-local-without-local-endpoints"))
    dropping = edge(drawn, "external traffic", "dropped: no endpoint on this node")
    assert dropping.condition == "all other"
    internal = only_graph(golden_text("internal-local-without-local-endpoints"))
    assert words(internal, "dropped") == ["dropped: no endpoint on this node"]


def test_ipv6() -> None:
    drawn = only_graph(golden_text("dual-stack-ipv6"))
    assert words(drawn, "entry")[0] == "via cluster IP [fd00:200::a]:80"
    assert words(drawn, "endpoint") == ["[fd00:10::2:2]:8080", "[fd00:10::1:2]:8080"]
    assert edge(drawn, "via cluster", "endp").masquerade == (
        "masqueraded unless from fd00:10::/48",
    )


def test_a_dropping_rule_of_another_program_is_drawn_behind_what_it_drops() -> None:
    rule = "-A FORWARD -s 203.0.113.0/24 -p tcp -m tcp --dport 8080 -j DROP"
    drawn = only_graph(changed(LOCAL, ("-A FORWARD ", f"{rule}\n-A FORWARD ")))
    (end,) = [node for node in drawn.nodes if node.kind == "dropped"]
    assert (end.words, end.detail) == ("dropped by a rule of FORWARD", f"filter: {rule}")
    before = {drawn.node(one.source).words for one in drawn.edges if one.target == end.key}
    assert before == {"10.10.1.2:8080", "10.10.2.10:8080", "10.10.2.2:8080"}
    assert {one.condition for one in drawn.edges if one.target == end.key} == {"from outside"}


def test_a_policy_that_drops() -> None:
    drawn = only_graph(changed(LOCAL, (":FORWARD ACCEPT", ":FORWARD DROP")))
    conditions = {
        drawn.node(one.source).words: one.condition
        for one in drawn.edges
        if drawn.node(one.target).words == "dropped by the policy of filter FORWARD"
    }
    # masqueraded packets have the mark that KUBE-FORWARD accepts
    assert conditions == {
        "10.10.1.2:8080": "from pod, outside via node port 30080",
        "10.10.2.10:8080": "from pod",
        "10.10.2.2:8080": "from pod",
    }


def test_a_match_that_is_not_understood_is_in_its_own_words() -> None:
    rule = f"-A {SVC} -m time --timestart 08:00 --timestop 18:00 -j {SEP_2}"
    drawn = only_graph(changed(LOCAL, (MASQUERADED, f"{rule}\n{MASQUERADED}")))
    asked = "-m time --timestart 08:00 --timestop 18:00"
    assert asked in [one.condition for one in drawn.edges]
    assert words(drawn, "undecided") == [f"undecided: depends on {asked}"]
    assert "shares are of the connections that rules in their own words leave" in drawn.notes


def test_a_rule_for_some_ports_is_no_share() -> None:
    rule = f"-A {SVC} -p tcp -m tcp --sport 53 -j {SEP_2}"
    drawn = only_graph(changed(LOCAL, (MASQUERADED, f"{rule}\n{MASQUERADED}")))
    shares = [
        one.share
        for one in drawn.edges
        if drawn.node(one.source).words == "endpoints of the cluster" and one.share
    ]
    assert [percent(one) for one in shares] == ["33.3 %"] * 3
    assert "-p tcp, -m tcp --sport 53" in [one.condition for one in drawn.edges]


def test_a_rule_that_is_never_reached_is_said_to_be() -> None:
    rule = f"-A {SVC} -s 10.1.0.0/16 -j {SEP_2}"
    text = changed(LOCAL).replace("-A KUBE-SVL", f"{rule}\n-A KUBE-SVL", 1)
    drawn = only_graph(text)
    assert f"never reached: {rule}" in drawn.notes
    assert "from 10.1.0.0/16" not in [one.condition for one in drawn.edges]


def test_an_endpoint_without_translation() -> None:
    lost = f"--name {SEP_10} --set -m tcp -p tcp -j DNAT --to-destination 10.10.2.10:8080"
    drawn = only_graph(changed(LOCAL, (lost, f"--name {SEP_10} --set -p tcp")))
    assert f"{SEP_10} translates to nothing: its packets come back" in drawn.notes
    assert percent(edge(drawn, "endpoints of the", "10.10.2.2").share or 0) == "66.7 %"


def test_an_endpoint_without_a_share() -> None:
    last = f'-A {SVC} -m comment --comment "default/web:http -> 10.10.2.2:8080" -j {SEP_2}\n'
    drawn = only_graph(changed(LOCAL, (last, "")))
    assert "10.10.2.2:8080 gets returning clients, and no share of new ones" in drawn.notes
    assert percent(edge(drawn, "endpoints of", "no endpoint: goes on").share or 0) == "33.3 %"


def test_masquerading_that_is_marked_and_not_done() -> None:
    rule = '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT"'
    drawn = only_graph(changed(LOCAL, (f"{rule} -j MASQUERADE --random-fully\n", "")))
    assert "from outside: marked for masquerading, but not masqueraded" in drawn.notes
    whole = only_graph(golden_text(LOCAL))
    assert not any("marked" in note for note in whole.notes)


def test_masquerading_by_another_program() -> None:
    rule = "-A POSTROUTING -s 203.0.113.0/24 -j MASQUERADE"
    text = changed(LOCAL, ("-A POSTROUTING ", f"{rule}\n-A POSTROUTING "))
    assert f"from outside: source rewritten by {rule}" in only_graph(text).notes


def test_an_endpoint_that_is_not_masqueraded_to_itself() -> None:
    rule = f"-A {SEP_2} -m comment --comment default/web:http -s 10.10.2.2 -j KUBE-MARK-MASQ\n"
    drawn = only_graph(changed(LOCAL, (rule, "")))
    assert "connections of 10.10.2.2:8080 to itself are not masqueraded" in drawn.notes
    (itself,) = graph(Column("node", parse_rules(golden_text(LOCAL))), sender="10.10.2.2")
    hairpin = edge(itself, "endpoints of the cluster", "10.10.2.2")
    assert hairpin.masquerade == ("masqueraded",)
    assert edge(itself, "endpoints of the cluster", "10.10.1.2").masquerade == ()


def test_entry_points_that_are_treated_unlike_are_told_apart() -> None:
    """What comes by the cluster IP has the mark, what comes by the node port has not."""
    rule = "-A FORWARD -m mark --mark 0x4000/0x4000 -j DROP"
    drawn = only_graph(
        changed("nodeport-local", ("-A FORWARD ", f"{rule}\n-A FORWARD ")), "outside"
    )
    dropped = {
        drawn.node(one.source).words: (one.share, one.condition)
        for one in drawn.edges
        if drawn.node(one.target).kind == "dropped"
    }
    assert dropped == {
        "10.10.1.2:8080": (None, "via cluster IP 10.200.1.10:80"),
        "10.10.2.10:8080": (None, ""),
        "10.10.2.2:8080": (None, ""),
    }


def test_a_shadowed_entry_point_is_taken_by_another() -> None:
    text = golden_text("nodeport-cluster")
    line = next(one for one in text.splitlines() if "-A KUBE-NODEPORTS" in one)
    other = line.replace("default/web:http", "default/aaa:http").replace("KUBE-EXT-", "KUBE-EXT-A")
    view = view_of(text.replace(line, f"{other}\n{line}"))
    key = next(one for one in view.rules.keys if one.name == "default/web:http")
    drawn = draw(view, key)
    assert edge(drawn, "via node port", "taken by default/aaa:http").condition == ""


def test_no_rule_looks_for_node_ports() -> None:
    text = golden_text("nodeport-cluster")
    (jump,) = [one for one in text.splitlines() if one.endswith("-j KUBE-NODEPORTS")]
    drawn = only_graph(text.replace(f"{jump}\n", ""))
    (entry,) = [node for node in drawn.nodes if node.words == "via node port 30080"]
    assert entry.detail == "no rule looks for node ports"
    assert any(drawn.node(one.target).kind == "passed" for one in drawn.edges)


def test_many_endpoints_are_folded_with_their_shares() -> None:
    drawn = only_graph(golden_text("large-cluster-at-1000"))
    short = folded(drawn)
    endpoints = [node for node in short.nodes if node.kind == "endpoint"]
    assert (len(endpoints), endpoints[-1].words) == (10, "and 491 more")
    shares = [one.share or Fraction(0) for one in short.edges if one.share is not None]
    assert sum(shares) == 1
    assert sum(node.count for node in endpoints) == sum(
        node.kind == "endpoint" for node in drawn.nodes
    )
    small = only_graph(golden_text(LOCAL))
    assert folded(small) is small


def test_endpoints_of_unlike_shares_are_not_folded_together() -> None:
    even = only_graph(golden_text("nodeport-cluster"))
    assert [node.words for node in folded(even, 2).nodes if node.kind == "endpoint"] == [
        "10.10.1.2:8080",
        "and 2 more",
    ]
    old, new = "--probability 0.3333333333", "--probability 0.4000000000"
    uneven = only_graph(golden_text("nodeport-cluster").replace(old, new))
    assert folded(uneven, 2) is uneven


def test_what_is_not_known_is_said() -> None:
    view = NodeView(Column("node.save", parse_rules(golden_text(LOCAL))))
    (key,) = view.rules.keys
    notes = draw(view, key).notes
    assert any("the node's address is not known" in note for note in notes)
    none = NodeView(Column("node.save", parse_rules(golden_text("no-endpoints"))))
    assert ASSUMED in draw(none, none.rules.keys[0]).notes


def test_a_table_that_is_not_shown_is_said() -> None:
    text = "".join(
        line + "\n"
        for line in golden_text("nodeport-cluster").splitlines()
        if line.startswith("-A KUBE") and "FORWARD" not in line
    )
    nat = "".join(line for line in text.splitlines(keepends=True) if "FIREWALL" not in line)
    drawn = only_graph("-P PREROUTING ACCEPT\n-P POSTROUTING ACCEPT\n" + nat)
    assert "worker-1: the table filter is not shown, and not looked at" in drawn.notes


def test_python_interface() -> None:
    case = FIXTURES / "nodeport-local"
    columns = read_columns(
        [case / "input.yaml"], config=case / "kube-proxy.yaml", nodes=["worker-1"]
    )
    (drawn,) = graph(columns[0], ["default/web:http"], names={"10.10.1.2": "web-1"})
    assert drawn.title == "default/web:http on worker-1"
    assert [n.detail for n in drawn.nodes if n.words == "10.10.1.2:8080"] == ["web-1"]
    (outside,) = graph(columns[0], sender="outside")
    assert outside.title == "default/web:http on worker-1, from outside"
    with pytest.raises(NoSuchServiceError):
        graph(columns[0], ["default/nothing"])
    with pytest.raises(RequestError):
        graph(columns[0], sender="fd00::1")


def test_the_node_is_one_of_several_addresses() -> None:
    view = view_of(golden_text("nodeport-cluster"), addresses=(NODE, "192.168.1.11"))
    (key,) = view.rules.keys
    drawn = draw(view, key, wanted="outside")
    assert sum(ends_from(drawn, "entry:node port:30080").values()) == 1


def test_packets_that_are_dropped_say_nothing_of_masquerading() -> None:
    rule = "-A FORWARD -d 10.10.2.10/32 -j DROP"
    text = changed("nodeport-cluster", ("-A FORWARD ", f"{rule}\n-A FORWARD "))
    drawn = only_graph(text, "outside")
    assert edge(drawn, "via cluster IP", "endpoints").masquerade == ("masqueraded",)
    assert edge(drawn, "external traffic", "endpoints").masquerade == ("masqueraded",)


def test_ranges_with_another_rule_between_them_are_not_one() -> None:
    forward = "KUBE-FW-CDGGSHYLG3RE2FKL"
    text = golden_text("loadbalancer-source-ranges")
    second = next(one for one in text.splitlines() if f"-A {forward}" in one and "10.1.0.0" in one)
    rule = f"-A {forward} -s 10.0.0.0/8 -j RETURN"
    drawn = only_graph(text.replace(second, f"{rule}\n{second}"))
    conditions = [
        one.condition
        for one in drawn.edges
        if drawn.node(one.source).words == "load-balancer source ranges"
    ]
    assert conditions[:3] == ["from 203.0.113.0/24", "from 10.0.0.0/8", "from 10.1.0.0/16"]


def test_a_load_balancers_address_that_is_the_nodes_goes_on_to_its_node_port() -> None:
    text = golden_text("loadbalancer-source-ranges").replace("--dport 30080", "--dport 80")
    view = view_of(text, addresses=("198.51.100.7",))
    drawn = draw(view, view.rules.keys[0], wanted="outside")
    (on,) = [one for one in drawn.edges if one.condition.startswith("by a rule of KUBE-NODEPORTS")]
    assert on.condition.endswith(", via load balancer 198.51.100.7:80")
    assert drawn.node(on.source).words == "load-balancer source ranges"
    assert drawn.node(on.target).words == "external traffic"
