from __future__ import annotations

from compiler.family import IPV4, IPV6
from compiler.netfilter.rule import Chain, Rule, Ruleset


def test_equality_is_about_rules_and_not_about_lines() -> None:
    one, other = Rule("X", "-j Y", "Y", 1), Rule("X", "-j Y", "Y", 2)
    assert one == other
    assert not one != other  # noqa: SIM202 - != is a method of its own
    assert hash(one) == hash(other)
    assert one != Rule("X", "-j Y", "Y", 1, (1, 2))
    assert one != "-j Y"
    chains = [Chain("X", (rule,), line=rule.line) for rule in (one, other)]
    assert chains[0] == chains[1]
    assert not chains[0] != chains[1]  # noqa: SIM202
    assert chains[0] == Chain("X", (one,), counters=(0, 0))
    assert chains[0] != Chain("X", (one,), "ACCEPT")
    sets = [Ruleset(IPV4, {"nat": {"X": chain}}) for chain in chains]
    assert sets[0] == sets[1]
    assert not sets[0] != sets[1]  # noqa: SIM202
    assert sets[0] != Ruleset(IPV6, {"nat": {"X": chains[0]}})
    assert len({*sets}) == 1


def test_rule_as_iptables_prints_it() -> None:
    assert str(Rule("X", "-j Y", "Y", 1)) == "-A X -j Y"
    assert str(Rule("X", "", "", 1)) == "-A X"


def test_looking_things_up() -> None:
    rules = Ruleset(IPV4, {"nat": {"X": Chain("X", (Rule("X", "-j Y", "Y", 1),))}})
    assert rules.rules("nat", "X")[0].target == "Y"
    assert rules.rules("nat", "Z") == rules.rules("raw", "X") == ()
    assert rules.chain("raw", "X") is None
    assert [(table, rule.text) for table, rule in rules.all_rules()] == [("nat", "-j Y")]
