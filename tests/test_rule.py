from __future__ import annotations

from compiler.family import IPV4, IPV6
from compiler.netfilter.chain import Chain
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset


def chain(text: str, line: int = 0) -> Chain:
    return parse_rules("\n" * line + f"*nat\n:X - [0:0]\n{text}\nCOMMIT\n").table("nat")["X"]


def test_equality_is_about_rules_and_not_about_lines() -> None:
    one, other = Rule("X", "-j Y", IPV4, 1), Rule("X", "-j Y", IPV4, 2)
    assert one == other
    assert not one != other  # noqa: SIM202 - != is a method of its own
    assert hash(one) == hash(other)
    assert one != Rule("X", "-j Y", IPV4, 1, (1, 2))
    assert one != "-j Y"
    chains = [chain("-A X -j Y"), chain("-A X -j Y", line=3)]
    assert chains[0].line != chains[1].line
    assert chains[0] == chains[1]
    assert not chains[0] != chains[1]  # noqa: SIM202
    assert chains[0] != chain("[1:2] -A X -j Y")
    assert chains[0] != chain("-A X -j Z")
    sets = [Ruleset(IPV4, {"nat": {"X": chain}}) for chain in chains]
    assert sets[0] == sets[1]
    assert not sets[0] != sets[1]  # noqa: SIM202
    assert sets[0] != Ruleset(IPV6, {"nat": {"X": chains[0]}})
    assert len({*sets}) == 1


def test_rule_as_iptables_prints_it() -> None:
    assert str(Rule("X", "-j Y", IPV4, 1)) == "-A X -j Y"
    assert str(Rule("X", "", IPV4, 1)) == "-A X"


def test_looking_things_up() -> None:
    rules = Ruleset(IPV4, {"nat": {"X": chain("-A X -j Y")}})
    assert rules.rules("nat", "X")[0].jumps_to == "Y"
    assert rules.rules("nat", "Z") == rules.rules("raw", "X") == ()
    assert rules.chain("raw", "X") is None
    assert [(table, rule.text) for table, rule in rules.all_rules()] == [("nat", "-j Y")]


def test_targets_without_reading() -> None:
    texts = [
        "-A X -j Y", "-A X -p tcp -g Y", "-A X -j DNAT --to-destination 1.2.3.4", "-A X",
        '-A X -m comment --comment "-j Z"', "-A X -m comment --comment -j -j Y", "-A X -p tcp",
    ]  # fmt: skip
    found = chain("\n".join(texts))
    assert found.targets() == ["Y", "Y", "", "", "", "Y", ""]
    assert found.targets() == [rule.jumps_to for rule in found.rules]
