"""`who`: what chains, rules, addresses and ports mean, from manifests, rules, or neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.analysis.annotate import Annotator
from compiler.analysis.names import names_of
from compiler.analysis.who import Answer, Meaning
from compiler.api import compile_rules, who
from compiler.kube_rules.chain_kinds import CHAINS
from compiler.kube_rules.chains import JUMPS
from compiler.kube_rules.rule_kinds import kind_of
from compiler.kube_rules.rule_line import chain_group, read_rule_line
from compiler.manifests.source import Source
from compiler.proxy.chain_name import chain_names
from tests.cases import ALL_CASES, FIXTURES, GOLDEN, Case, case_id
from tests.run import Runner

STUDY = FIXTURES / "seed-affinity-none" / "input.yaml"
LOCAL = FIXTURES / "nodeport-local" / "input.yaml"
RANGES = FIXTURES / "loadbalancer-source-ranges" / "input.yaml"
SEP = "KUBE-SEP-TBW2IYJKUCAC7GB3"


def only(answer: Answer) -> Meaning:
    (meaning,) = answer.meanings
    return meaning


def places(meaning: Meaning) -> list[str]:
    """Return the causes of a meaning as they are printed, with the file's name alone."""
    texts = [str(cause.origin) for cause in meaning.causes]
    return [text.rpartition("/input.yaml:")[2] or text for text in texts]


def test_an_endpoint_of_the_study() -> None:
    answer = who(SEP, manifests=[STUDY])
    meaning = only(answer)
    assert answer.found
    assert meaning.text == "endpoint 10.10.1.2:80 of default/svc-clusterip:svc-webport"
    assert str(meaning.causes[0].origin) == (
        f"{STUDY}:32: EndpointSlice default/svc-clusterip-1: endpoints[0].addresses[0]: 10.10.1.2"
    )
    assert meaning.notes == ()


TO_SECOND = (
    '-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.10.2.10:8080" '
    "-m statistic --mode random --probability 0.5 -j KUBE-SEP-V77VTYPZ6GHYI2IU"
)
NODE_PORT = (
    "-A KUBE-NODEPORTS -p tcp -m comment --comment default/web:http -m tcp --dport 30080 "
    "-j KUBE-EXT-CDGGSHYLG3RE2FKL"
)
CLUSTER_IP = (
    '-A KUBE-SERVICES -d 10.200.1.10/32 -p tcp -m comment --comment "default/web:http cluster '
    'IP" -m tcp --dport 80 -j KUBE-SVC-CDGGSHYLG3RE2FKL'
)


@pytest.mark.parametrize(
    ("rule", "text", "cause"),
    [
        (
            "-A KUBE-EXT-CDGGSHYLG3RE2FKL -j KUBE-SVL-CDGGSHYLG3RE2FKL",
            "sends connections to external addresses of default/web:http to endpoints on this node",
            "44: Service default/web: spec.externalTrafficPolicy: Local",
        ),
        (
            NODE_PORT,
            "takes connections to node port 30080 of default/web:http",
            "43: Service default/web: spec.ports[0].nodePort: 30080",
        ),
        (
            "-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000",
            "marks packets for masquerading",
            "kube-proxy: iptables.masqueradeBit: 14 (the default)",
        ),
        (
            TO_SECOND,
            (
                "sends 50 % of the connections that get here to endpoint 10.10.2.10:8080 of "
                "default/web:http"
            ),
            "70: EndpointSlice default/web-1: endpoints[2].addresses[0]: 10.10.2.10",
        ),
    ],
)
def test_rules_and_their_causes(rule: str, text: str, cause: str) -> None:
    meaning = only(who(rule, manifests=[LOCAL], node="worker-1"))
    assert meaning.text == text
    assert cause in places(meaning)
    # the line is written in another way than the compiler writes it, and is still the same rule
    assert meaning.notes == ()


def golden_rules(case: Case) -> list[str]:
    return [line for line in case.expected.splitlines() if line.startswith("-A ")]


@pytest.mark.parametrize("case", ALL_CASES, ids=case_id)
def test_every_rule_and_chain_has_a_kind(case: Case) -> None:
    for line in golden_rules(case):
        rule = read_rule_line(line)
        assert rule is not None
        assert kind_of(rule) is not None, line
    for line in case.expected.splitlines():
        if line.startswith(":"):
            assert chain_group(line[1:].split(" ")[0]) in CHAINS


def manifests_of(case: Case) -> Source:
    return Source("input.yaml", case.manifest.read_bytes())


SMALL = [case for case in ALL_CASES if case.folder.parent == FIXTURES]
SMALL = [case for case in SMALL if len(case.expected) < 40_000]
SMALL = [case for case in SMALL if "--from-workloads" not in case.options]


@pytest.mark.parametrize("case", SMALL, ids=case_id)
def test_no_rule_of_a_fixture_without_its_meaning(case: Case) -> None:
    """Each is explained with its service port, and is found among the rules of its node."""
    from compiler.analysis.asked import read_asked
    from compiler.analysis.who import answer
    from compiler.cli.options import CompileOptions
    from compiler.questions import known_from_manifests

    options = case.options
    given = {
        name: options[options.index(name) + 1]
        for name in options
        if name.startswith("--") and name not in {"--nfacct", "--no-random-fully"}
    }
    compilation = CompileOptions(
        config=str(case.config),
        node=given.get("--node"),
        kube_version=given["--kube-version"],
        ip_family=given["--ip-family"],
        nfacct="--nfacct" in options,
        random_fully="--no-random-fully" not in options,
        node_addresses=(given["--node-address"],) if "--node-address" in given else (),
    ).compile([str(case.manifest)])
    known = known_from_manifests(
        [manifests_of(case)], compilation.manifests, compilation, node=given.get("--node")
    )
    assert golden_rules(case)
    for line in golden_rules(case):
        found = answer(read_asked(line), known)
        meaning = only(found)
        assert found.found, found.unknown
        assert meaning.notes == (), line
        assert "{" not in meaning.text
        assert "unknown" not in meaning.text
        assert meaning.service_port or "KUBE-S" not in line[3:12] or "nodeports" in line
        for cause in meaning.causes:
            assert (
                cause.origin.line
                or cause.origin.subject == "kube-proxy"
                or (
                    "is not set" in str(cause.origin)
                    or "none in the manifests" in str(cause.origin)
                )
            ), line


def test_a_chain_that_this_node_has_not() -> None:
    case = Case(FIXTURES / "internal-local")
    compilation = compile_rules([case.manifest], config=case.config, node="worker-2")
    present = set(compilation.iptables.chains)
    names = {
        name: address
        for address in ("10.10.1.2:8080", "10.10.2.2:8080", "10.10.2.10:8080")
        for name in chain_names("KUBE-SEP-", [f"default/web:httptcp{address}"])
    }
    absent = [name for name in names if name not in present]
    assert absent
    meaning = only(who(absent[0], manifests=[case.manifest], node="worker-2"))
    assert meaning.text == f"endpoint {names[absent[0]]} of default/web:http"
    assert meaning.notes == (
        (
            "not on node worker-2: traffic stays on this node (policy Local), and the endpoint is "
            "on worker-1"
        ),
    )


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("SVL", "not on node worker-1: no traffic policy is Local"),
        ("EXT", "not on node worker-1: the Service has no node port, external or load-balancer IP"),
        (
            "FW",
            (
                "not on node worker-1: no loadBalancerSourceRanges apply to a load-balancer IP of "
                "the Service"
            ),
        ),
    ],
)
def test_why_a_chain_is_not_there(kind: str, note: str) -> None:
    case = Case(FIXTURES / "conditions-absent")
    (port, *_) = compile_rules([case.manifest], node="worker-1").plan.service_ports
    assert not port.externally_accessible
    (hashed,) = chain_names("", [port.name + port.protocol])
    meaning = only(who(f"KUBE-{kind}-{hashed}", manifests=[case.manifest], node="worker-1"))
    assert meaning.notes == (note,)


def test_a_skipped_service_is_still_identified() -> None:
    text = b"""
apiVersion: v1
kind: Service
metadata: {name: db, namespace: prod}
spec: {clusterIP: None, ports: [{port: 5432}]}
"""
    (name,) = chain_names("KUBE-SVC-", ["prod/dbtcp"])
    meaning = only(who(name, manifests=[Source("db.yaml", text)], node="a"))
    assert meaning.service_port == "prod/db"
    assert meaning.notes == ("not on node a: kube-proxy skips the Service (headless)",)


def test_an_unknown_hash_says_what_was_searched() -> None:
    answer = who("KUBE-SEP-AAAAAAAAAAAAAAAA", manifests=[STUDY])
    assert not answer.found
    assert answer.meanings == ()
    assert answer.unknown == (
        (
            "KUBE-SEP-AAAAAAAAAAAAAAAA: the chain of one endpoint: not found in 1 Service and 1 "
            f"EndpointSlice in {STUDY}"
        ),
    )


def test_jumps_of_kube_proxy() -> None:
    """Each as kube-proxy maintains it; one that asks for more is another program's."""
    for jump in JUMPS:
        meaning = only(who(str(jump), manifests=[LOCAL], node="worker-1"))
        assert f"jump from {jump.chain} to {jump.target}, for the whole node" in meaning.text
        assert meaning.notes == ()
    other = who("-A INPUT -s 10.0.0.9 -j KUBE-FORWARD", manifests=[LOCAL], node="worker-1")
    assert not other.found


def test_a_changed_rule_is_explained_and_reported() -> None:
    rule = TO_SECOND.replace("0.5", "0.9")
    meaning = only(who(rule, manifests=[LOCAL], node="worker-1"))
    assert meaning.text.startswith("sends 90 % of the connections")
    assert meaning.notes == (
        "the rules of node worker-1 do not have this very rule in KUBE-SVC-CDGGSHYLG3RE2FKL",
    )


def test_an_address_that_the_service_has_not() -> None:
    rule = CLUSTER_IP.replace("10.200.1.10/32", "10.200.1.99/32")
    meaning = only(who(rule, manifests=[LOCAL], node="worker-1"))
    assert meaning.notes[0] == "10.200.1.99 is not an address of default/web:http"


@pytest.mark.parametrize(
    ("words", "text", "note"),
    [
        (
            "-p tcp -m tcp -j DNAT --to-destination 10.10.9.9:8080",
            "translates the destination to endpoint 10.10.9.9:8080 of default/web:http",
            "KUBE-SEP-EYUPMQWYQVDBMV26 is the chain of endpoint 10.10.1.2:8080",
        ),
        (
            "-s 10.10.9.9/32 -j KUBE-MARK-MASQ",
            "masquerades connections of endpoint 10.10.1.2:8080 of default/web:http to itself "
            "(hairpin)",
            "it is for packets from 10.10.9.9, which is not that endpoint",
        ),
    ],
)
def test_what_a_rule_says_counts(words: str, text: str, note: str) -> None:
    """A fault is not explained away: neither in an answer nor in a comment."""
    rule = f"-A KUBE-SEP-EYUPMQWYQVDBMV26 {words}"
    meaning = only(who(rule, manifests=[LOCAL], node="worker-1"))
    assert meaning.text == text
    assert meaning.notes == (
        note,
        "the rules of node worker-1 do not have this very rule in KUBE-SEP-EYUPMQWYQVDBMV26",
    )
    names = names_of(compile_rules([LOCAL], node="worker-1").manifests)
    assert Annotator(names).comment(rule) == f"{text}; {note}"


def test_a_rule_alone() -> None:
    """By its own comment, whose name gives the hash that its chains must have."""
    answer = who(CLUSTER_IP)
    assert answer.found
    assert only(answer).text == (
        "sends connections to the cluster IP 10.200.1.10 of default/web:http to its endpoints"
    )
    assert only(answer).notes == ()
    other = who(CLUSTER_IP.replace("default/web:http", "default/other:http"))
    assert only(other).notes == (
        (
            "its comment names default/other:http, but KUBE-SVC-CDGGSHYLG3RE2FKL is not that service "
            "port's chain"
        ),
    )


def test_a_comment_against_the_hash() -> None:
    rule = CLUSTER_IP.replace("default/web:http", "default/other:http")
    meaning = only(who(rule, manifests=[LOCAL], node="worker-1"))
    assert meaning.service_port == "default/web:http"
    assert meaning.notes[0] == (
        "its comment names default/other:http, its chains are of default/web:http"
    )


def test_a_bare_hash_without_anything() -> None:
    answer = who(SEP)
    assert not answer.found
    assert answer.unknown == (
        f"{SEP}: the chain of one endpoint: give manifests or rules to find out which",
    )


@pytest.mark.parametrize("case", SMALL[:40], ids=case_id)
def test_from_rules_alone(case: Case) -> None:
    """Every endpoint's chain of a golden is found in its text, with the same meaning."""
    text = Source("node.save", case.expected.encode())
    for line in golden_rules(case):
        rule = read_rule_line(line)
        assert rule is not None
        if "--to-destination" in line:
            meaning = only(who(rule.chain, rules=text))
            assert meaning.text.startswith(f"endpoint {line.rpartition(' ')[2]} of ")
            assert "/" in meaning.service_port


@pytest.mark.parametrize(
    ("asked", "texts"),
    [
        ("10.200.1.10", ["the cluster IP of default/web:http, port 80"]),
        ("10.200.1.10:80", ["the cluster IP of default/web:http, port 80"]),
        ("10.10.2.10", ["endpoint 10.10.2.10:8080 of default/web:http"]),
        ("10.10.2.10:8080/tcp", ["endpoint 10.10.2.10:8080 of default/web:http"]),
        ("30080", ["the node port of default/web:http"]),
        ("30080/tcp", ["the node port of default/web:http"]),
        ("172.18.0.2", ["an address of Node worker-1"]),
        ("[fd00:18::2]", ["an address of Node worker-1"]),
        ("172.18.0.3:30080", ["an address of Node worker-2", "the node port of default/web:http"]),
        ("default/web", ["service port default/web:http"]),
        ("default/web:http", ["service port default/web:http"]),
        ("default/web:80", ["service port default/web:http"]),
        ("CDGGSHYLG3RE2FKL", ["service port default/web:http"]),
        ("EYUPMQWYQVDBMV26", ["endpoint 10.10.1.2:8080 of default/web:http"]),
        ("KUBE-POSTROUTING", ["for the whole node: masquerades packets that were marked"]),
        (":KUBE-SEP-EYUPMQWYQVDBMV26 - [0:0]", ["endpoint 10.10.1.2:8080 of default/web:http"]),
        (
            "10.10.1.7 called KUBE-SEP-EYUPMQWYQVDBMV26",
            ["endpoint 10.10.1.2:8080 of default/web:http"],
        ),
    ],
)
def test_everything_that_can_be_asked(asked: str, texts: list[str]) -> None:
    answer = who(asked, manifests=[LOCAL], node="worker-1")
    assert [meaning.text for meaning in answer.meanings] == texts
    assert answer.found


@pytest.mark.parametrize(
    ("asked", "unknown"),
    [
        ("10.200.1.10:81", "is the cluster IP of default/web:http, port 80; not with this port"),
        ("30080/udp", "30080/udp: not found in 1 Service and 1 EndpointSlice"),
        ("10.99.9.9", "10.99.9.9: not found in"),
        ("default/nothing", "default/nothing: not found in"),
        ("default/web:https", "default/web:https: not found in"),
        ("DOCKER", "DOCKER: not one of kube-proxy's or kubelet's chains"),
        ("-A INPUT -s 10.0.0.1 -j DROP", "a rule of INPUT: not one that kube-proxy writes"),
    ],
)
def test_what_is_not_found(asked: str, unknown: str) -> None:
    answer = who(asked, manifests=[LOCAL], node="worker-1")
    assert not answer.found
    assert unknown in answer.unknown[0]


def test_json(proxyrules: Runner) -> None:
    result = proxyrules("who", SEP, STUDY, "--format", "json")
    assert (result.code, result.err) == (0, "")
    value = json.loads(result.out)
    assert (value["kind"], value["found"], value["unknown"]) == ("chain", True, [])
    (meaning,) = value["meanings"]
    assert meaning["servicePort"] == "default/svc-clusterip:svc-webport"
    assert meaning["from"][0] == {
        "file": str(STUDY),
        "line": 32,
        "column": 5,
        "object": "EndpointSlice default/svc-clusterip-1",
        "field": "endpoints[0].addresses[0]",
        "value": "10.10.1.2",
    }


def test_large_json_places(tmp_path: Path) -> None:
    """Places in a JSON List over 1 MiB are those that the slow way finds."""
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"s{n}", "namespace": "default", "uid": "x" * 100},
            "spec": {"clusterIP": f"10.9.{n // 250}.{n % 250}", "ports": [{"port": 80}]},
        }
        for n in range(3000)
    ]
    whole = {"apiVersion": "v1", "kind": "List", "items": services}
    for indent in (1, None):
        text = json.dumps(whole, indent=indent, ensure_ascii=False)
        meaning = only(who("10.9.11.5", manifests=[Source("a.json", text.encode())], node="n"))
        assert meaning.service_port == "default/s2755"
        (origin,) = [c.origin for c in meaning.causes if c.origin.field == "spec.clusterIP"]
        offset = text.index('"10.9.11.5"')
        assert origin.line == text.count("\n", 0, offset) + 1
        assert origin.column == offset - (text.rfind("\n", 0, offset) + 1) + 1


def test_goldens_are_there() -> None:
    assert len(SMALL) > 60
    assert (GOLDEN / "nodeport-local.rules").exists()
