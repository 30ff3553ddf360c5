"""Whether a lab's answers are as the rules give them: which are compared, and the words for it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from compiler.cli.lab.request_words import runs_in_words, verdict
from compiler.family import IPV4
from compiler.lab.affinity import Pin
from compiler.lab.expected import Expected, NodeView, expectations, view_of
from compiler.lab.layout import Layout, Listener, Member, Role, Target
from compiler.lab.request import Call
from tests.lab_experiments import answers, experiment


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            (42, 31, 27),
            (
                "as expected: chance alone differs this much in 16 of 100 runs "
                "(chi-squared, 2 degrees of freedom)"
            ),
        ),
        (
            (50, 23, 27),
            (
                "unusual, and more requests would tell: chance alone differs this much in "
                "2 of 1,000 runs (chi-squared, 2 degrees of freedom)"
            ),
        ),
        (
            (54, 24, 22),
            (
                "not chance: chance alone differs this much in 7 of 100,000 runs "
                "(chi-squared, 2 degrees of freedom)"
            ),
        ),
        (
            (300, 0, 0),
            (
                "not chance: chance alone differs this much in fewer than 1 of 1,000,000 runs "
                "(chi-squared, 2 degrees of freedom)"
            ),
        ),
        ((2, 2, 1), "too few to judge: 5 requests; at least 8 are needed"),
        ((0, 1, 0), "too few to judge: 1 request; at least 8 are needed"),
    ],
)
def test_verdict(counts: tuple[int, ...], words: str) -> None:
    assert verdict(experiment(answers(*counts))) == words


def test_few_requests_are_compared_by_simulation() -> None:
    found = verdict(experiment(answers(5, 4, 3)))
    assert found.startswith("as expected: chance alone differs this much in ")
    assert found.endswith(" simulated runs)")


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (1.0, "100 of 100 runs"),
        (0.43, "43 of 100 runs"),
        (0.0100, "1 of 100 runs"),
        (0.0042, "4 of 1,000 runs"),
        (0.000021, "2 of 100,000 runs"),
        (1e-9, "fewer than 1 of 1,000,000 runs"),
        (0.0, "fewer than 1 of 1,000,000 runs"),
    ],
)
def test_how_often_in_words(probability: float, words: str) -> None:
    assert runs_in_words(probability) == words


def test_shares_are_those_of_the_rules() -> None:
    """Three Pods of which one gets four of five: even answers are then no chance."""
    shares = {"web-1": Fraction(4, 5), "web-2": Fraction(1, 10), "web-3": Fraction(1, 10)}
    assert verdict(experiment(answers(34, 33, 33), shares=shares)).startswith("not chance: chance")
    assert verdict(experiment(answers(82, 11, 7), shares=shares)).startswith("as expected: ")


def test_what_no_rule_leads_to_is_no_chance() -> None:
    failed = experiment([*answers(30, 30, 30), "timed out", "refused", "refused", "web-9"])
    assert verdict(failed) == (
        "not chance: 1 of 94 requests timed out, 2 of 94 requests were refused, "
        "1 of 94 requests was answered by web-9, and the rules don't account for that"
    )
    refusing = experiment(["refused"] * 9, shares={"refused": Fraction(1)})
    assert verdict(refusing) == "as expected: the rules leave nothing to chance"


def test_affinity_is_not_tested_with_one_client() -> None:
    assert verdict(experiment(["web-2"] * 100, affinity=10800)) == (
        "not tested: ClientIP affinity (10800 s) sends a client's requests to the endpoint of its "
        "first one, so they are not independent"
    )
    # What can't come is reported all the same.
    stopped = experiment(["refused"] * 100, affinity=10800)
    assert verdict(stopped).startswith("not chance: 100 of 100 requests were refused")


def test_first_answers_of_clients_are_tested() -> None:
    """Two rounds of 60 clients, of which six had an endpoint before."""
    names = answers(20, 20, 20)
    both = experiment([*names, *names], clients=60, affinity=30, pinned=range(6))
    assert len(both.independent) == 54
    assert verdict(both).startswith(
        "as expected: of the 54 answers that affinity did not decide, chance alone differs"
    )
    assert not both.comparable
    assert experiment(names, clients=60, affinity=30).comparable


def test_answers_after_affinity_expired_are_tested() -> None:
    late = experiment(answers(4, 4, 4), every=31, affinity=30)
    assert list(late.expired()) == [False] + [True] * 11
    assert late.independent == late.replies
    soon = experiment(answers(4, 4, 4), every=29, affinity=30)
    assert not any(soon.expired())
    assert len(soon.independent) == 1
    held = experiment(answers(4, 4, 4), every=31, affinity=30, pinned=[0])
    assert held.independent == held.replies[1:]


def test_without_known_rules_nothing_is_tested() -> None:
    changed = experiment(answers(100, 0, 0), changed=True)
    assert verdict(changed) == "not tested: the rules changed while requests were made"
    unknown = experiment(answers(100, 0, 0), unknown="what the rules do depends on -i eth0")
    assert verdict(unknown) == "not tested: what the rules do depends on -i eth0"
    assert not changed.comparable
    assert not unknown.comparable


# What iptables-save prints of a node, shortened: one Service, whose second endpoint gets less than
# kube-proxy would give it, and a rule that stops one client.
RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -s 10.10.0.9/32 -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -s 10.10.0.8/32 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SEP-BBBBBBBBBBBBBBBB - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.200.1.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA
AFFINITY-A KUBE-SVC-AAAAAAAAAAAAAAAA -m statistic --mode random --probability 0.75000000000 -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-BBBBBBBBBBBBBBBB
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT --to-destination 10.10.1.1:8080
-A KUBE-SEP-BBBBBBBBBBBBBBBB -p tcp -m tcp -j DNAT --to-destination 10.10.1.2:8080
COMMIT
"""  # noqa: E501
RCHECK = (
    "-A KUBE-SVC-AAAAAAAAAAAAAAAA -m recent --rcheck --seconds 30 --reap "
    "--name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource "
    "-j KUBE-SEP-AAAAAAAAAAAAAAAA\n"
)
CALL = Call("10.200.1.10", 80)


def pod(name: str, address: str) -> Member:
    return Member(name=name, role=Role.LOCAL_POD, addresses=(address,))


NODE = Member(name="node", role=Role.NODE, addresses=("172.18.0.2",))
LAYOUT = Layout(
    members=(NODE, pod("web-1", "10.10.1.1"), pod("web-2", "10.10.1.2"), pod("a", "10.10.0.6")),
    listeners=(
        Listener(member="web-1", address="10.10.1.1", port=8080),
        Listener(member="web-2", address="10.10.1.2", port=8080),
    ),
    targets=(
        Target(name="default/web", protocol="TCP", family=IPV4, port=80, cluster_ip="10.200.1.10"),
    ),
    families=(IPV4,),
)


def node(affinity: str = "", pins: tuple[Pin, ...] = ()) -> NodeView:
    return view_of(RULES.replace("AFFINITY", affinity), LAYOUT, {"a": "pod1"}, pins)


def test_the_evaluator_gives_the_shares() -> None:
    shares = {"web-1": Fraction(3, 4), "web-2": Fraction(1, 4)}
    clients = (pod("a", "10.10.0.6"), NODE)
    assert expectations(node(), CALL, clients) == (Expected(shares), Expected(shares))


@pytest.mark.parametrize(("last", "answer"), [(9, "refused"), (8, "timed out")])
def test_what_rules_stop_is_expected_to_fail(last: int, answer: str) -> None:
    (found,) = expectations(node(), CALL, [pod("b", f"10.10.0.{last}")])
    assert found == Expected({answer: Fraction(1)})


def test_affinity_is_seen_in_the_rules_and_pins_in_the_lists() -> None:
    def pin(client: str, remaining: float) -> Pin:
        return Pin(client, "10.10.1.1:8080", "KUBE-SEP-AAAAAAAAAAAAAAAA", remaining)

    pins = (pin("10.10.0.6", 12), pin("10.10.0.7", -1))
    clients = [pod(name, f"10.10.0.{last}") for name, last in (("a", 6), ("b", 7), ("c", 5))]
    found = expectations(node(RCHECK, pins), CALL, clients)
    assert [one.affinity for one in found] == [30, 30, 30]
    assert [one.pinned for one in found] == [True, False, False]
    assert found[0].shares == {"web-1": Fraction(3, 4), "web-2": Fraction(1, 4)}


def test_what_the_rules_do_not_settle_is_unknown() -> None:
    (found,) = expectations(node(), Call("192.0.2.1", 80), [NODE])
    assert found.unknown == (
        "what the rules do is not known: nothing in the lab answers at 192.0.2.1"
    )
    match = "-A KUBE-SVC-AAAAAAAAAAAAAAAA -m owner --uid-owner 7 -j KUBE-SEP-AAAAAAAAAAAAAAAA\n"
    (asking,) = expectations(node(match), CALL, [NODE])
    assert asking.unknown.startswith("what the rules do ")
    assert asking.shares == {}
