from __future__ import annotations

import random
import re
from itertools import islice

import pytest

from compiler.analysis.diff import diff_rules
from compiler.analysis.diff_words import Change
from compiler.analysis.packet_words import percent
from compiler.family import IPV4, IPV6
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES, Case, case_id
from tests.traffic import traffic_lines

BY_NAME = {case.name: case for case in ALL_CASES}


def rules(case: Case | str) -> Ruleset:
    case = BY_NAME[case] if isinstance(case, str) else case
    return parse_rules(case.expected, family=IPV6 if case.family == IPV6 else IPV4)


def changes(old: str, new: str) -> dict[str, set[tuple[str, str, str | None, str | None]]]:
    found = diff_rules(rules(old), rules(new))
    return {
        str(port.key): {(c.what, c.item, c.before, c.after) for c in port.changes}
        for port in found.ports
    }


@pytest.mark.parametrize("case", ALL_CASES, ids=case_id)
def test_equal_sides_have_no_difference(case: Case) -> None:
    found = diff_rules(rules(case), rules(case))
    assert found.same
    assert found.silent == 0


def pairs() -> list[tuple[Case, Case]]:
    """Draw 60 pairs of cases of one family."""
    chooser = random.Random(4)
    small = [case for case in ALL_CASES if len(case.expected) < 20_000]
    drawn = iter(lambda: chooser.sample(small, 2), [])
    of_one_family = ((old, new) for old, new in drawn if old.family == new.family)
    return list(islice(of_one_family, 60))


def changed_ports(old: Case, new: Case) -> set[tuple[str, str] | None]:
    before, after = traffic_lines(old.expected), traffic_lines(new.expected)
    return {port for port in {**before, **after} if before.get(port) != after.get(port)}


@pytest.mark.parametrize(("old", "new"), pairs(), ids=case_id)
def test_names_the_service_ports_that_changed_and_no_other(old: Case, new: Case) -> None:
    wanted = changed_ports(old, new)
    found = diff_rules(rules(old), rules(new))
    assert {tuple(port.key) for port in found.ports} == wanted - {None}
    assert bool(found.node) == (None in wanted)
    for port in found.ports:
        assert port.changes, port
        assert port.removed or port.added


def test_many_service_ports_change_in_these_pairs() -> None:
    assert sum(len(changed_ports(old, new) - {None}) for old, new in pairs()) > 200


def test_one_endpoint_less_among_many_services() -> None:
    """Every service port of a mixed case: one rule's endpoint gone changes that port alone."""
    case = BY_NAME["random-00003"]
    before = traffic_lines(case.expected)
    for port, lines in before.items():
        portal = next((line for line in lines if "-A KUBE-SERVICES" in line), None)
        if port is None or portal is None:
            continue
        text = "\n".join(
            line for line in case.expected.splitlines()
            if not ("-A KUBE-SERVICES" in line and f'"{port[0]} cluster IP"' in line)
        )  # fmt: skip
        found = diff_rules(rules(case), parse_rules(text))
        wanted = traffic_lines(text)
        expected = {p for p in {**before, **wanted} if before.get(p) != wanted.get(p)}
        assert {tuple(p.key) for p in found.ports} == expected - {None}


def test_affinity() -> None:
    svc = "default/svc-clusterip:svc-webport"
    assert changes("seed-affinity-none", "seed-affinity-clientip") == {
        svc: {("session affinity", "", None, "ClientIP, 10800 s")}
    }
    assert changes("seed-affinity-clientip", "seed-affinity-clientip-30s") == {
        svc: {("session affinity", "", "ClientIP, 10800 s", "ClientIP, 30 s")}
    }


def test_endpoints_and_their_shares() -> None:
    told = changes("node-hints", "loadbalancer")["default/web:http"]
    assert {
        ("endpoint", "10.10.1.2:8080", "100 %", "33.3 %"),
        ("endpoint", "10.10.2.10:8080", None, "33.3 %"),
        ("endpoint", "10.10.2.2:8080", None, "33.3 %"),
    } <= told


def test_policy_and_ways_in() -> None:
    told = changes("nodeport-local", "loadbalancer")["default/web:http"]
    assert ("external traffic policy", "", "Local", "Cluster") in told
    assert ("load-balancer IP", "", None, "198.51.100.7:80") in told
    assert ("local endpoint", "10.10.1.2:8080", "100 %", None) in told


def test_source_ranges() -> None:
    told = changes("loadbalancer", "loadbalancer-source-ranges")["default/web:http"]
    (ranges,) = [change for change in told if change[0] == "source ranges"]
    assert ranges[2] is None
    assert "198.51.100.7:80" in {change[1] for change in told if change[0] == "traffic to"}


def test_rejected_from_now_on() -> None:
    told = changes("loadbalancer", "no-endpoints")["default/web:http"]
    assert ("traffic to", "10.200.1.10:80", "served", "rejected") in told


def test_masquerade_and_mark() -> None:
    found = diff_rules(rules("nodeport-cluster"), rules("masquerade-all-bit-15"))
    (port,) = found.ports
    assert Change(
        "masquerade", "", "traffic matching ! -s 10.10.0.0/16", "all traffic"
    ) in port.changes  # fmt: skip
    assert found.node == (Change("masquerade mark", "", "0x4000", "0x8000"),)


def test_nfacct_and_comments_are_no_difference() -> None:
    found = diff_rules(rules("nodeport-cluster"), rules("nodeport-nfacct"))
    assert found.same
    assert found.silent == 2
    large = BY_NAME["large-cluster"].expected
    comment = r'\g<0> -m comment --comment "default/web:http"'
    commented, count = re.subn(r"(?m)^-A KUBE-SEP-\w+", comment, large)
    found = diff_rules(parse_rules(large), parse_rules(commented))
    assert found.same
    assert found.silent == count > 0


def test_an_earlier_rule_for_the_same_address_takes_the_traffic() -> None:
    rule = '-A KUBE-SERVICES -m comment --comment "{} external IP" -m tcp -p tcp'
    rule += " -d 192.0.2.1 --dport 80 -j KUBE-EXT-{}"
    one, other = rule.format("a/a", "A" * 16), rule.format("b/b", "B" * 16)
    chains = "".join(
        f":KUBE-EXT-{letter * 16} - [0:0]\n-A KUBE-EXT-{letter * 16} -j {verdict}\n"
        for letter, verdict in (("A", "ACCEPT"), ("B", "KUBE-MARK-MASQ"))
    )
    mark = ":KUBE-MARK-MASQ - [0:0]\n-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n"
    texts = [
        f"*nat\n:KUBE-SERVICES - [0:0]\n{mark}{chains}{lines}\nCOMMIT\n"
        for lines in (f"{one}\n{other}", other)
    ]
    found = diff_rules(parse_rules(texts[0]), parse_rules(texts[1]))
    told = {str(port.key): port.changes for port in found.ports}
    assert Change("traffic to", "192.0.2.1:80", "served, but a/a takes it", "served") in told["b/b"]


def test_outside_kube_proxy() -> None:
    """A chain that nothing jumps to does nothing, and a jump to an empty one neither."""
    text = (
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:X - [0:0]\n-A INPUT -j X\nCOMMIT\n"
    )
    other = text.replace("FORWARD ACCEPT", "FORWARD DROP").replace("-A INPUT -j X", "-A X -j DROP")
    found = diff_rules(parse_rules(text), parse_rules(other))
    assert found.outside == (Change("filter FORWARD", "policy", "ACCEPT", "DROP"),)
    reached = other.replace("-A X -j DROP", "-A X -j DROP\n-A INPUT -p udp -j X")
    found = diff_rules(parse_rules(text), parse_rules(reached))
    assert found.outside == (
        Change("filter INPUT", "", "-j X", None),
        Change("filter INPUT", "", None, "-p udp -j X"),
        Change("filter FORWARD", "policy", "ACCEPT", "DROP"),
        Change("filter X", "", None, "-j DROP"),
    )


def test_percent() -> None:
    assert [percent(share) for share in (1 / 3, 0.5, 1.0, 0.0005, 1 / 7)] == [
        "33.3 %", "50 %", "100 %", "0.05 %", "14.3 %",
    ]  # fmt: skip


def test_the_share_that_is_no_longer_translated() -> None:
    """Behind the last endpoint of a chain nobody takes what its chain lets go."""
    text = BY_NAME["seed-affinity-none"].expected
    lost = "\n".join(
        line for line in text.splitlines()
        if not line.startswith("-A KUBE-SEP-K7ALM6KJRBAYOHKX") or "DNAT" not in line
    )  # fmt: skip
    (port,) = diff_rules(parse_rules(text), parse_rules(lost)).ports
    assert port.changes == (
        Change("endpoint", "10.10.3.3:80", "33.3 %", None),
        Change("not translated", "", None, "33.3 %"),
    )
