from __future__ import annotations

import pytest

from compiler.analysis.foreign import foreign_findings
from compiler.family import IPV4
from compiler.netfilter.parse import parse_rules
from tests.cases import ALL_CASES, node_text

# One service port: cluster IP 10.200.1.10:80, load-balancer IP 198.51.100.7:80 with source
# ranges, node port 30080.
CASE = next(case for case in ALL_CASES if case.name == "loadbalancer-source-ranges")
EXPECTED = parse_rules(CASE.expected, family=IPV4)


def findings(table: str, rules: str) -> list[str]:
    """Put rules above kube-proxy's: which findings that gives."""
    chains = sorted({line.split(" ")[1] for line in rules.splitlines()} - set(BUILTIN))
    head = "".join(f":{chain} - [0:0]\n" for chain in chains)
    before, begin, after = node_text(CASE.expected).partition(f"*{table}\n")
    text = before + begin + after.replace("\n-A ", f"\n{head}{rules}\n-A ", 1)
    return [finding.kind for finding in foreign_findings(EXPECTED, parse_rules(text))]


BUILTIN = ("INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING")

SURE = [
    ("nat", "-A PREROUTING -j ACCEPT"),
    ("nat", "-A PREROUTING -j RETURN"),
    ("nat", "-A OUTPUT -d 10.200.0.0/16 -j ACCEPT"),
    ("nat", "-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080"),
    ("nat", "-A PREROUTING -p tcp -m multiport --dports 22,80 -j DNAT --to-destination 10.9.9.9"),
    ("nat", "-A PREROUTING -d 10.200.1.10 -p tcp -m tcp --dport 1:1024 -j ACCEPT"),
    ("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 30080 -j REDIRECT"),
    ("nat", "-A PREROUTING -m conntrack --ctstate NEW -j ACCEPT"),
    ("nat", "-A PREROUTING -j D\n-A D -p tcp -j E\n-A E -p tcp --dport 80 -j ACCEPT"),
    ("nat", "-A POSTROUTING -j ACCEPT"),
    ("filter", "-A FORWARD -j ACCEPT"),
    ("filter", "-A FORWARD -j DROP"),
    ("filter", "-A INPUT -m conntrack --ctstate NEW -j ACCEPT"),
    ("filter", "-A FORWARD -g KUBE-EXTERNAL-SERVICES"),
    # kube-proxy's own chains, from where it does not jump to them
    ("nat", "-A PREROUTING -j KUBE-MARK-MASQ"),
    ("nat", "-A PREROUTING -d 10.200.1.10 -p tcp -j KUBE-EXT-CDGGSHYLG3RE2FKL"),
]
MAY = [
    # it may be an address of the node, and so take node ports
    ("nat", "-A PREROUTING -d 192.0.2.1 -j DNAT --to-destination 10.9.9.9"),
    ("nat", "-A PREROUTING -i eth0 -p tcp --dport 80 -j REDIRECT"),
    ("nat", "-A PREROUTING -s 192.0.2.0/24 -j ACCEPT"),
    ("nat", "-A POSTROUTING -s 10.0.0.0/8 -j SNAT --to-source 192.0.2.1"),
    ("filter", "-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT"),
    # an endpoint of two
    ("filter", "-A OUTPUT -d 10.10.1.2 -j DROP"),
]
NONE = [
    ("nat", "-A PREROUTING -p tcp --dport 8080 -j REDIRECT"),
    ("nat", "-A PREROUTING -p udp -j ACCEPT"),
    ("nat", "-A PREROUTING -j MARK --set-mark 1"),
    ("nat", "-A PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    ("nat", "-A PREROUTING -j D\n-A D -j RETURN"),
    ("nat", "-A PREROUTING -p tcp -m tcp --dport 31000:32000 -j REDIRECT"),
    ("nat", "-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE"),
    ("filter", "-A INPUT -j LOG"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "rules"), SURE)
def test_takes(table: str, rules: str) -> None:
    assert findings(table, rules) == ["foreign-rule"]


@pytest.mark.parametrize(("table", "rules"), MAY)
def test_may_take(table: str, rules: str) -> None:
    assert findings(table, rules) == ["foreign-may-take"]


@pytest.mark.parametrize(("table", "rules"), NONE)
def test_takes_nothing(table: str, rules: str) -> None:
    assert findings(table, rules) == []


@pytest.mark.parametrize(
    ("table", "rules", "kinds"),
    [
        ("raw", "-A PREROUTING -d 10.200.0.0/16 -j DROP", ["foreign-rule"]),
        ("raw", "-A OUTPUT -j NOTRACK", ["foreign-rule"]),
        ("raw", "-A PREROUTING -p udp -j NOTRACK", []),
        ("mangle", "-A PREROUTING -j D\n-A D -d 10.200.0.0/16 -p tcp -j DROP", ["foreign-rule"]),
        ("mangle", "-A PREROUTING -s 192.0.2.0/24 -j DROP", ["foreign-may-take"]),
        ("mangle", "-P FORWARD DROP", ["foreign-rule"]),
        ("mangle", "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 9", []),
    ],
)
def test_tables_that_kube_proxy_does_not_use(table: str, rules: str, kinds: list[str]) -> None:
    """Its packets pass them all the same."""
    chains = sorted({line.split(" ")[1] for line in rules.splitlines()})
    head = "".join(f":{name} {'ACCEPT' if name in BUILTIN else '-'} [0:0]\n" for name in chains)
    text = node_text(CASE.expected) + f"*{table}\n{head}{rules}\nCOMMIT\n"
    assert [finding.kind for finding in foreign_findings(EXPECTED, parse_rules(text))] == kinds


def test_below_kube_proxy_it_does_no_harm() -> None:
    text = node_text(CASE.expected)
    text = text.replace("COMMIT\n*nat", "-A FORWARD -j DROP\nCOMMIT\n*nat")
    assert list(foreign_findings(EXPECTED, parse_rules(text))) == []


def test_chains_that_go_round_end() -> None:
    """No kernel takes them, so that nobody knows what they would do."""
    loop = "-A PREROUTING -j D\n-A D -j E\n-A E -j D"
    assert findings("nat", loop) == ["foreign-may-take"]


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("-A PREROUTING -d 10.200.0.0/16 -j DROP", "foreign-rule"),
        ("-A PREROUTING -m time --timestart 10:00 -j DROP", "foreign-may-take"),
    ],
)
def test_packets_come_to_rules_whose_built_in_chains_are_not_shown(rule: str, kind: str) -> None:
    raw = f"*raw\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    found = parse_rules(CASE.expected + raw)
    assert [finding.kind for finding in foreign_findings(EXPECTED, found)] == [kind]
