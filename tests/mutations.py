"""Faults put into rules: every kind of change to every kind of value, at random, with a seed.

`faults` gives pairs of restore texts, the second of which differs from the first by one fault. Both
hold the built-in chains with kube-proxy's jumps, as a node's kernel does, and both load into a
kernel: no loop of jumps, no target where its hook forbids it. A fault may change no packet at all;
`HARMLESS` are the kinds that never do.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from compiler.family import IPV4, IPV6, Family
from compiler.netfilter.ruleset import BUILTIN_CHAINS
from tests.cases import ALL_CASES, Case, node_text
from tests.mutation_edits import EDITS, TARGET, Position

HARMLESS = frozenset(("comment", "accounting"))


class Fault(NamedTuple):
    """One fault: `before` and `after` are the lines that differ, in the order of the text."""

    case: str
    family: Family
    kind: str
    table: str
    old: str
    new: str
    before: tuple[str, ...]
    after: tuple[str, ...]


KINDS = ("delete", "duplicate", "swap", *EDITS)


# Where the kernel lets a target be called from; MASQUERADE and DNAT are nat's alone.
_HOOKS = {
    "DNAT": {"PREROUTING", "OUTPUT"},
    "MASQUERADE": {"POSTROUTING"},
    "REJECT": {"INPUT", "FORWARD", "OUTPUT"},
}


def loads(lines: Sequence[str], table: str) -> bool:
    """Say whether a kernel takes a table: its jumps have no loop, its targets suit their hooks."""
    calls = _calls(lines, table)
    starts = [(hook, hook) for hook in BUILTIN_CHAINS[table]] + [(chain, "") for chain in calls]
    return all(_sound(calls, chain, hook, frozenset(), set()) for chain, hook in starts)


def _calls(lines: Sequence[str], table: str) -> dict[str, list[str]]:
    """Return the targets of each chain's rules."""
    calls: dict[str, list[str]] = {}
    inside = ""
    for line in lines:
        if line.startswith("*"):
            inside = line[1:]
        elif inside == table and line.startswith("-A ") and (found := TARGET.search(line)):
            calls.setdefault(line.split(" ")[1], []).append(found[1])
    return calls


def _sound(
    calls: dict[str, list[str]], chain: str, hook: str, above: frozenset[str], done: set[str]
) -> bool:
    """Walk from a chain, called from a hook by way of the chains above."""
    if chain in above:
        return False
    if chain in done:
        return True
    for target in dict.fromkeys(calls.get(chain, ())):
        if hook and hook not in _HOOKS.get(target, {hook}):
            return False
        if not _sound(calls, target, hook, above | {chain}, done):
            return False
    done.add(chain)
    return True


@lru_cache(maxsize=8)
def _read(case: Case) -> tuple[str, list[str], list[list[Position]]]:
    """Return a case's text as a node has it, its lines, and these by table and kind of chain."""
    text = node_text(case.expected)
    lines = text.splitlines()
    groups: dict[tuple[str, str], list[Position]] = {}
    table = ""
    family: Family = IPV6 if case.family == "ipv6" else IPV4
    for index, line in enumerate(lines):
        table = line[1:] if line.startswith("*") else table
        if line.startswith((":", "-A ")):
            # kube-proxy's chains of one kind are one, however many a case has
            name = re.sub(r"-\w{16}$", "", line.split(" ")[1]) if line[0] == "-" else line
            groups.setdefault((table, name), []).append(Position(lines, index, table, family))
    return text, lines, list(groups.values())


def _places(rng: random.Random, case: Case, kind: str) -> Iterator[Position]:
    """Give lines that a kind of fault may be put in, in random order, some of each kind of chain.

    So what a case has only one of comes as often as what it has a thousand of.
    """
    groups = _read(case)[2]
    for group in rng.sample(groups, len(groups)):
        if group[0].line.startswith(":") is (kind == "policy"):
            yield from rng.sample(group, min(4, len(group)))


def _changed(rng: random.Random, kind: str, at: Position) -> tuple[int, list[str]] | None:
    """Return how many lines are replaced by which, from the position on."""
    line = at.line
    if kind == "delete":
        return 1, []
    if kind == "duplicate":
        end = at.place
        while end < len(at.lines) and at.lines[end].startswith(f"-A {at.chain} "):
            end += 1
        count = rng.choice((1, end - at.place))
        return count, [*at.lines[at.place : at.place + count], line]
    if kind == "swap":
        others = []
        for index in range(at.place + 1, min(at.place + 40, len(at.lines))):
            if at.lines[index] == "COMMIT":
                break
            if at.lines[index].startswith(f"-A {at.chain} ") and at.lines[index] != line:
                others.append(index)
        if not others:
            return None
        other = rng.choice(others)
        between = at.lines[at.place + 1 : other]
        return other + 1 - at.place, [at.lines[other], *between, line]
    changed = EDITS[kind](rng, at)
    return None if changed is None or changed == line else (1, [changed])


def fault(rng: random.Random, case: Case, kind: str) -> Fault | None:
    """Put one fault of a kind into a case; None where the case has nothing to change."""
    text, lines, _ = _read(case)
    for at in _places(rng, case, kind):
        change = _changed(rng, kind, at)
        if change is None:
            continue
        count, after = change
        new = [*lines[: at.place], *after, *lines[at.place + count :]]
        if kind in ("target", "goto") and not loads(new, at.table):
            continue
        before = tuple(lines[at.place : at.place + count])
        made = "\n".join(new) + "\n"
        return Fault(case.name, at.family, kind, at.table, text, made, before, tuple(after))
    return None


def faults(
    count: int, seed: int, *, cases: Sequence[Case] = ALL_CASES, kinds: Sequence[str] = KINDS
) -> Iterator[Fault]:
    """Give as many faults, the same ones for one seed, from all cases and of all kinds alike.

    Faults of one case follow one another, so that its text is read once.
    """
    rng = random.Random(seed)
    made = dict.fromkeys(kinds, 0)
    each = -(-count // len(cases))
    while (before := sum(made.values())) < count:
        for case in rng.sample(list(cases), len(cases)):
            wanted = min(each, count - sum(made.values()))
            # the kind that came least often so far is tried first
            for kind in sorted(rng.sample(list(kinds), len(kinds)), key=lambda kind: made[kind]):
                found = fault(rng, case, kind) if wanted else None
                if found is not None:
                    wanted -= 1
                    made[kind] += 1
                    yield found
        if sum(made.values()) == before:
            message = "no case has anything of these kinds"
            raise ValueError(message)
