from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compiler.analysis.rule_diff import changed_fields, diff_chain, uncounted
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.rule import Rule


def rules(*texts: str) -> tuple[Rule, ...]:
    lines = "".join(f"-A X {text}\n" for text in texts)
    return parse_rules(f"*nat\n:X - [0:0]\n{lines}COMMIT\n").rules("nat", "X")


A, B, C, D = (
    "-s 10.0.0.1/32 -j A",
    "-s 10.0.0.2/32 -p tcp -m tcp --dport 80 -j B",
    "-p udp -j C",
    "-j D",
)


def told(expected: tuple[str, ...], found: tuple[str, ...]) -> dict[str, list[object]]:
    diff = diff_chain(rules(*expected), rules(*found))
    return {
        name: [
            rule.text if isinstance(rule, Rule) else (rule[0].text, rule[1].text) for rule in what
        ]
        for name in ("missing", "extra", "duplicate", "changed", "moved")
        if (what := getattr(diff, name))
    }


def test_diff_chain() -> None:
    assert told((A, B, C, D), (A, B, C, D)) == {}
    assert told((A, B, C), (A, C)) == {"missing": [B]}
    assert told((A, C), (A, B, C)) == {"extra": [B]}
    assert told((A, B), (A, B, A)) == {"duplicate": [A]}
    assert told((A, A, B), (A, B)) == {"missing": [A]}
    changed = B.replace("80", "81")
    assert told((A, B), (A, changed)) == {"changed": [(B, changed)]}
    assert told((A, B, C, D), (D, A, B, C)) == {"moved": [D]}
    assert told((A, B, C, D), (A, C, B, D))["moved"] in ([B], [C])


def test_another_comment_is_another_rule() -> None:
    one, other = (
        f'-m comment --comment "{name}" -s 10.0.0.{n}/32 -j A'
        for name, n in (("a b", 1), ("c d", 2))
    )
    assert set(told((one,), (other,))) == {"missing", "extra"}


def test_order_among_keys() -> None:
    def key(rule: Rule) -> str | None:
        return rule.text.split(" ")[1] if rule.text.startswith("-s") else None

    expected, found = rules(A, B, D), rules(B, A, D)
    assert diff_chain(expected, found, key).moved == ()
    assert [rule.text for rule in diff_chain(expected, rules(D, B, A), key).moved] == [D]


@given(st.lists(st.sampled_from([A, B, C, D]), max_size=8), st.randoms())
def test_moved_rules_are_enough_and_in_the_found_chain(texts: list[str], chooser) -> None:  # type: ignore[no-untyped-def]
    shuffled = texts[:]
    chooser.shuffle(shuffled)
    found = rules(*shuffled)
    diff = diff_chain(rules(*texts), found)
    assert not (diff.missing)
    assert not (diff.extra)
    assert not (diff.duplicate)
    assert not (diff.changed)
    assert bool(diff.moved) == (texts != shuffled)
    assert all(rule in found for rule in diff.moved)


def test_changed_fields() -> None:
    (one,) = rules('-m comment --comment "x y" -p tcp -m tcp --dport 80 -j A')
    (other,) = rules('-m comment --comment "x y" -p tcp -m tcp ! --dport 80 -s 10.0.0.1 -g A')
    assert changed_fields(one, other) == [
        ("--dport", "80", "! 80"),
        ("-j", "A", None),
        ("-s", None, "10.0.0.1/32"),
        ("-g", None, "A"),
    ]  # fmt: skip


def test_an_option_without_a_value_is_empty_and_not_missing() -> None:
    (one,) = rules("-j MASQUERADE --random-fully")
    (other,) = rules("-j MASQUERADE")
    assert changed_fields(one, other) == [("--random-fully", "", None)]
    assert changed_fields(other, one) == [("--random-fully", None, "")]


def test_uncounted() -> None:
    (rule,) = rules(r'-p tcp -m comment --comment "a \" b" -m nfacct --nfacct-name x -j A')
    assert uncounted(rule) == r'-p tcp -m comment --comment "a \" b" -j A'
    assert rule.effect == "-p tcp -j A"
