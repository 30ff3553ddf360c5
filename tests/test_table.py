"""Tables that are made of text as it is asked for, held against every line read by itself."""

from __future__ import annotations

import random
from functools import cache

import pytest

from compiler.api import compile_rules
from compiler.family import IPV4, Family
from compiler.manifests.source import Source
from compiler.netfilter.index import IndexedTable, index_rules, sizes
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.printing import print_rules
from compiler.netfilter.rule_reader import RuleReader
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import differing, mentioning, replacing
from compiler.netfilter.words import BadWord, split_line
from tests.benchmarks.clusters import manifests
from tests.cases import ALL_CASES, node_text
from tests.mutations import faults

Read = dict[tuple[str, str], list[str]]
FACES = "0123456789abcxyzKQ-./:, "


@cache
def cluster() -> str:
    """Return restore text with chains of a few shapes, each of which comes often."""
    source = Source("cluster.json", manifests(60, 6).encode())
    return compile_rules([source], flags={"cluster_cidr": "10.128.0.0/9"}).text


@cache
def saved() -> str:
    return print_rules(parse_rules(node_text(cluster())))


def read(text: str, family: Family = IPV4) -> Read:
    """Read restore text line by line, with neither shapes nor another ruleset."""
    found: Read = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            found.setdefault((table, line[1:].split()[0]), [])
        elif line.startswith("-A "):
            _, chain, rest = f"{line} ".split(" ", 2)
            rules = found.setdefault((table, chain), [])
            rules += RuleReader(*split_line(rest), family).reading().texts
    return found


def held(ruleset: Ruleset) -> Read:
    return {
        (table, name): list(chain.texts())
        for table, chains in ruleset.tables.items()
        for name, chain in chains.items()
    }


def unlike(old: Ruleset, new: Ruleset) -> set[tuple[str, str]]:
    return {
        (table, name)
        for table in old.tables
        for name, was, now in differing(old.table(table), new.table(table))
        if was is None or now is None or not was.same_rules(now)
    }


def changed(text: str, chance: random.Random) -> str:
    """Change one line of a text: a character, its place, or whether it is there."""
    lines = text.splitlines(keepends=True)
    place = chance.choice([place for place, line in enumerate(lines) if line.startswith("-A ")])
    line = lines[place]
    kind = chance.choice(("character", "character", "character", "gone", "twice", "down"))
    if kind == "character":
        at = chance.randrange(3, len(line) - 1)
        lines[place] = line[:at] + chance.choice(FACES) + line[at + 1 :]
    elif kind == "down" and lines[place + 1].startswith("-A "):
        lines[place : place + 2] = reversed(lines[place : place + 2])
    else:
        lines[place : place + 1] = [] if kind == "gone" else [line, line]
    return "".join(lines)


@pytest.mark.parametrize("case", ALL_CASES[::7], ids=lambda case: case.name)
def test_sorted_text_is_as_read(case: object) -> None:
    text, family = case.expected, case.family  # type: ignore[attr-defined]
    ruleset = index_rules([text], family)
    wanted = read(text, family)
    assert held(ruleset) == wanted
    for table, chains in ruleset.tables.items():
        counts = [len(rules) for (of, _), rules in wanted.items() if of == table]
        assert sizes(chains, lambda _: True) == (sum(counts), len(counts))
    lines = text.splitlines()
    for _, rule in ruleset.all_rules():
        assert lines[rule.line - 1].startswith(f"-A {rule.chain} ")


@pytest.mark.parametrize("form", ["restore", "saved"])
@pytest.mark.parametrize("seed", range(60))
def test_what_differs_from_sorted_text(form: str, seed: int) -> None:
    """A change of any character is seen, wherever in lines of a known shape it is."""
    old = index_rules([cluster()], IPV4)
    text = changed(cluster() if form == "restore" else saved(), random.Random(seed))
    try:
        wanted = read(text)
    except BadWord:
        return
    new = parse_rules(text, like=old)
    alone = parse_rules(text)
    before = held(old)
    own = {place: rules for place, rules in wanted.items() if place[1].startswith("KUBE-")}
    assert unlike(old, new) == {
        place for place in {**before, **wanted} if before.get(place) != wanted.get(place)
    }
    assert {place: held(new)[place] for place in own} == own
    assert held(alone) == held(new)
    assert [rule.line for _, rule in new.all_rules()] == [r.line for _, r in alone.all_rules()]


def test_faults_are_read_alike_with_and_without_another_ruleset() -> None:
    for fault in faults(seed=77, count=150):
        like = index_rules([fault.old], fault.family)
        new = parse_rules(fault.new, family=fault.family, like=like)
        assert held(new) == read(fault.new, fault.family), fault.kind


def test_a_replaced_chain_is_not_known_to_be_equal() -> None:
    old = index_rules([cluster()], IPV4)
    new = parse_rules(cluster(), like=old)
    assert not unlike(old, new)
    name, other = "KUBE-MARK-MASQ", old.table("nat")["KUBE-POSTROUTING"]
    for sides in (
        (old.table("nat"), replacing(new.table("nat"), {name: other})),
        (replacing(old.table("nat"), {name: other}), new.table("nat")),
    ):
        found = {name: was.same_rules(now) for name, was, now in differing(*sides) if was and now}
        assert [one for one, same in found.items() if not same] == [name]
        assert len(found) < 5


def test_mentioning_finds_rules_in_all_forms() -> None:
    table = index_rules([cluster()], IPV4).table("nat")
    assert isinstance(table, IndexedTable)
    target = next(name for name in table if name.startswith("KUBE-SEP-"))
    users = {chain.name for chain in table.values() if target in " ".join(chain.texts())}
    for one in (table, parse_rules(saved()).table("nat"), replacing(table, {})):
        found = {chain.name for chain in mentioning(one, target)}
        assert users <= found
        assert len(found) < 10


@pytest.mark.parametrize(
    "line",
    [
        "-A A -j TARGET",
        '-A A -j "TARGET"',
        '-A A -j "TAR\\GET"',
        " \t-A A --jump TARGET",
        "[5:300] -A A -j TARGET",
        "-I A 1 -g TARGET",
        "-A\tA -j TARGET",
    ],
)
def test_mentioning_sees_every_way_to_write_a_rule(line: str) -> None:
    text = f"*nat\n:TARGET - [0:0]\n:A - [0:0]\n:B - [0:0]\n-A B -j ACCEPT\n{line}\nCOMMIT\n"
    table = parse_rules(text).table("nat")
    assert table["A"].targets() == ["TARGET"]
    assert "A" in {chain.name for chain in mentioning(table, "TARGET")}
