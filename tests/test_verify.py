from __future__ import annotations

import random

import pytest

from compiler.analysis.findings import KINDS, Finding
from compiler.analysis.verify import verify_rules
from compiler.family import IPV4, IPV6
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES, Case, case_id
from tests.kernel.node import node_text

BY_NAME = {case.name: case for case in ALL_CASES}
FAULTY = [case for case in ALL_CASES if case.family == IPV4 and len(case.expected) < 200_000]


def expected(case: Case | str) -> Ruleset:
    case = BY_NAME[case] if isinstance(case, str) else case
    return parse_rules(case.expected, family=IPV6 if case.family == IPV6 else IPV4)


def held(text: str) -> Ruleset:
    return parse_rules(node_text(text))


def told(name: str, found: str) -> list[tuple[str, str, str]]:
    findings = verify_rules(expected(name), held(BY_NAME[found].expected))
    return [(finding.kind, finding.service, finding.message) for finding in findings]


@pytest.mark.parametrize("case", FAULTY, ids=case_id)
def test_one_fault_anywhere_is_one_finding(case: Case) -> None:
    """A rule deleted, then one duplicated, at a place chosen by chance: that and nothing else."""
    chooser = random.Random(case.name)
    wanted = expected(case)
    lines = case.expected.splitlines()
    # the rule that only counts localhost node ports is missed by no packet
    counting = "-d 127.0.0.0/8 --dport"
    rules = [place for place, line in enumerate(lines) if line.startswith("-A ")]
    places = [place for place in rules if counting not in lines[place]]
    for _ in range(3):
        place = chooser.choice(places)
        chain = lines[place].split(" ")[1]
        nat = lines.index("*nat")
        table = lines[:nat] if place < nat else lines[nat:]
        alone = sum(line.startswith(f"-A {chain} ") for line in table) == 1
        without = "\n".join(lines[:place] + lines[place + 1 :])
        (finding,) = significant(verify_rules(wanted, held(without)))
        assert (finding.kind, finding.chain) == ("empty-chain" if alone else "missing-rule", chain)
        twice = "\n".join([*lines[: place + 1], lines[place], *lines[place + 1 :]])
        (finding,) = significant(verify_rules(wanted, held(twice)))
        assert (finding.kind, finding.chain) == ("duplicate-rule", chain)
        assert finding.found


def significant(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.severity != "information"]


def test_order_of_service_ports_does_not_matter() -> None:
    """kube-proxy visits service ports in arbitrary order; only the last rule must be last."""
    case = next(case for case in ALL_CASES if case.name.startswith("upstream-016"))
    lines = case.expected.splitlines()
    chains = ("-A KUBE-SERVICES", "-A KUBE-NODEPORTS", "-A KUBE-EXTERNAL-SERVICES")
    own = [line for line in lines if line.startswith(chains) and "must be the last" not in line]
    rest = [line for line in lines if line not in own]
    assert len(own) > 20
    # within a service port kube-proxy's order is fixed (an external IP may be a load balancer's)
    names = [line.split("namespace/", 1)[1][:4] for line in own]
    places = {name: random.Random(name).random() for name in names}
    order = sorted(range(len(own)), key=lambda place: places[names[place]])
    shuffled = [own[place] for place in order]
    assert shuffled != own
    text = rest[:]
    for line in shuffled:
        table = "*filter" if line in lines[: lines.index("*nat")] else "*nat"
        start = text.index(table)
        place = next(
            place for place in range(start, len(text))
            if text[place] == "COMMIT" or "must be the last" in text[place]
        )  # fmt: skip
        text.insert(place, line)
    assert verify_rules(expected(case), held("\n".join(text))) == ()


def test_endpoint_that_one_side_does_not_know() -> None:
    message = "endpoint {} is {}, not {}: the dump is older or newer"
    assert told("node-hints", "loadbalancer") != []
    fewer, more = BY_NAME["seed-affinity-none"].expected, "10.10.3.3:80"
    lines = [line for line in fewer.splitlines() if "K7ALM6KJRBAYOHKX" not in line]
    text = "\n".join(lines).replace(
        "-m statistic --mode random --probability 0.5000000000 ", ""
    ).replace("0.3333333333", "0.5000000000")  # fmt: skip
    service = "default/svc-clusterip:svc-webport"
    (finding,) = verify_rules(parse_rules(fewer), held(text))
    assert (finding.kind, finding.service) == ("missing-endpoint", service)
    assert finding.message == message.format(more, "in the manifests", "on the node")
    (finding,) = verify_rules(parse_rules(text), held(fewer))
    assert finding.kind == "unknown-endpoint"
    assert finding.message == message.format(more, "on the node", "in the manifests")


def test_endpoints_on_one_side_only() -> None:
    node = "10.10.1.2:8080, 10.10.2.10:8080, 10.10.2.2:8080"
    assert told("no-endpoints", "loadbalancer") == [
        ("unknown-endpoint", "default/web:http",
         f"the manifests have no endpoints for it, the node has {node}"),
    ]  # fmt: skip
    assert told("loadbalancer", "no-endpoints") == [
        ("missing-endpoint", "default/web:http",
         f"the node has no endpoints for it, the manifests have {node}"),
    ]  # fmt: skip


def test_service_port_that_one_side_does_not_know() -> None:
    both = BY_NAME["udp-sctp-and-unnamed-port"].expected
    seed = BY_NAME["seed-affinity-none"].expected
    mine = [line for line in seed.splitlines() if "svc-clusterip" in line]
    chains = [line for line in seed.splitlines() if line.startswith((":KUBE-SVC", ":KUBE-SEP"))]
    lines = both.splitlines()
    nat = lines.index("*nat")
    last = next(place for place, line in enumerate(lines) if "must be the last" in line)
    text = "\n".join([*lines[: nat + 1], *chains, *lines[nat + 1 : last], *mine, *lines[last:]])
    (finding,) = verify_rules(parse_rules(both), held(text))
    assert (finding.kind, finding.service) == (
        "unknown-service", "default/svc-clusterip:svc-webport",
    )  # fmt: skip
    assert finding.line
    (finding,) = verify_rules(parse_rules(text), held(both))
    assert (finding.kind, finding.line) == ("missing-service", 0)


def test_nfacct_is_no_difference() -> None:
    for one, other in (
        ("nodeport-cluster", "nodeport-nfacct"),
        ("nodeport-nfacct", "nodeport-cluster"),
    ):
        assert {kind for kind, _, _ in told(one, other)} == {"nfacct"}


def test_comments_that_large_clusters_leave_out() -> None:
    small = BY_NAME["loadbalancer"].expected
    lines = [
        line if not line.startswith(("-A KUBE-SVC-", "-A KUBE-SEP-")) or "cluster IP" in line
        else " ".join(line.split(" ")[:2]) + bare(line)
        for line in small.splitlines()
    ]  # fmt: skip
    findings = verify_rules(parse_rules(small), held("\n".join(lines)))
    assert [finding.kind for finding in findings] == ["comments"]


def bare(line: str) -> str:
    rest = line.split("--comment ", 1)[1]
    return rest[rest.index('"', 1) + 1 :] if rest[0] == '"' else " " + rest.split(" ", 1)[1]


def test_stale_chains_are_information() -> None:
    text = BY_NAME["loadbalancer"].expected
    stale = ":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n"
    rule = "-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA\n"
    text = text.replace("*nat\n", "*nat\n" + stale + rule)
    findings = verify_rules(expected("loadbalancer"), held(text))
    assert [finding.kind for finding in findings] == ["stale-chain"] * 2
    assert not significant(findings)


def test_jump_to_a_chain_that_is_not_there() -> None:
    text = BY_NAME["loadbalancer"].expected
    text = text.replace("COMMIT\n*nat", "-A KUBE-FORWARD -j KUBE-NOWHERE\nCOMMIT\n*nat")
    kinds = {finding.kind for finding in verify_rules(expected("loadbalancer"), held(text))}
    assert kinds == {"dangling-jump", "extra-rule"}
    cut = "\n".join(
        line for line in BY_NAME["loadbalancer"].expected.splitlines()
        if not line.startswith((":KUBE-SEP-EYU", "-A KUBE-SEP-EYU"))
    )  # fmt: skip
    (finding,) = verify_rules(expected("loadbalancer"), held(cut))
    assert finding.kind == "missing-chain"
    assert "1 rule of the dump jumps to it" in finding.message


def test_table_that_is_not_there() -> None:
    text = node_text(BY_NAME["loadbalancer"].expected)
    nat = text[text.index("*nat") :]
    (finding,) = verify_rules(expected("loadbalancer"), parse_rules(nat))
    assert (finding.kind, finding.table) == ("missing-table", "filter")
    s = "\n".join(
        line.replace(":", "-P ", 1).split(" [")[0] if " ACCEPT [" in line
        else line.replace(":", "-N ", 1).split(" - [")[0] if line.startswith(":")
        else line
        for line in nat.splitlines()
        if line not in ("*nat", "COMMIT")
    )  # fmt: skip
    (finding,) = verify_rules(expected("loadbalancer"), parse_rules(s))
    assert (finding.kind, finding.table) == ("not-checked", "filter")


def test_what_is_not_kube_proxys_is_left_alone() -> None:
    text = node_text(BY_NAME["loadbalancer"].expected)
    text += "*mangle\n:KUBE-PROXY-CANARY - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n"
    text = text.replace(
        "*nat\n", "*nat\n:KUBE-PROXY-CANARY - [0:0]\n:DOCKER - [0:0]\n-A DOCKER -j RETURN\n"
    )
    text = text.replace("*filter\n", "*filter\n:KUBE-KUBELET-CANARY - [0:0]\n")
    text = text.replace(
        "-j KUBE-FIREWALL\n",
        "-j KUBE-FIREWALL\n-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP\n",
        1,
    )
    assert verify_rules(expected("loadbalancer"), parse_rules(text)) == ()


def test_backends() -> None:
    text = node_text(BY_NAME["loadbalancer"].expected)
    legacy = parse_rules("# Generated by iptables-save v1.8.9 on Mon\n" + text)
    nft = parse_rules("# Generated by iptables-nft-save v1.8.9 (nf_tables) on Mon\n" + text)
    (finding,) = verify_rules(expected("loadbalancer"), nft, legacy)
    assert finding.kind == "both-backends"
    empty = parse_rules("*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n")
    assert verify_rules(expected("loadbalancer"), nft, empty) == ()
    warned = parse_rules(
        "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n" + text
    )
    (finding,) = verify_rules(expected("loadbalancer"), warned)
    assert (finding.kind, finding.severity) == ("other-backend", "information")


def test_every_kind_has_a_severity_and_a_meaning() -> None:
    for kind, (severity, meaning) in KINDS.items():
        assert Finding(kind, "").severity == severity in ("error", "information")
        assert meaning
