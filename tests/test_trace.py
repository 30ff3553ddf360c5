"""`trace`: outcomes, their reasons, and what was chosen or assumed."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import pytest

from compiler.analysis.expectations import ExpectationError, Expected, read_expected
from compiler.analysis.packet_request import PROTOCOLS, STATES, PacketRequest, RequestError
from compiler.analysis.trace import trace_packet
from compiler.api import trace
from compiler.cli import packet_options
from compiler.kube_rules.destinations import VIAS
from compiler.kube_rules.jumps import with_jumps
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.evaluate import evaluate
from compiler.netfilter.outcome import shares
from compiler.netfilter.parse import parse_rules
from tests.cases import ALL_CASES, FIXTURE_CASES, FIXTURES, GOLDEN, Case, case_id
from tests.flow_files import flow_file, inputs_of, text_of
from tests.kernel.sampling import aims, sample
from tests.run import Runner
from tests.upstream_flows import FLOWS, HOST, packet_of

DUMPS = FIXTURES / "dumps"
API = DUMPS / "pods-cannot-reach-the-api.save"
NONE = GOLDEN / "seed-affinity-none.rules"
CLIENT_IP = GOLDEN / "seed-affinity-clientip-30s.rules"


def test_the_outage(proxyrules: Runner) -> None:
    sender, to = "10.42.0.64", "10.43.0.1:443"
    result = proxyrules(
        "trace", API, "--from", sender, "--to", to, "--node-address", "192.168.50.11"
    )
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "10.42.0.64 → 10.43.0.1:443/tcp (default/kubernetes:https)\n"
        "  100 %   rejected (icmp-host-prohibited)\n"
        "          translated to 192.168.50.11:6443, an address of this node, then rejected on"
        " its way in\n"
        "          filter INPUT, line 86: -A INPUT -j REJECT --reject-with icmp-host-prohibited\n"
        "          not one of kube-proxy's rules; no rule above it accepts new connections to"
        " port 6443\n"
    )


def test_without_the_nodes_address_both_cases_are_given(proxyrules: Runner) -> None:
    result = proxyrules("trace", API, "--from", "10.42.0.64", "--to", "10.43.0.1:443")
    assert "  if 192.168.50.11 is an address of the node:\n" in result.out
    assert "  if 192.168.50.11 is not an address of the node:\n" in result.out
    assert "filter INPUT, line 86" in result.out
    assert "filter FORWARD, line 102" in result.out


@pytest.mark.parametrize("case", FLOWS, ids=case_id)
def test_flows_of_kube_proxys_own_tests(case: Case) -> None:
    rules = NodeRules(with_jumps(parse_rules(case.expected, family=case.ip_family)))
    for flow in case.flows:
        (only,) = trace_packet(rules, packet_of(flow), HOST).cases
        names = [way.outcome_name for way in only.ways]
        # those tests call ACCEPT what a rule of KUBE-NODEPORTS accepts, and nothing the rest
        output = str(flow["output"])
        assert ", ".join(names) == (output or "ACCEPT"), flow["name"]
        assert any(way.source for way in only.ways) is flow["masq"], flow["name"]


@pytest.mark.parametrize("case", FIXTURE_CASES, ids=case_id)
def test_flow_files_of_fixtures(case: Case, proxyrules: Runner) -> None:
    result = proxyrules("trace", *inputs_of(case), "--file", flow_file(case))
    assert result.code == 0, result.out
    assert result.out.splitlines()[-1].endswith(": all as expected.")


def test_flow_files_are_as_they_are_written() -> None:
    for case in random.Random(5).sample(FIXTURE_CASES, 12):
        assert flow_file(case).read_text() == text_of(case)


def test_a_flow_file_can_fail(proxyrules: Runner) -> None:
    """Of a fixture under a Local policy, with the rules of one under Cluster."""
    cluster = FIXTURES / "nodeport-cluster"
    config = cluster / "kube-proxy.yaml"
    arguments: list[str | Path] = [cluster / "input.yaml", "--config", config]
    result = proxyrules(
        "trace",
        *arguments,
        "--node",
        "worker-1",
        "--file",
        FIXTURES / "flows" / "nodeport-local.yaml",
    )
    assert result.code == 1
    assert "FAIL  outside to default/web:http via node-port\n" in result.out
    assert "      10.10.2.2:8080 gets 33.3 %, not expected\n" in result.out


def test_ways_are_the_evaluators_outcomes() -> None:
    """Over random packets near all that rules ask for."""
    tried = 0
    for case in random.Random(11).sample([c for c in ALL_CASES if len(c.expected) < 30000], 60):
        ruleset = with_jumps(parse_rules(case.expected, family=case.ip_family))
        rng = random.Random(case.name)
        for packet in sample(aims(ruleset), rng, 12, lambda: 40000):
            found = evaluate(ruleset, packet, HOST)
            (only,) = trace_packet(NodeRules(ruleset), packet, HOST).cases
            said: dict[object, Fraction] = {}
            for way in only.ways:
                key = way.outcome.treatment._replace(mark=0, lists=())
                said[key] = said.get(key, Fraction(0)) + way.share
            wanted: dict[object, Fraction] = {}
            for (treatment, _), share in shares(found).items():
                key = treatment._replace(mark=0, lists=())
                wanted[key] = wanted.get(key, Fraction(0)) + share
            assert said == wanted
            tried += 1
    assert tried == 720


def test_rules_on_the_way(proxyrules: Runner) -> None:
    result = proxyrules("trace", NONE, "--from", "10.10.1.2", "--to", "svc-clusterip", "-v")
    lines = [line.strip() for line in result.out.splitlines()]
    name = str(NONE)
    matched = f"+  {name}:31  -A KUBE-SEP-TBW2IYJKUCAC7GB3 -s 10.10.1.2/32 -j KUBE-MARK-MASQ"
    chance = f"-  {name}:28  -A KUBE-SVC-KBDEBIL6IU6WL7RF -m statistic --mode random"
    other = f"-  {name}:33  -A KUBE-SEP-DOIEFYKPESCDTYCH -s 10.10.2.2/32 -j KUBE-MARK-MASQ"
    assert matched in lines
    assert any(line.startswith(chance) and line.endswith("[not chosen]") for line in lines)
    assert f"{other}  [not -s 10.10.2.2/32]" in lines
    assert "10.10.1.2:80, the sender itself, masqueraded" in result.out


def test_json(proxyrules: Runner) -> None:
    result = proxyrules("trace", NONE, "--to", "svc-clusterip", "--format", "json")
    value = json.loads(result.out)
    (packet,) = value["packets"]
    (case,) = packet["cases"]
    assert sum(Fraction(one["share"]) for one in case["outcomes"]) == 1
    assert [one["outcome"] for one in case["outcomes"]] == [
        "10.10.1.2:80",
        "10.10.2.2:80",
        "10.10.3.3:80",
    ]
    assert packet["servicePorts"] == ["default/svc-clusterip:svc-webport"]
    assert value["notLookedAt"] == [
        "not looked at: the node's other rules, which this text does not have"
    ]


def test_uneven_shares_are_pointed_out(proxyrules: Runner, tmp_path: Path) -> None:
    uneven = tmp_path / "uneven.rules"
    uneven.write_text(NONE.read_text().replace("--probability 0.5", "--probability 0.4"))
    to = ("--to", "svc-clusterip")
    assert "the shares are uneven" in proxyrules("trace", uneven, *to).out
    assert "the shares are uneven" not in proxyrules("trace", NONE, *to).out


def test_affinity(proxyrules: Runner) -> None:
    def reached(*recent: str) -> list[str]:
        asked = ("--from", "10.10.7.7", "--to", "svc-clusterip", "--format", "json")
        options = [word for one in recent for word in ("--recent", one)]
        value = json.loads(proxyrules("trace", CLIENT_IP, *asked, *options).out)
        return [one["outcome"] for one in value["packets"][0]["cases"][0]["outcomes"]]

    everywhere = ["10.10.1.2:80", "10.10.2.2:80", "10.10.3.3:80"]
    assert reached() == everywhere
    assert reached("10.10.7.7=10.10.2.2:80,29") == ["10.10.2.2:80"]
    assert reached("10.10.7.7=10.10.2.2:80,31") == everywhere
    assert reached("10.10.7.8=10.10.2.2:80,1") == everywhere
    others = [f"10.10.9.{number}=10.10.2.2:80,5" for number in range(1, 100)]
    assert reached("10.10.7.7=10.10.2.2:80,20", *others) == ["10.10.2.2:80"]
    # the hundredth other client pushed it out
    assert reached("10.10.7.7=10.10.2.2:80,20", *others, "10.10.9.100=10.10.2.2:80,5") == everywhere


@pytest.mark.parametrize(
    ("seconds", "pinned"), [(20, True), (29.9, True), (30.1, False), (40, False)]
)
def test_copies_of_the_kernels_lists(seconds: float, pinned: bool, proxyrules: Runner) -> None:
    clock = f"{4302632114 + round(seconds * 250)}:250"
    result = proxyrules(
        *("trace", DUMPS / "affinity-does-not-hold.save", "--from", "10.10.7.7"),
        *("--to", "svc-clusterip", "--recent", DUMPS / "affinity-does-not-hold"),
        *("--clock", clock),
    )
    assert result.code == 0
    assert ("pinned: the client is in the list KUBE-SEP-DOIEFYKPESCDTYCH" in result.out) is pinned


def test_expectations(proxyrules: Runner) -> None:
    def code(*words: str) -> int:
        return proxyrules("trace", NONE, "--to", "svc-clusterip", *words).code

    all_of_them = [f"--expect=10.10.{n}:80" for n in ("1.2", "2.2", "3.3")]
    assert code(*all_of_them) == 0
    assert code(*all_of_them[:2]) == 1
    assert code(*(f"{one}=33%" for one in all_of_them)) == 0
    assert code(*(f"{one}=33.3%" for one in all_of_them)) == 0
    assert code(*(f"{one}=1/3" for one in all_of_them)) == 0
    assert code(*(f"{one}=34%" for one in all_of_them)) == 1
    assert code("--expect", "DROP") == 1
    assert code("--expect-masquerade", "no") == 0
    assert code("--expect-masquerade", "yes") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reject", Expected("REJECT")),
        ("[fd00::1]:80", Expected("[fd00::1]:80")),
        ("10.0.0.1:80=50%", Expected("10.0.0.1:80", Fraction(1, 2), Fraction(1, 200))),
        ("DROP=1/4", Expected("DROP", Fraction(1, 4), Fraction(1, 10**6))),
    ],
)
def test_reading_expectations(text: str, expected: Expected) -> None:
    assert read_expected(text) == expected


@pytest.mark.parametrize("text", ["", "web", "10.0.0.1", "DROP=", "DROP=1/0", "DROP=x%", "=5%"])
def test_expectations_that_can_not_be_read(text: str) -> None:
    with pytest.raises(ExpectationError):
        read_expected(text)


def test_reports(proxyrules: Runner, tmp_path: Path) -> None:
    flows = tmp_path / "flows.yaml"
    flows.write_text(
        "flows:\n- {name: good, to: svc-clusterip, masquerade: false}\n"
        "- {name: bad & <worse>, from: outside, to: '10.200.1.201:9000', outcome: DROP}\n"
    )
    result = proxyrules("trace", NONE, "--file", flows, "--format", "junit")
    suite = ET.fromstring(result.out).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    result = proxyrules("trace", NONE, "--file", flows, "--format", "github")
    assert f"::error title=not as expected,file={flows},line=3::bad & <worse>: DROP" in result.out
    assert result.out.splitlines()[-1] == "2 flows: 1 not as expected."
    value = json.loads(proxyrules("trace", NONE, "--file", flows, "--format", "json").out)
    assert [one["holds"] for one in value["flows"]] == [True, False]


BAD_FLOWS = """\
flows:
- from: pod
  to: svc-clusterip
  outcome: NOWHERE
  colour: red
- name: x
  via: door
  to: [1]
- to: nothing-like-it
  outcome: DROP
  masquerade: maybe
- to: 10.0.0.1:99999
- 7
"""


def test_everything_wrong_with_a_flow_file_at_once(proxyrules: Runner, tmp_path: Path) -> None:
    flows = tmp_path / "flows.yaml"
    flows.write_text(BAD_FLOWS)
    result = proxyrules("trace", NONE, "--file", flows)
    assert (result.code, result.out) == (2, "")
    places = [line.partition(": ")[0].removeprefix(f"{flows}:") for line in result.err.splitlines()]
    assert places == ["5:3", "4:12", "8:7", "7:8", "6:3", "11:15", "12:3", "13:3"]


def test_what_these_rules_can_not_answer_has_its_place(proxyrules: Runner, tmp_path: Path) -> None:
    flows = tmp_path / "flows.yaml"
    flows.write_text(
        "flows:\n- {to: web, outcome: DROP}\n- {to: '10.0.0.1:99999', outcome: DROP}\n"
    )
    result = proxyrules("trace", NONE, "--file", flows)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f'{flows}:2:8: pod to web: to: no Service "web" in the rules; Services:'
        " default/svc-clusterip\n"
        f"{flows}:3:8: pod to 10.0.0.1:99999: to: invalid port 99999; must be between 1 and 65535\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "web"], '--to: no Service "web" in the rules; Services: default/svc-clusterip'),
        (
            ["--to", "svc-clusteripp"],
            '--to: no Service "svc-clusteripp" in the rules; did you mean',
        ),
        (["--to", "10.0.0.1"], '--to: "10.0.0.1" has no port; give ADDRESS:PORT'),
        (["--to", "10.0.0.1:0"], "--to: invalid port 0; must be between 1 and 65535"),
        (["--to", "10.0.0.300:1"], '--to: "10.0.0.300" is not an IP address'),
        (["--to", "svc-clusterip", "--via", "node-port"], "--via: default/svc-clusterip:"),
        (["--to", "10.0.0.1:1", "--via", "node-port"], "--via: is for a Service"),
        (["--to", "svc-clusterip:x"], "--to: Service svc-clusterip has no port"),
        (["--to", "10.0.0.1:1", "--from", "node"], "--from: the node's address is not known;"),
        (["--to", "10.0.0.1:1", "--from", "web-1"], '--from: "web-1": rules have no names of Pods'),
        (["--to", "10.0.0.1:1", "--from", "fd00::1"], "has only IPv4 rules; --ip-family ipv6"),
        (["--to", "10.0.0.1:1", "--from", "localhost"], "--from: localhost sends to loopback"),
        (["--to", "10.0.0.1:1", "--recent", "x"], '--recent: "x" is no folder and no pin; use'),
        (["--to", "10.0.0.1:1", "--recent", "1.2.3.4=5.6.7.8:9,1"], "--recent: no affinity list"),
        (["--to", "10.0.0.1:1", "--clock", "1:2"], "--clock: is for a folder of lists"),
        (["--to", "10.0.0.1:1", "--recent", str(DUMPS)], "--clock: is required for a folder"),
        (["--to", "10.0.0.1:1", "--expect", "WHAT"], '--expect: "WHAT" is not an outcome'),
        (["--to", "10.0.0.1:1/tcp", "--protocol", "udp"], "--protocol: udp, but the destination"),
        ([], "Error: give --to ADDRESS:PORT or --to SERVICE, or --file FLOWS"),
        (["--to", "x", "--file", "y"], "Error: --file can't be combined with --from"),
        (["--to", "1.1.1.1:1", "--format", "junit"], "Error: --format junit is for expectations"),
        (["--to", "1.1.1.1:1", "--live"], "Error: --live and MANIFEST or RULES can't be combined"),
    ],
)
def test_bad_input(words: list[str], message: str, proxyrules: Runner) -> None:
    result = proxyrules("trace", NONE, *words)
    assert (result.code, result.out) == (2, "")
    assert message in result.err.splitlines()[-1]


def test_a_pods_name(proxyrules: Runner, tmp_path: Path) -> None:
    fixture = FIXTURES / "nodeport-cluster"
    manifest = tmp_path / "input.yaml"
    pod = (
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: shop}\n"
        "status: {podIP: 10.10.1.77, podIPs: [{ip: 10.10.1.77}]}\n"
    )
    manifest.write_text((fixture / "input.yaml").read_text() + pod)
    config = fixture / "kube-proxy.yaml"
    arguments: list[str | Path] = [manifest, "--config", config, "--node", "worker-1"]
    result = proxyrules("trace", *arguments, "--from", "shop/client", "--to", "web")
    assert result.out.startswith("10.10.1.77 → 10.200.1.10:80/tcp (default/web:http)\n")
    assert "note: 10.10.1.77 is the address of shop/client" in result.out
    result = proxyrules("trace", *arguments, "--from", "shop/other", "--to", "web")
    assert (result.code, result.out) == (2, "")


def test_nft_tables_of_a_dump_are_named(proxyrules: Runner, tmp_path: Path) -> None:
    dump = tmp_path / "node.save"
    dump.write_text(API.read_text() + "table inet firewalld {\n}\n")
    result = proxyrules("trace", dump, "--from", "10.42.0.64", "--to", "10.43.0.10:53/udp")
    assert "not looked at: nft tables inet firewalld" in result.err


def test_choices_are_those_of_the_library() -> None:
    assert packet_options.VIAS == VIAS
    assert packet_options.PROTOCOLS == PROTOCOLS
    assert tuple(state.upper() for state in packet_options.STATES) == STATES


def test_the_function() -> None:
    (found,) = trace(NONE, PacketRequest("10.10.1.2", "svc-clusterip"))
    assert sum(way.share for way in found.ways) == 1
    assert [way.outcome_name for way in found.ways if way.source] == ["10.10.1.2:80"]
    with pytest.raises(RequestError, match="no Service"):
        trace(NONE, PacketRequest("10.10.1.2", "other"))


ACCEPTING = """\
*filter
:INPUT ACCEPT [0:0]
:OTHERS - [0:0]
{rules}
-A INPUT -j REJECT
COMMIT
"""


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "no rule above it accepts new"),
        ("-A INPUT -p udp -j ACCEPT\n-A INPUT -i lo -j ACCEPT", "no rule above it accepts new"),
        ("-A INPUT -m state --state ESTABLISHED -j ACCEPT", "no rule above it accepts new"),
        ("-A INPUT -p tcp -m multiport --dports 1,2 -j ACCEPT", "no rule above it accepts new"),
        (
            "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT",
            "rules above it are for other packets: line 4 (-s 10.0.0.0/8)",
        ),
        # in a chain that the packet came back from, as ufw and firewalld have them
        (
            "-A INPUT -j OTHERS\n-A OTHERS -s 10.0.0.0/8 -p tcp -j ACCEPT",
            "rules above it are for other packets: line 5 (-s 10.0.0.0/8)",
        ),
        ("-A INPUT -d 10.9.9.9/32 -j ACCEPT", "rules above it are for other packets: line 4"),
        ("-A INPUT -s 10.0.0.0/8 -j OTHERS", "rules above it are for other packets: line 4"),
    ],
)
def test_what_is_said_of_rules_above(
    rules: str, said: str, proxyrules: Runner, tmp_path: Path
) -> None:
    dump = tmp_path / "node.save"
    dump.write_text(ACCEPTING.format(rules=rules))
    options = ("--from", "198.51.100.9", "--to", "192.168.0.2:80", "--node-address", "192.168.0.2")
    assert f"not one of kube-proxy's rules; {said}" in proxyrules("trace", dump, *options).out


def test_pods_cidr_that_nodes_are_in_as_well(proxyrules: Runner, tmp_path: Path) -> None:
    """A flat network: an endpoint in the pods' CIDR may be this node."""
    dump = tmp_path / "node.save"
    text = (DUMPS / "client-address-is-lost.save").read_text()
    dump.write_text(text.replace(":INPUT ACCEPT", ":INPUT DROP"))
    result = proxyrules("trace", dump, "--to", "web", "--from", "10.10.7.7", "--via", "cluster-ip")
    assert (
        "endpoints in the pods' CIDR are taken not to be among them (--node-address)" in result.out
    )
    own = proxyrules("trace", dump, "--to", "web", "--node-address", "10.10.1.2")
    assert "taken not to be" not in own.out
    assert "33.3 %   dropped" in own.out
    result = proxyrules("matrix", dump)
    assert "are taken not to be addresses of node.save" in " ".join(result.out.split())


def test_flows_say_what_they_rest_on(proxyrules: Runner, tmp_path: Path) -> None:
    flows = tmp_path / "flows.yaml"
    flows.write_text(
        "flows:\n- {name: call, from: 10.42.0.64, to: '10.43.0.1:443', outcome: REJECT}\n"
    )
    result = proxyrules("trace", API, "--file", flows)
    assert result.code == 0
    assert "note: comes in by an interface that no rule names" in result.out
    assert "(call)" in result.out


def test_lists_of_others_pin_nobody(proxyrules: Runner, tmp_path: Path) -> None:
    dump = tmp_path / "node.save"
    text = (DUMPS / "client-address-is-lost.save").read_text()
    check = "-A FORWARD -m recent --rcheck --name guests -j ACCEPT\n"
    dump.write_text(text.replace("-A FORWARD", check + "-A FORWARD", 1))
    options = ("--to", "web", "--from", "10.10.7.7", "--via", "cluster-ip")
    assert "pinned" not in proxyrules("trace", dump, *options).out
