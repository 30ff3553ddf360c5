from __future__ import annotations

import random
from functools import cache

import pytest

from compiler.analysis.delta import delta_rules
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import ALL_CASES

BY_NAME = {case.name: case for case in ALL_CASES}
AFFINITY = BY_NAME["seed-affinity-clientip"].expected


@cache
def expected_rules(name: str) -> Ruleset:
    return parse_rules(BY_NAME[name].expected)


def state(ruleset: Ruleset) -> dict[tuple[str, str], list[str]]:
    return {
        (table, name): list(chain.texts())
        for table, chains in ruleset.tables.items()
        for name, chain in chains.items()
    }


@pytest.mark.parametrize("like_kube_proxy", [False, True])
def test_old_and_delta_give_new(like_kube_proxy: bool) -> None:
    """The parser carries the delta out on OLD as iptables-restore --noflush does."""
    chooser = random.Random(7)
    small = [case for case in ALL_CASES if len(case.expected) < 300_000]
    pairs = 0
    while pairs < 150:
        old, new = chooser.sample(small, 2)
        if old.family != new.family:
            continue
        pairs += 1
        before, after = expected_rules(old.name), expected_rules(new.name)
        delta = delta_rules(
            before, after, source=new.expected.split("\n"), like_kube_proxy=like_kube_proxy
        )
        assert state(parse_rules(delta.text, onto=before)) == state(after), (old.name, new.name)
        canonical = delta_rules(before, after, like_kube_proxy=like_kube_proxy)
        assert state(parse_rules(canonical.text, onto=before)) == state(after)


@pytest.mark.parametrize("case", ALL_CASES[:100], ids=lambda case: case.name)
def test_nothing_to_do(case) -> None:  # type: ignore[no-untyped-def]
    rules = parse_rules(case.expected)
    assert delta_rules(rules, rules).text == ""


def test_one_endpoint_less() -> None:
    lines = [line for line in AFFINITY.splitlines() if "DOIEFYKPESCDTYCH" not in line]
    fewer = "\n".join(lines).replace("0.3333333333", "0.5000000000") + "\n"
    delta = delta_rules(parse_rules(AFFINITY), parse_rules(fewer), source=fewer.split("\n"))
    own = [line for line in lines if line.startswith("-A KUBE-SVC-")]
    assert delta.text.splitlines() == [
        "*nat",
        ":KUBE-SVC-KBDEBIL6IU6WL7RF - [0:0]",
        ":KUBE-SEP-DOIEFYKPESCDTYCH - [0:0]",
        *(line.replace("0.3333333333", "0.5000000000") for line in own),
        "-X KUBE-SEP-DOIEFYKPESCDTYCH",
        "COMMIT",
    ]
    assert (delta.written, delta.removed, delta.rules, delta.kept) == (1, 1, len(own), ())


def test_like_kube_proxy() -> None:
    lines = [line for line in AFFINITY.splitlines() if "DOIEFYKPESCDTYCH" not in line]
    fewer = "\n".join(lines).replace("0.3333333333", "0.5000000000") + "\n"
    delta = delta_rules(
        parse_rules(AFFINITY), parse_rules(fewer), source=fewer.split("\n"), like_kube_proxy=True
    )
    # everything of the new text (its one service port changed), and the stale chain: emptied with
    # the chain lines, removed before the rule that must be the last
    told = delta.text.splitlines()
    assert told[-3].startswith("-X KUBE-SEP-DOIEFYKPESCDTYCH")
    assert "must be the last rule" in told[-2]
    stale = (":KUBE-SEP-DOIEFYKPESCDTYCH - [0:0]", "-X KUBE-SEP-DOIEFYKPESCDTYCH")
    assert [line for line in told if line not in stale] == fewer.splitlines()


def test_unchanged_service_ports_are_left_out_like_kube_proxy_does() -> None:
    case = next(case for case in ALL_CASES if case.name.startswith("upstream-016"))
    text = case.expected
    changed = text.replace("10.0.1.", "10.0.9.", 1)
    old, new = parse_rules(text), parse_rules(changed)
    small = delta_rules(old, new).text
    repeated = delta_rules(old, new, like_kube_proxy=True).text
    assert len(small) < len(repeated) < len(text) / 2
    assert ":KUBE-SERVICES" not in small
    assert repeated.count(":KUBE-SERVICES") == 2


def test_foreign_and_built_in_chains_are_left_alone() -> None:
    node = "*nat\n:PREROUTING ACCEPT [1:2]\n:DOCKER - [0:0]\n:KUBE-SERVICES - [0:0]\n"
    node += "-A PREROUTING -j KUBE-SERVICES\n-A DOCKER -j RETURN\nCOMMIT\n"
    delta = delta_rules(parse_rules(node), parse_rules(AFFINITY))
    assert "PREROUTING" not in delta.text
    assert "DOCKER" not in delta.text
    after = parse_rules(delta.text, onto=parse_rules(node))
    assert after.rules("nat", "PREROUTING")
    assert after.rules("nat", "DOCKER")


def test_a_chain_in_use_elsewhere_is_emptied_and_stays() -> None:
    node = "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n"
    node += "-A KUBE-FIREWALL -j DROP\nCOMMIT\n"
    delta = delta_rules(parse_rules(node), parse_rules("*nat\nCOMMIT\n"))
    assert delta.kept == ("KUBE-FIREWALL",)
    assert delta.text == "*filter\n:KUBE-FIREWALL - [0:0]\nCOMMIT\n"
