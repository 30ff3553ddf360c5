from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from compiler.analysis.findings import KINDS, Finding
from compiler.analysis.verify import verify_rules
from compiler.family import IPV4, IPV6
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES, Case, case_id, node_text

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


# --- one fault of each kind, and all that is said of it ---

LB = "loadbalancer"
SVC = "KUBE-SVC-CDGGSHYLG3RE2FKL"
EXT = "KUBE-EXT-CDGGSHYLG3RE2FKL"


def fault(before: str, after: str, name: str = LB) -> list[tuple[str, str]]:
    """Replace the first of some words in a node's rules: kinds and messages of what is found."""
    text = node_text(BY_NAME[name].expected)
    assert before in text
    findings = verify_rules(expected(name), parse_rules(text.replace(before, after, 1)))
    return [(finding.kind, finding.message) for finding in findings]


def test_changed_rule() -> None:
    assert fault("--dport 30080", "--dport 30081") == [
        ("changed-rule", "KUBE-NODEPORTS: --dport is 30081, should be 30080")
    ]
    assert fault(f"-j {EXT}", f"-g {EXT}") == [
        (
            "changed-rule",
            f"KUBE-SERVICES: -j is missing, should be {EXT}; -g is {EXT}, should not be there",
        ),
    ]
    assert fault("0.5000000000", "0.6") == [
        ("changed-rule", f"{SVC}: --probability is 0.60000000009, should be 0.50000000000")
    ]


def test_random_fully() -> None:
    missing = "KUBE-POSTROUTING: --random-fully is missing"
    assert fault(" --random-fully", "") == [("changed-rule", missing)]
    old = "# Generated by iptables-save v1.{} on Tue Apr  2 08:12:40 2024\n*filter"
    text = node_text(BY_NAME[LB].expected).replace(" --random-fully", "")
    kinds = []
    for version in ("4.21", "6.1", "6.2", "8.9"):
        (finding,) = verify_rules(
            expected(LB), parse_rules(text.replace("*filter", old.format(version), 1))
        )
        kinds.append((finding.kind, finding.severity))
    assert kinds == [("no-random-fully", "information")] * 2 + [("changed-rule", "error")] * 2
    (finding,) = verify_rules(
        expected(LB), parse_rules(text.replace("*filter", old.format("4.21"), 1))
    )
    reason = "iptables 1.4.21 does not know it, so kube-proxy leaves it out"
    assert finding.message == f"{missing}: {reason}"
    # more than that differs: the node's fault, whatever iptables it has
    text = text.replace("-j MASQUERADE", "-p tcp -j MASQUERADE")
    kinds_ = {finding.kind for finding in verify_rules(expected(LB), parse_rules(text))}
    assert kinds_ == {"changed-rule"}


def test_random_fully_that_is_not_expected() -> None:
    text = BY_NAME[LB].expected
    wanted = parse_rules(text.replace(" --random-fully", ""))
    (finding,) = verify_rules(wanted, held(text))
    assert (finding.kind, finding.message) == (
        "changed-rule", "KUBE-POSTROUTING: --random-fully should not be there",
    )  # fmt: skip


def test_wrong_order() -> None:
    lines = node_text(BY_NAME[LB].expected).splitlines()
    own = [place for place, line in enumerate(lines) if line.startswith("-A KUBE-POSTROUTING")]
    first, second = own[:2]
    lines[first], lines[second] = lines[second], lines[first]
    (finding,) = verify_rules(expected(LB), parse_rules("\n".join(lines)))
    assert (finding.kind, finding.chain) == ("wrong-order", "KUBE-POSTROUTING")
    assert finding.message == "a rule of KUBE-POSTROUTING is in the wrong position"


def test_jumps() -> None:
    jump = '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES\n'
    assert fault(jump, "") == [("missing-jump", "PREROUTING does not jump to KUBE-SERVICES")]
    assert fault(jump, jump.replace("-j", "-p tcp -j")) == [
        ("changed-jump", "the jump from PREROUTING to KUBE-SERVICES matches other traffic")
    ]
    assert fault("kubernetes service portals", "other words") == []


def test_extra_chain() -> None:
    added = ":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n"
    text = node_text(BY_NAME[LB].expected)
    text = text.replace("*nat\n", f"*nat\n{added}")
    text = text.removesuffix("COMMIT\n") + "-A OUTPUT -j KUBE-SEP-AAAAAAAAAAAAAAAA\nCOMMIT\n"
    (finding,) = significant(verify_rules(expected(LB), parse_rules(text)))
    assert (finding.kind, finding.message) == (
        "extra-chain",
        "KUBE-SEP-AAAAAAAAAAAAAAAA (0 rules) is not in the manifests; OUTPUT jumps to it",
    )


def test_unknown_words() -> None:
    assert fault("*nat\n", "*nat\n:MINE - [0:0]\n-A MINE -m u32 --u32 1 -j RETURN\n") == [
        ("unknown-words", "-m u32 (once) is kept and compared as text")
    ]


# --- causes ---


def dispatching(count: int, *, affinity: bool = False) -> str:
    """One service port with so many endpoints, as kube-proxy writes it."""
    seps = [f"KUBE-SEP-{'ABCDEFGHIJKLMNOP'[place] * 16}" for place in range(count)]
    chain = "KUBE-SVC-AAAAAAAAAAAAAAAA"
    lines = ["*nat", ":KUBE-SERVICES - [0:0]", f":{chain} - [0:0]"]
    lines += [f":{sep} - [0:0]" for sep in seps]
    lines += [
        (
            '-A KUBE-SERVICES -m comment --comment "a/b:c cluster IP" -m tcp -p tcp -d 10.0.0.1'
            f" --dport 80 -j {chain}"
        )
    ]
    if affinity:
        lines += [
            f'-A {chain} -m comment --comment "a/b:c -> x" -m recent --name {sep} --rcheck'
            f" --seconds 10 --reap -j {sep}"
            for sep in seps
        ]
    for left, sep in zip(range(count, 0, -1), seps, strict=True):
        share = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        lines.append(f'-A {chain} -m comment --comment "a/b:c -> x" {share}-j {sep}')
    for place, sep in enumerate(seps):
        lines.append(f"-A {sep} -p tcp -j DNAT --to-destination 10.1.0.{place + 1}:80")
    return "\n".join([*lines, "COMMIT", ""])


@pytest.mark.parametrize("affinity", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 9, 15])
def test_the_shares_of_many_endpoints(count: int, affinity: bool) -> None:
    """An endpoint more is that and nothing else, however the shares of the others changed."""
    fewer, more = (dispatching(n, affinity=affinity) for n in (count, count + 1))
    for wanted, there, kind in (
        (fewer, more, "unknown-endpoint"),
        (more, fewer, "missing-endpoint"),
    ):
        findings = significant(verify_rules(parse_rules(wanted), parse_rules(there)))
        assert [finding.kind for finding in findings] == [kind]
        assert f"endpoint 10.1.0.{count + 1}:80 is" in findings[0].message
    # with the wrong share it is not that
    wrong = more.replace(f"{1 / (count + 1):.10f}", "0.01", 1)
    findings = significant(verify_rules(parse_rules(fewer), parse_rules(wrong)))
    assert "unknown-endpoint" not in {finding.kind for finding in findings}


def test_no_kube_proxy_here() -> None:
    """One finding, and not one per chain and jump; kubelet's own chains are no kube-proxy."""
    bare = "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\n"
    bare += "-A INPUT -j KUBE-FIREWALL\nCOMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n"
    bare += ":KUBE-MARK-MASQ - [0:0]\nCOMMIT\n"
    missing = "all 15 chains (5 of services) and the jumps to them are missing"
    (finding,) = verify_rules(expected(LB), parse_rules(bare))
    assert (finding.kind, finding.severity) == ("no-kube-proxy", "error")
    assert finding.message == f"no kube-proxy in iptables mode has written here: {missing}"
    (finding,) = verify_rules(expected(LB), parse_rules("*nat\nCOMMIT\n"))
    assert finding.kind == "no-kube-proxy"
    (finding,) = verify_rules(expected(LB), parse_rules("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n"))
    tables = "no kube-proxy in iptables mode has written to the tables shown (filter)"
    assert finding.message == f"{tables}: {missing}"
    (finding,) = verify_rules(expected(LB), parse_rules(bare + NFT))
    mode = "kube-proxy runs in nftables mode here (the nft table kube-proxy)"
    assert finding.message == f"{mode}: {missing}"


NFT = "table ip kube-proxy {\n\tchain services {\n\t\tip daddr 10.0.0.1 drop\n\t}\n}\n"


def test_nft_tables_beside_iptables_are_mentioned() -> None:
    (finding,) = verify_rules(
        expected(LB), parse_rules(node_text(BY_NAME[LB].expected) + NFT.replace("kube-proxy", "x"))
    )
    assert (finding.kind, finding.message) == (
        "not-checked", "native nftables tables are not read: ip x",
    )  # fmt: skip


def test_ipvs_mode() -> None:
    """It has chains of the same names, and none of a service port."""
    chains = ("KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ", "KUBE-NODE-PORT")
    declared = "".join(f":{chain} - [0:0]\n" for chain in chains)
    rule = "-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ\n"
    filter_ = "*filter\n:KUBE-FORWARD - [0:0]\nCOMMIT\n"
    for more in (":KUBE-LOAD-BALANCER - [0:0]\n", rule):
        (finding,) = verify_rules(
            expected(LB), parse_rules(f"{filter_}*nat\n{declared}{more}COMMIT\n")
        )
        assert finding.message.startswith("kube-proxy runs in ipvs mode here (")
    # such chains that were left behind change nothing
    assert fault("*nat\n", "*nat\n:KUBE-LOAD-BALANCER - [0:0]\n") == []


def test_a_dump_by_an_older_iptables() -> None:
    text = node_text(BY_NAME[LB].expected)
    text = "# Generated by iptables-save v1.4.21 on Mon\n" + text
    marked = text.replace("--to-destination", "[unsupported revision] #", 1)
    marked = "\n".join(line.split(" #")[0] for line in marked.splitlines())
    findings = verify_rules(expected(LB), parse_rules(marked))
    advice = (
        "iptables 1.4.21 that made this dump is likely older than the one that wrote the rules:"
        " dump them with the iptables that kube-proxy uses"
    )
    (finding,) = (finding for finding in findings if finding.kind == "old-dump")
    assert finding.message == f"-j DNAT [unsupported revision]: {advice}"
    assert finding.severity == "information"
    assert [finding.kind for finding in significant(findings)] == ["changed-rule"]
    vanished = re.sub(r"(-A KUBE-SERVICES .*) --dport \d+", r"\1", text)
    findings = verify_rules(expected(LB), parse_rules(vanished))
    (finding,) = (finding for finding in findings if finding.kind == "old-dump")
    assert finding.message == f"2 rules of the dump lack --dport: {advice}"
    # of one rule it may be somebody's doing
    one = re.sub(r"(-A KUBE-SERVICES .*) --dport \d+", r"\1", text, count=1)
    assert [finding.kind for finding in verify_rules(expected(LB), parse_rules(one))] == [
        "changed-rule"
    ]


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ("-j ACCEPT", ["foreign-rule"]),
        ("-d 127.0.0.0/8 -j ACCEPT", ["foreign-rule"]),
        ("-s 192.0.2.0/24 -j ACCEPT", ["foreign-may-take"]),
        ("-d 10.0.0.0/8 -j ACCEPT", []),
        # kubelet's own
        (('-m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark'
         " 0x8000/0x8000 -j DROP"), []),
        ("-d 127.0.0.0/8 -j DROP", []),
    ],
)  # fmt: skip
def test_a_rule_above_kube_proxys_in_a_chain_that_kubelet_shares(
    rule: str, kinds: list[str]
) -> None:
    """`-A KUBE-FIREWALL -j ACCEPT` there undoes the fix of CVE-2020-8558."""
    before = "-A KUBE-FIREWALL -m comment"
    text = node_text(BY_NAME[LB].expected)
    assert before in text
    above = text.replace(before, f"-A KUBE-FIREWALL {rule}\n{before}", 1)
    findings = verify_rules(expected(LB), parse_rules(above))
    assert [finding.kind for finding in findings] == kinds
    assert all(finding.chain == "KUBE-FIREWALL" for finding in findings)
    below = text.replace("COMMIT", f"-A KUBE-FIREWALL {rule}\nCOMMIT", 1)
    assert verify_rules(expected(LB), parse_rules(below)) == ()


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ("-j DROP", ["foreign-rule"]),
        ("-d 10.10.0.0/16 -j DROP", ["foreign-rule"]),
        ("-s 192.0.2.0/24 -j DROP", ["foreign-may-take"]),
        ("-m mark --mark 0x8000/0x8000 -j DROP", []),
        ("-j LOG", []),
    ],
)
def test_a_rule_below_kube_proxys_in_a_chain_that_kubelet_shares(
    rule: str, kinds: list[str]
) -> None:
    """Every packet to and from the node passes the whole of KUBE-FIREWALL."""
    text = node_text(BY_NAME[LB].expected)
    below = text.replace("COMMIT\n*nat", f"-A KUBE-FIREWALL {rule}\nCOMMIT\n*nat", 1)
    assert below != text
    findings = verify_rules(expected(LB), parse_rules(below))
    assert [finding.kind for finding in findings] == kinds


def test_every_kind_is_named_by_a_test() -> None:
    """A kind that no test asks for by name may be gone, or be another one, unnoticed."""
    text = Path(__file__).read_text() + (Path(__file__).parent / "test_foreign.py").read_text()
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []


@pytest.mark.parametrize(
    ("kind", "severity"), [("changed-rule", "error"), ("nfacct", "information")]
)
def test_severity(kind: str, severity: str) -> None:
    assert Finding(kind, "").severity == severity
