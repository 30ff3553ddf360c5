"""Faults made in a kernel's rules one at a time: `verify` finds exactly that fault."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import pytest

from compiler.analysis.verify import verify_rules
from compiler.family import Family
from compiler.netfilter.parse import parse_rules
from tests.cases import ALL_CASES
from tests.kernel.namespace import PROGRAMS, Namespace
from tests.kernel.node import BACKENDS, Node

pytestmark = pytest.mark.kernel("nft", *chain(*PROGRAMS.values()))

SERVICES = {
    "ipv4": ("seed-affinity-clientip-30s", "default/svc-clusterip:svc-webport"),
    "ipv6": ("dual-stack-ipv6", "default/web:http"),
}


@dataclass(frozen=True)
class Fault:
    """What is done to the node, and what `verify` reports: kind, chain, words of the message."""

    name: str
    make: Callable[[Node, Node], None]
    kind: str
    chain: str
    says: str
    service: bool = True


def rules_of(node: Node, chain: str) -> list[str]:
    listed = node.shell(f"{node.program} -t nat -S {chain}").splitlines()
    return [line.split(" ", 2)[2] for line in listed if line.startswith("-A")]


def chain_name(node: Node, prefix: str) -> str:
    listed = node.shell(f"{node.program} -t nat -S").splitlines()
    return next(line.split()[1] for line in listed if line.startswith(f"-N {prefix}"))


def edit(prefix: str, before: str, after: str) -> Callable[..., None]:
    """Replace the first rule with these words by the same with other words."""

    def make(node: Node, _: Node) -> None:
        chain = chain_name(node, prefix) if prefix.endswith("-") else prefix
        rules = rules_of(node, chain)
        place = next(place for place, rule in enumerate(rules, 1) if before in rule)
        changed = rules[place - 1].replace(before, after, 1)
        node.iptables(f"-t nat -R {chain} {place} {changed}")

    return make


def command(arguments: str) -> Callable[..., None]:
    """Run iptables; SVC and SEP stand for the (first) chain of that kind."""

    def make(node: Node, _: Node) -> None:
        for one in arguments.split(" ; "):
            words = shlex.split(one)
            for place, word in enumerate(words):
                if word in ("SVC", "SEP"):
                    words[place] = chain_name(node, f"KUBE-{word}-")
            node.iptables(shlex.join(words))

    return make


def move(prefix: str, number: int, to: int) -> Callable[..., None]:
    """Take a rule out and put it in elsewhere."""

    def make(node: Node, _: Node) -> None:
        chain = chain_name(node, prefix) if prefix.endswith("-") else prefix
        rule = rules_of(node, chain)[number - 1]
        node.iptables(f"-t nat -D {chain} {number}")
        node.iptables(f"-t nat -I {chain} {to} {rule}")

    return make


def duplicate(node: Node, _: Node) -> None:
    chain = chain_name(node, "KUBE-SVC-")
    node.iptables(f"-t nat -A {chain} {rules_of(node, chain)[-1]}")


def both(node: Node, other: Node) -> None:
    other.load("*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n", jumps=False)


FAULTS = [
    Fault("rule deleted", command("-t nat -D SVC 3"), "missing-rule", "KUBE-SVC-", "lacks a rule"),
    Fault(
        "rule of an endpoint deleted", command("-t nat -D SEP 2"), "missing-rule", "KUBE-SEP-", ""
    ),
    Fault(
        "portal deleted", command("-t nat -D KUBE-SERVICES 1"), "missing-rule", "KUBE-SERVICES", ""
    ),
    Fault("rule duplicated", duplicate, "duplicate-rule", "KUBE-SVC-", "has a duplicate rule"),
    Fault("dispatch moved", move("KUBE-SVC-", 1, 3), "wrong-order", "KUBE-SVC-", "wrong position"),
    Fault(
        "node ports moved up",
        move("KUBE-SERVICES", 2, 1),
        "wrong-order",
        "KUBE-SERVICES",
        "",
        service=False,
    ),
    Fault(
        "port changed",
        edit("KUBE-SERVICES", "--dport ", "--dport 1"),
        "changed-rule",
        "KUBE-SERVICES",
        "--dport is 1",
    ),
    Fault(
        "probability changed",
        edit("KUBE-SVC-", "--probability 0.", "--probability 0.1"),
        "changed-rule",
        "KUBE-SVC-",
        "--probability is 0.1",
    ),
    Fault(
        "timeout changed",
        edit("KUBE-SVC-", "--seconds 30", "--seconds 31"),
        "changed-rule",
        "KUBE-SVC-",
        "--seconds is 31, should be 30",
    ),
    Fault(
        "mark changed",
        edit("KUBE-MARK-MASQ", "0x4000/0x4000", "0x8000/0x8000"),
        "changed-rule",
        "KUBE-MARK-MASQ",
        "--set-xmark is 0x8000/0x8000, should be 0x4000/0x4000",
        service=False,
    ),
    Fault(
        "target changed",
        edit("KUBE-SVC-", "-j KUBE-MARK-MASQ", "-j RETURN"),
        "changed-rule",
        "KUBE-SVC-",
        "-j is RETURN, should be KUBE-MARK-MASQ",
    ),
    Fault(
        "destination changed",
        edit("KUBE-SEP-", ":80", ":81"),
        "changed-rule",
        "KUBE-SEP-",
        "--to-destination is ",
    ),
    Fault("chain emptied", command("-t nat -F SEP"), "empty-chain", "KUBE-SEP-", "2 rules missing"),
    Fault(
        "top-level chain emptied",
        command("-t nat -F KUBE-SERVICES"),
        "empty-chain",
        "KUBE-SERVICES",
        "2 rules missing",
        service=False,
    ),
    Fault(
        "chain removed",
        command(
            "-t nat -D PREROUTING 1 ; -t nat -D OUTPUT 1 ; -t nat -F KUBE-SERVICES ;"
            " -t nat -X KUBE-SERVICES"
        ),
        "missing-chain",
        "KUBE-SERVICES",
        "is missing",
        service=False,
    ),
    Fault(
        "left-over chain",
        command("-t nat -N KUBE-SVC-AAAAAAAAAAAAAAAA"),
        "stale-chain",
        "KUBE-SVC-AAAAAAAAAAAAAAAA",
        "left over",
        service=False,
    ),
    Fault(
        "chain added",
        command("-t nat -N KUBE-SEP-AAAAAAAAAAAAAAAA ; -t nat -I SVC -j KUBE-SEP-AAAAAAAAAAAAAAAA"),
        "extra-chain",
        "KUBE-SEP-AAAAAAAAAAAAAAAA",
        "is not in the manifests",
        service=False,
    ),
    Fault(
        "rule added", command("-t nat -A SEP -j RETURN"), "extra-rule", "KUBE-SEP-", "do not give"
    ),
    Fault(
        "jump removed",
        command("-t nat -D PREROUTING 1"),
        "missing-jump",
        "PREROUTING",
        "PREROUTING does not jump to KUBE-SERVICES",
        service=False,
    ),
    Fault(
        "filter jump removed",
        command("-D FORWARD 1"),
        "missing-jump",
        "FORWARD",
        "FORWARD does not jump to KUBE-PROXY-FIREWALL",
        service=False,
    ),
    Fault(
        "jump narrowed",
        edit("PREROUTING", "-j KUBE", "-p tcp -j KUBE"),
        "changed-jump",
        "PREROUTING",
        "matches other traffic",
        service=False,
    ),
    Fault(
        "foreign ACCEPT above",
        command("-t nat -I PREROUTING -j ACCEPT"),
        "foreign-rule",
        "PREROUTING",
        "takes",
        service=False,
    ),
    Fault(
        "foreign ACCEPT above forwarding",
        command("-I FORWARD -j ACCEPT"),
        "foreign-rule",
        "FORWARD",
        "takes",
        service=False,
    ),
    Fault(
        "foreign DNAT in a chain above",
        command(
            "-t nat -N DOCKER ; -t nat -A DOCKER -p tcp -j"
            " REDIRECT ; -t nat -I PREROUTING -j DOCKER"
        ),
        "foreign-rule",
        "PREROUTING",
        "takes",
        service=False,
    ),
    Fault(
        "both backends",
        both,
        "both-backends",
        "",
        "tables hold kube-proxy's rules too",
        service=False,
    ),
]
# The added chain is used by an added rule: two findings for one fault.
ALSO = {"chain added": {"extra-rule"}, "chain removed": {"missing-jump"}}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_exactly_the_fault(namespace: Namespace, backend: str, family: Family) -> None:
    name, service = SERVICES[family]
    (case,) = [case for case in ALL_CASES if case.name == name]
    text = case.expected.replace("--seconds 120", "--seconds 30")
    expected = parse_rules(text, family=family)
    node = Node(namespace, backend, family)
    other = Node(namespace, BACKENDS[backend == "nft"], family)
    for fault in FAULTS:
        node.namespace.run(["sh", "-c", f"nft flush ruleset; {other.program}-restore"], CLEAN)
        node.load(CLEAN, jumps=False)
        node.load(text)
        assert verify_rules(expected, node.save(), other.save()) == (), fault.name
        fault.make(node, other)
        for found in node.forms().values():
            findings = verify_rules(expected, found, other.save())
            main = [finding for finding in findings if finding.kind == fault.kind]
            assert len(main) == 1, (fault.name, findings)
            (finding,) = main
            assert finding.chain.startswith(fault.chain), fault.name
            assert fault.says in finding.message, (fault.name, finding.message)
            assert finding.service == (service if fault.service else ""), fault.name
            rest = {finding.kind for finding in findings} - {fault.kind}
            assert rest == ALSO.get(fault.name, set()), (fault.name, findings)


CLEAN = "*filter\nCOMMIT\n*nat\nCOMMIT\n"
