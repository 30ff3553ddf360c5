"""A kernel that loads OLD and then the delta holds what one holds that loads NEW."""

from __future__ import annotations

import itertools
import random

import pytest

from compiler.analysis.delta import delta_rules
from compiler.family import IPV4, IPV6, Family
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES, Case
from tests.kernel.namespace import Namespace
from tests.kernel.node import ACCOUNTS, BACKENDS, Node

pytestmark = pytest.mark.kernel

PAIRS = {IPV4: 40, IPV6: 10}
CLEAN = "*filter\nCOMMIT\n*nat\nCOMMIT\n"


def state(ruleset: Ruleset) -> dict[tuple[str, str], list[str]]:
    """What the kernel holds: every chain's rules, without their counters."""
    return {
        (table, name): list(chain.texts())
        for table, chains in ruleset.tables.items()
        for name, chain in chains.items()
    }


@pytest.mark.kernel("nfacct")
@pytest.mark.parametrize("family", [IPV4, IPV6])
@pytest.mark.parametrize("backend", BACKENDS)
def test_old_and_delta_give_new(namespace: Namespace, backend: str, family: Family) -> None:
    node = Node(namespace, backend, family)
    for account in ACCOUNTS:
        namespace.run(["nfacct", "add", account])
    cases = [case for case in ALL_CASES if case.family == family and len(case.expected) < 300_000]
    chooser = random.Random(f"{backend}{family}")
    after_new: dict[str, dict[tuple[str, str], list[str]]] = {}
    for number in range(PAIRS[family]):
        old, new = chooser.sample(cases, 2)
        for case in (new, old):
            node.load(CLEAN, jumps=False)
            node.load(case.expected, jumps=False)
            after_new.setdefault(case.name, state(node.save()))
        # from what the compiler wrote, and from what the kernel holds
        held = node.save() if number % 2 else parse_rules(old.expected, family=family)
        delta = delta_rules(
            held,
            parse_rules(new.expected, family=family),
            source=new.expected.split("\n"),
            like_kube_proxy=number % 3 == 0,
        )
        node.restore_noflush(delta.text)
        assert state(node.save()) == after_new[new.name], (old.name, new.name)


def case_named(name: str) -> Case:
    return next(case for case in ALL_CASES if case.name == name)


AFFINITY = case_named("seed-affinity-clientip").expected
FIRST, SECOND, THIRD = (
    "KUBE-SEP-TBW2IYJKUCAC7GB3",
    "KUBE-SEP-DOIEFYKPESCDTYCH",
    "KUBE-SEP-K7ALM6KJRBAYOHKX",
)


def without_the_second_endpoint(text: str) -> str:
    """What kube-proxy writes when the second of the three endpoints is gone."""
    lines = [line for line in text.splitlines() if SECOND not in line]
    return "\n".join(lines).replace("0.3333333333", "0.5000000000") + "\n"


@pytest.mark.parametrize("like_kube_proxy", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_affinity_lists_survive(namespace: Namespace, backend: str, like_kube_proxy: bool) -> None:
    node = Node(namespace, backend, IPV4)
    node.load(AFFINITY)
    for place, chain in enumerate((FIRST, SECOND, THIRD), 1):
        node.shell(f"echo +192.0.2.{place} > /proc/net/xt_recent/{chain}")
    fewer = without_the_second_endpoint(AFFINITY)
    texts = [
        AFFINITY,
        fewer,  # an endpoint goes
        fewer.replace("--seconds 10800", "--seconds 30"),  # another timeout
        fewer.replace("0x00004000", "0x00008000"),  # a change elsewhere
        fewer.replace("-m comment --comment default/svc-clusterip:svc-webport -s", "-s"),
    ]
    for before, after in itertools.pairwise(texts):
        old, new = (parse_rules(text, family=IPV4) for text in (before, after))
        delta = delta_rules(old, new, like_kube_proxy=like_kube_proxy)
        node.restore_noflush(delta.text)
        lists = node.shell("cd /proc/net/xt_recent; grep -H . *")
        held = {line.split(":")[0]: line.split("src=")[1].split()[0] for line in lists.splitlines()}
        assert held == {FIRST: "192.0.2.1", THIRD: "192.0.2.3"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_chain_that_a_foreign_rule_uses_stays(namespace: Namespace, backend: str) -> None:
    node = Node(namespace, backend, IPV4)
    old, new = case_named("nodeport-localhost-off"), case_named("nodeport-cluster")
    assert "KUBE-FIREWALL" in new.expected
    assert "KUBE-FIREWALL" not in old.expected
    node.load(new.expected)
    delta = delta_rules(node.save(), parse_rules(old.expected, family=IPV4))
    assert delta.kept == ("KUBE-FIREWALL",)
    node.restore_noflush(delta.text)
    assert node.save().rules("filter", "KUBE-FIREWALL") == ()
