from __future__ import annotations

from fractions import Fraction

import pytest

from compiler.family import IPV4, IPV6
from compiler.kube_rules.chains import is_service_chain
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import EntryPoint, Key, ServicePort
from compiler.netfilter.parse import parse_rules
from tests.cases import ALL_CASES, Case, case_id

BY_NAME = {case.name: case for case in ALL_CASES}


def ports(name: str) -> dict[Key, ServicePort]:
    case = BY_NAME[name]
    rules = parse_rules(case.expected, family=IPV6 if case.family == IPV6 else IPV4)
    return NodeRules(rules).service_ports()


@pytest.mark.parametrize("case", ALL_CASES, ids=case_id)
def test_every_rule_of_kube_proxy_is_understood(case: Case) -> None:
    rules = NodeRules(parse_rules(case.expected))
    for port in rules.service_ports().values():
        assert port.other == ()
        for dispatch in (port.cluster, port.local):
            if dispatch is not None:
                assert sum(e.share for e in dispatch.endpoints) == 1
                first = float(dispatch.endpoints[0].share)
                for endpoint in dispatch.endpoints:
                    assert float(endpoint.share) == pytest.approx(first, abs=1e-6)
                    assert endpoint.hairpin
                    assert endpoint.remembers == (endpoint.affinity is not None)
    own = {name for name in rules.ruleset.table("nat") if is_service_chain(name)}
    assert {name for name in rules.ruleset.table("nat") if rules.chain_owner(name)} == own
    assert {chain.name for key in rules.keys for chain in rules.chains(key)} == own
    for key in rules.keys:
        assert all(rules.owner(table, rule) == key for table, rule in rules.top_level_rules(key))
    owned = sum(len(rules.rules(key)) for key in rules.keys)
    node = sum(map(len, rules.node.values()))
    assert owned + node == sum(1 for _ in rules.ruleset.all_rules())


def test_one_service_port_whole() -> None:
    (port,) = ports("loadbalancer-source-ranges").values()
    assert port.key == Key("default/web:http", "tcp")
    assert port.entry_points == (
        EntryPoint("cluster IP", "10.200.1.10:80", "KUBE-SVC"),
        EntryPoint("load-balancer IP", "198.51.100.7:80", "KUBE-FW"),
        EntryPoint("node port", "30080", "KUBE-EXT"),
        EntryPoint("load-balancer IP", "198.51.100.7:80", "firewalled"),
    )
    assert port.source_ranges is not None
    assert [str(one) for one in port.source_ranges] == ["-s 203.0.113.0/24", "-s 10.1.0.0/16"]
    assert [str(step) for step in port.external] == [" -> masquerade", " -> KUBE-SVC"]
    assert port.cluster is not None
    (masquerade,) = port.cluster.masquerade
    assert str(masquerade) == "! -s 10.10.0.0/16"
    assert masquerade.source is not None
    assert masquerade.source.negated
    # the kernel's threshold for 0.3333333333 is 0x2aaaaaab of 2**31
    third, left = Fraction(0x2AAAAAAB, 1 << 31), 1 - Fraction(0x2AAAAAAB, 1 << 31)
    assert port.cluster.shares == {
        "10.10.1.2:8080": third, "10.10.2.10:8080": left / 2, "10.10.2.2:8080": left / 2,
    }  # fmt: skip


def test_names_without_comments_in_large_clusters() -> None:
    found = ports("large-cluster")
    assert all(key.name.startswith("default/") for key in found)
    assert all(port.cluster for port in found.values() if port.entry_points)


def test_ipv6_addresses_as_users_call_them() -> None:
    (port,) = ports("dual-stack-ipv6").values()
    assert port.addresses("cluster IP") == ("[fd00:200::a]:80",)


def test_protocols_are_told_apart() -> None:
    names = {str(key) for key in ports("udp-sctp-and-unnamed-port")}
    assert any(name.endswith("/udp") for name in names)
    assert any(name.endswith("/sctp") for name in names)


def test_a_strange_rule_is_kept() -> None:
    text = BY_NAME["loadbalancer"].expected
    chain = next(word for word in text.split() if word.startswith("KUBE-SVC-"))
    text = text[: text.rindex("COMMIT")] + f"-A {chain} -p udp -j DROP\nCOMMIT\n"
    (port,) = NodeRules(parse_rules(text)).service_ports().values()
    assert [str(rule) for rule in port.other] == [f"-A {chain} -p udp -j DROP"]


def test_chains_that_no_portal_leads_to_are_not_forgotten() -> None:
    text = "*nat\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-B\n"
    (key,) = NodeRules(parse_rules(text + "COMMIT\n")).keys
    assert key.name == "KUBE-SVC-AAAAAAAAAAAAAAAA"
