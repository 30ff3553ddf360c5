from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace

from compiler.family import IPV4, IPV6
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import BUILTIN_CHAINS

NODE = "192.168.0.2"
HOST = Host(
    addresses=frozenset((NODE, "192.168.0.6", "fd00:1::2")), routes=(("0.0.0.0/0", "eth0"),)
)
OUTSIDE = Packet(
    source="203.0.113.9", destination="198.51.100.1", destination_port=80, interface="eth0"
)
TO_NODE = replace(OUTSIDE, destination=NODE)
FROM_NODE = replace(OUTSIDE, source="192.168.0.6", local=True, interface=None)
ON_NODE = replace(FROM_NODE, destination=NODE)


def rules(*lines: str, policies: tuple[str, ...] = ()) -> str:
    """Write restore text from lines like `nat PREROUTING -j X`; chains are declared as needed."""
    tables: dict[str, list[str]] = {}
    for line in lines:
        table, _, rule = line.partition(" ")
        tables.setdefault(table, []).append(f"-A {rule}")
    text = ""
    for table, found in tables.items():
        named = dict.fromkeys(line.split(" ")[1] for line in found)
        chains = {name: "-" for name in named if name not in BUILTIN_CHAINS[table]}
        chains |= {
            name: "DROP" if f"{table} {name}" in policies else "ACCEPT"
            for name in BUILTIN_CHAINS[table]
        }
        heads = "".join(f":{name} {policy} [0:0]\n" for name, policy in chains.items())
        text += f"*{table}\n{heads}" + "\n".join(found) + "\nCOMMIT\n"
    return text


def outcomes(
    packet: Packet, *lines: str, policies: tuple[str, ...] = (), host: Host = HOST
) -> tuple[Outcome, ...]:
    family = IPV6 if ":" in packet.destination else IPV4
    found = evaluate(parse_rules(rules(*lines, policies=policies), family=family), packet, host)
    assert sum(outcome.share for outcome in found) == 1
    return found


def outcome(packet: Packet, *lines: str, **more: Any) -> Outcome:
    (found,) = outcomes(packet, *lines, **more)
    return found


# Every hook of every table, and a mark's bit at each shows the order in which they are passed.
EVERYWHERE = [
    f"{table} {chain} -m recent --set --name {table}-{chain}"
    for table, chains in BUILTIN_CHAINS.items()
    for chain in chains
]


@pytest.mark.parametrize(
    ("packet", "hooks"),
    [
        (
            OUTSIDE,
            (
                "raw-PREROUTING mangle-PREROUTING nat-PREROUTING mangle-FORWARD filter-FORWARD"
                " security-FORWARD mangle-POSTROUTING nat-POSTROUTING"
            ),
        ),
        (
            TO_NODE,
            (
                "raw-PREROUTING mangle-PREROUTING nat-PREROUTING mangle-INPUT filter-INPUT"
                " security-INPUT nat-INPUT"
            ),
        ),
        (
            FROM_NODE,
            (
                "raw-OUTPUT mangle-OUTPUT nat-OUTPUT filter-OUTPUT security-OUTPUT"
                " mangle-POSTROUTING nat-POSTROUTING"
            ),
        ),
        (
            ON_NODE,
            (
                "raw-OUTPUT mangle-OUTPUT nat-OUTPUT filter-OUTPUT security-OUTPUT"
                " mangle-POSTROUTING nat-POSTROUTING raw-PREROUTING mangle-PREROUTING"
                " mangle-INPUT filter-INPUT security-INPUT"
            ),
        ),
        # no rule of nat is asked for what belongs to a connection
        (
            replace(OUTSIDE, state="ESTABLISHED"),
            (
                "raw-PREROUTING mangle-PREROUTING mangle-FORWARD filter-FORWARD security-FORWARD"
                " mangle-POSTROUTING"
            ),
        ),
    ],
)
def test_hooks_in_the_kernels_order(packet: Packet, hooks: str) -> None:
    path = outcome(packet, *EVERYWHERE).path
    assert [f"{step.table}-{step.hook}" for step in path] == hooks.split()


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (["filter FORWARD -j A", "filter A -j RETURN", "filter FORWARD -j DROP"], "dropped"),
        (["filter FORWARD -j A", "filter A -j ACCEPT", "filter FORWARD -j DROP"], "accepted"),
        (["filter FORWARD -g A", "filter A -j RETURN", "filter FORWARD -j DROP"], "accepted"),
        (
            [
                "filter FORWARD -j A",
                "filter A -g B",
                "filter A -j DROP",
                "filter B -s 10.0.0.1 -j DROP",
                "filter FORWARD -j REJECT",
            ],
            "rejected",
        ),
        (["filter FORWARD -j RETURN", "filter FORWARD -j DROP"], "accepted"),
        # one table's ACCEPT is not another's
        (["mangle FORWARD -j ACCEPT", "filter FORWARD -j DROP"], "dropped"),
        (["filter FORWARD -j LOG", "filter FORWARD"], "accepted"),
        (["filter INPUT -j DROP", "filter OUTPUT -j DROP"], "accepted"),
    ],
)
def test_chains(lines: list[str], verdict: str) -> None:
    assert outcome(OUTSIDE, *lines).verdict == verdict


def test_policies() -> None:
    lines = ["filter FORWARD -j A", "filter A -s 10.0.0.1 -j ACCEPT"]
    assert outcome(OUTSIDE, *lines, policies=("filter FORWARD",)).verdict == "dropped"
    assert outcome(OUTSIDE, *lines, policies=("filter INPUT",)).verdict == "accepted"
    returning = [*lines, "filter FORWARD -j RETURN"]
    assert outcome(OUTSIDE, *returning, policies=("filter FORWARD",)).verdict == "dropped"


def test_reject_says_with_what() -> None:
    assert outcome(OUTSIDE, "filter FORWARD -j REJECT").answer == "icmp-port-unreachable"
    reset = outcome(TO_NODE, "filter INPUT -p tcp -j REJECT --reject-with tcp-reset")
    assert (reset.verdict, reset.answer) == ("rejected", "tcp-reset")


def test_shares_are_the_kernels() -> None:
    """A third is 0x2aaaaaab of 2**31, and the rest is shared out exactly."""
    found = outcomes(
        OUTSIDE,
        "nat PREROUTING -m statistic --mode random --probability 0.3333333333 -j A",
        "nat PREROUTING -m statistic --mode random --probability 0.5 -j B",
        "nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.3:1",
        "nat A -p tcp -j DNAT --to-destination 10.0.0.1:1",
        "nat B -p tcp -j DNAT --to-destination 10.0.0.2:1",
    )
    third = Fraction(0x2AAAAAAB, 1 << 31)
    assert {o.destination: o.share for o in found} == {
        "10.0.0.1:1": third,
        "10.0.0.2:1": (1 - third) / 2,
        "10.0.0.3:1": (1 - third) / 2,
    }


@pytest.mark.parametrize(("probability", "found"), [("0", "B"), ("1", "A")])
def test_what_is_certain_is_no_chance(probability: str, found: str) -> None:
    line = f"nat PREROUTING -m statistic --mode random --probability {probability} -j "
    made = outcome(
        OUTSIDE,
        line + "DNAT --to-destination 10.0.0.1",
        "nat PREROUTING -j DNAT --to-destination 10.0.0.2",
    )
    assert made.destination == {"A": "10.0.0.1:80", "B": "10.0.0.2:80"}[found]


def test_destination_decides_after_translation() -> None:
    """DNAT in PREROUTING comes before routing: INPUT or FORWARD is the new destination's."""
    drops = ["filter INPUT -j DROP"]
    there = outcome(OUTSIDE, f"nat PREROUTING -p tcp -j DNAT --to-destination {NODE}:81", *drops)
    assert (there.verdict, there.delivery) == ("dropped", "input")
    away = outcome(TO_NODE, "nat PREROUTING -j DNAT --to-destination 10.0.0.1", *drops)
    assert (away.verdict, away.delivery, away.destination) == ("accepted", "forward", "10.0.0.1:80")
    matched = outcome(
        TO_NODE,
        "nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:81",
        "filter FORWARD -d 10.0.0.1 -p tcp --dport 81 -m conntrack --ctstate DNAT -j REJECT",
    )
    assert matched.verdict == "rejected"


def test_what_the_node_sends_itself_comes_in_by_loopback() -> None:
    lines = ["nat PREROUTING -j DNAT --to-destination 10.0.0.1", "filter INPUT -i lo -j DROP"]
    found = outcome(ON_NODE, *lines)
    assert (found.verdict, found.destination) == ("dropped", "")
    # `-i` and `-o` say nothing where there is no such interface
    assert outcome(ON_NODE, "filter OUTPUT -o lo -j DROP").verdict == "dropped"
    assert outcome(ON_NODE, "filter A -o lo -j DROP", "filter INPUT -j A").verdict == "accepted"
    assert outcome(ON_NODE, "filter A -i lo -j DROP", "filter OUTPUT -j A").verdict == "accepted"


def test_output_sees_the_first_route() -> None:
    """All hooks of OUTPUT have one `nf_hook_state`, whatever nat does to the destination."""
    host = Host(HOST.addresses, (("0.0.0.0/0", "eth0"), ("10.0.0.0/8", "cni0")))
    translated = "nat OUTPUT -j DNAT --to-destination 10.0.0.1"
    for there, verdict in (("cni0", "accepted"), ("eth0", "dropped")):
        found = outcome(FROM_NODE, translated, f"filter OUTPUT -o {there} -j DROP", host=host)
        assert found.verdict == verdict
    for there, source in (("cni0", "masquerade"), ("eth0", "")):
        found = outcome(
            FROM_NODE, translated, f"nat POSTROUTING -o {there} -j MASQUERADE", host=host
        )
        assert found.source == source


def test_masqueraded_on_the_way_to_the_node_itself() -> None:
    """127.0.0.1 becomes another address of the node, and fails where only loopback may pass."""
    loopback = replace(ON_NODE, source="127.0.0.1", destination="127.0.0.1")
    guard = "filter INPUT -d 127.0.0.0/8 ! -s 127.0.0.0/8 -j DROP"
    assert outcome(loopback, guard).verdict == "accepted"
    masquerade = "nat POSTROUTING -j MASQUERADE"
    assert outcome(loopback, masquerade, guard).verdict == "dropped"
    assert outcome(loopback, masquerade, guard, host=Host()).verdict == "dropped"
    one_of_two = outcome(loopback, masquerade, f"filter INPUT -s {NODE} -j DROP")
    assert one_of_two.undecided_by == f"-s {NODE}/32"
    port = outcome(loopback, masquerade, "filter INPUT -p tcp --sport 40000 -j DROP")
    assert port.undecided_by == "--sport 40000:40000"
    local = outcome(loopback, masquerade, "filter INPUT -m addrtype --src-type LOCAL -j DROP")
    assert local.verdict == "dropped"
    to = "nat POSTROUTING -j SNAT --to-source 10.0.0.1"
    assert outcome(loopback, to, "filter INPUT -s 10.0.0.1 -j DROP").verdict == "dropped"
    away = outcome(loopback, to, "filter INPUT -m addrtype --src-type LOCAL -j DROP")
    assert away.verdict == "accepted"
    listed = outcome(loopback, masquerade, "filter INPUT -m recent --rcheck --name L -j DROP")
    assert listed.undecided_by == "-m recent --name L of the translated source"


def test_masqueraded_on_the_way_to_the_node_itself_with_ipv6() -> None:
    loopback = replace(ON_NODE, source="::1", destination="::1")
    lines = ["nat POSTROUTING -j MASQUERADE", "filter INPUT ! -s ::1 -j DROP"]
    assert outcome(loopback, *lines).verdict == "accepted"


def test_translation_is_shown() -> None:
    found = outcome(OUTSIDE, "nat POSTROUTING -j MASQUERADE --random-fully")
    assert (found.source, found.options) == ("masquerade", "--random-fully")
    assert outcome(OUTSIDE, "nat POSTROUTING -j SNAT --to-source 10.0.0.1").source == "10.0.0.1"
    packet = replace(OUTSIDE, source="fd00::9", destination="fd00::8")
    found = outcome(packet, "nat PREROUTING -p tcp -j DNAT --to-destination [fd00::7]:81")
    assert found.destination == "[fd00::7]:81"


def test_marks() -> None:
    lines = [
        "mangle PREROUTING -j MARK --set-mark 0x4001",
        "mangle PREROUTING -m mark --mark 0x4000/0x4000 -j MARK --xor-mark 0x4000",
        "filter FORWARD -m mark ! --mark 0x1 -j DROP",
        "filter FORWARD -j MARK --or-mark 0x10",
        "filter FORWARD -m mark --mark 0x11 -j REJECT",
    ]
    found = outcome(OUTSIDE, *lines)
    # routing has seen it before FORWARD
    assert (found.verdict, found.mark) == ("rejected", 1)
    assert outcome(replace(FROM_NODE, mark=8), "mangle OUTPUT -j MARK --or-mark 1").mark == 9


@pytest.mark.parametrize(
    ("ages", "question", "found"),
    [
        ((), "--rcheck", False),
        ((5.0,), "--rcheck", True),
        ((5.0,), "--rcheck --seconds 5", True),
        ((5.1,), "--rcheck --seconds 5 --reap", False),
        ((5.1,), "! --rcheck --seconds 5", True),
        ((1.0, 2.0, 9.0), "--rcheck --seconds 5 --hitcount 2", True),
        ((1.0, 6.0, 9.0), "--rcheck --seconds 5 --hitcount 2", False),
        ((1.0,), "--update --seconds 5", True),
        ((9.0,), "--update --seconds 5", False),
        ((), "--set", True),
        ((), "! --set", False),
        ((9.0,), "--remove", True),
        ((), "--remove", False),
    ],
)
def test_recent(ages: tuple[float, ...], question: str, found: bool) -> None:
    packet = replace(OUTSIDE, lists={"L": ages} if ages else {})
    line = f"filter FORWARD -m recent {question} --name L -j DROP"
    assert outcome(packet, line).verdict == ("dropped" if found else "accepted")


@pytest.mark.parametrize(
    ("ages", "first", "listed"),
    [
        ((), "--set", True),
        ((), "! --set", True),
        ((9.0,), "--update --seconds 5", False),
        ((3.0,), "--update --seconds 5", True),
        # a negated --update lists what was listed and is too old, and nothing new
        ((9.0,), "! --update --seconds 5", True),
        ((), "! --update --seconds 5", False),
        ((1.0,), "--remove", False),
    ],
)
def test_what_recent_remembers(ages: tuple[float, ...], first: str, listed: bool) -> None:
    packet = replace(OUTSIDE, lists={"L": ages} if ages else {})
    found = outcome(
        packet,
        f"mangle PREROUTING -m recent {first} --name L",
        "filter FORWARD -m recent --rcheck --seconds 2 --name L -j DROP",
    )
    assert found.verdict == ("dropped" if listed else "accepted")


@pytest.mark.parametrize("side", ["--rdest", "--mask 255.255.255.0"])
def test_lists_of_other_addresses_are_not_known(side: str) -> None:
    line = f"filter FORWARD -m recent --rcheck --name L {side} -j DROP"
    assert outcome(replace(OUTSIDE, lists={"L": (1.0,)}), line).verdict == "undecided"


def test_an_unknown_match_that_decides() -> None:
    found = outcome(OUTSIDE, "filter FORWARD -m u32 --u32 0x1=1 -j DROP")
    assert (found.verdict, found.undecided_by) == ("undecided", "-m u32 --u32 0x1=1")
    limit = outcome(OUTSIDE, "filter FORWARD -m limit --limit 5/sec -j DROP")
    assert limit.undecided_by == "-m limit --limit 5/sec"
    target = outcome(OUTSIDE, "nat PREROUTING -j NETMAP --to 10.0.0.0/8")
    assert target.undecided_by == "-j NETMAP --to 10.0.0.0/8"


def test_an_unknown_match_that_does_not_decide() -> None:
    for lines in (
        ["filter FORWARD -m u32 --u32 0x1=1 -j LOG"],
        ["filter FORWARD -m u32 --u32 0x1=1 -s 10.0.0.1 -j DROP"],
        ["filter FORWARD -p udp -m u32 --u32 0x1=1 -j DROP"],
        ["filter FORWARD -j ACCEPT", "filter FORWARD -m u32 --u32 0x1=1 -j DROP"],
        ["filter INPUT -m u32 --u32 0x1=1 -j DROP"],
    ):
        assert outcome(OUTSIDE, *lines).verdict == "accepted"


def test_only_the_branch_that_asks_is_undecided() -> None:
    found = outcomes(
        OUTSIDE,
        "filter FORWARD -m statistic --mode random --probability 0.25 -j ACCEPT",
        "filter FORWARD -m u32 --u32 0x1=1 -j DROP",
    )
    assert {o.verdict: o.share for o in found} == {
        "accepted": Fraction(1, 4),
        "undecided": Fraction(3, 4),
    }


def test_a_chain_that_is_missing() -> None:
    text = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j GONE\nCOMMIT\n"
    (found,) = evaluate(parse_rules(text), OUTSIDE, HOST)
    assert found.undecided_by == "the chain GONE, which is missing"


def test_address_types() -> None:
    local = "filter INPUT -m addrtype --dst-type LOCAL -j DROP"
    assert outcome(TO_NODE, local).verdict == "dropped"
    away = "filter FORWARD -m addrtype ! --dst-type LOCAL -j DROP"
    assert outcome(OUTSIDE, away).verdict == "dropped"
    own = "filter OUTPUT -m addrtype --src-type LOCAL -j DROP"
    assert outcome(FROM_NODE, own).verdict == "dropped"
    kind = outcome(OUTSIDE, "filter FORWARD -m addrtype --dst-type BLACKHOLE -j DROP")
    assert kind.undecided_by == "-m addrtype --dst-type BLACKHOLE"
    unknown = outcome(OUTSIDE, local, host=Host())
    assert unknown.undecided_by == "whether 198.51.100.1 is an address of the node"


def test_what_is_not_tracked_is_not_translated() -> None:
    lines = [
        "raw PREROUTING -j CT --notrack",
        "nat PREROUTING -j DNAT --to-destination 10.0.0.1",
        "filter FORWARD -m conntrack --ctstate UNTRACKED -j REJECT",
    ]
    found = outcome(OUTSIDE, *lines)
    assert (found.verdict, found.destination) == ("rejected", "")
    assert outcome(OUTSIDE, lines[0].replace("CT --notrack", "NOTRACK"), lines[2]).verdict == (
        "rejected"
    )
    helper = outcome(OUTSIDE, "raw PREROUTING -p tcp -j CT --helper ftp")
    assert helper.undecided_by == "-j CT --helper ftp"
