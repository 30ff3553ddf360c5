from __future__ import annotations

import pytest

from compiler.analysis.portals import Key, Way, read_portals, service_names
from compiler.analysis.service_ports import ServicePort, read_service_ports
from compiler.family import IPV4, IPV6
from compiler.netfilter.parse import parse_rules
from tests.cases import ALL_CASES, Case, case_id

BY_NAME = {case.name: case for case in ALL_CASES}


def ports(name: str) -> dict[Key, ServicePort]:
    case = BY_NAME[name]
    return read_service_ports(
        parse_rules(case.expected, family=IPV6 if case.family == IPV6 else IPV4)
    )


@pytest.mark.parametrize("case", ALL_CASES, ids=case_id)
def test_every_rule_of_kube_proxy_is_understood(case: Case) -> None:
    rules = parse_rules(case.expected)
    for port in read_service_ports(rules).values():
        assert port.other == ()
        for dispatch in (port.cluster, port.local):
            if dispatch is not None:
                assert sum(e.share for e in dispatch.endpoints) == pytest.approx(1, abs=1e-6)
                first = dispatch.endpoints[0].share
                for endpoint in dispatch.endpoints:
                    assert endpoint.share == pytest.approx(first, abs=1e-6)
                    assert endpoint.hairpin
                    assert endpoint.remembers == (endpoint.affinity is not None)
    chains = set(service_names(rules, read_portals(rules)))
    own = {name for name in rules.table("nat") if name[-17:-16] == "-" and len(name) > 20}
    assert chains == own


def test_one_service_port_whole() -> None:
    (port,) = ports("loadbalancer-source-ranges").values()
    assert port.key == Key("default/web:http", "tcp")
    assert port.ways == (
        Way("cluster IP", "10.200.1.10:80", "KUBE-SVC"),
        Way("load-balancer IP", "198.51.100.7:80", "KUBE-FW"),
        Way("node port", "30080", "KUBE-EXT"),
        Way("load-balancer IP", "198.51.100.7:80", "firewalled"),
    )
    assert port.ranges == ("203.0.113.0/24", "10.1.0.0/16")
    assert port.external == (" -> masquerade", " -> KUBE-SVC")
    assert port.cluster is not None
    assert port.cluster.masquerade == ("! -s 10.10.0.0/16",)
    assert port.cluster.shares == {
        "10.10.1.2:8080": 0.333333, "10.10.2.10:8080": 0.333333, "10.10.2.2:8080": 0.333333,
    }  # fmt: skip


def test_names_without_comments_in_large_clusters() -> None:
    found = ports("large-cluster")
    assert all(key.name.startswith("default/") for key in found)
    assert all(port.cluster for port in found.values() if port.ways)


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
    text = text.replace("COMMIT\n", "COMMIT\n", 1)
    text = text[: text.rindex("COMMIT")] + f"-A {chain} -p udp -j DROP\nCOMMIT\n"
    (port,) = read_service_ports(parse_rules(text)).values()
    assert port.other == (f"-A {chain} -p udp -j DROP",)


def test_chains_that_no_portal_leads_to_are_not_forgotten() -> None:
    text = "*nat\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-B\n"
    (key,) = read_service_ports(parse_rules(text + "COMMIT\n"))
    assert key.name == "KUBE-SVC-AAAAAAAAAAAAAAAA"
