"""Two rulesets as one unified diff of their canonical text."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from compiler.netfilter.chain import Chain
from compiler.netfilter.printing import chain_names, table_names
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import Table

Line = tuple[str, str]  # " ", "-" or "+", and the text
_CONTEXT = 3
# Comparing more than this many pairs of rules of one chain would take seconds.
_MAX_PAIRS = 4_000_000


def unified_diff(old: Ruleset, new: Ruleset, names: tuple[str, str]) -> Iterator[str]:
    """Give the lines of a unified diff between the canonical restore texts; none where equal.

    Chains stand in the same order on both sides, so that only what changed shows. Counters are
    left out. The result can be applied with `patch` to the canonical text of the old side.
    """
    lines = list(_lines(old, new))
    changed = [place for place, (sign, _) in enumerate(lines) if sign != " "]
    if not changed:
        return
    yield f"--- {names[0]}"
    yield f"+++ {names[1]}"
    start = 0
    at = [1, 1]
    for first, last in _hunks(changed, len(lines)):
        for sign, _ in lines[start:first]:
            at[0] += sign != "+"
            at[1] += sign != "-"
        chunk = lines[first:last]
        counts = [sum(sign != other for sign, _ in chunk) for other in "+-"]
        begins = [at[side] if counts[side] else at[side] - 1 for side in (0, 1)]
        yield f"@@ -{begins[0]},{counts[0]} +{begins[1]},{counts[1]} @@"
        for sign, text in chunk:
            yield sign + text
        at[0] += counts[0]
        at[1] += counts[1]
        start = last


def _hunks(changed: list[int], length: int) -> Iterator[tuple[int, int]]:
    """Give the ranges of lines to show: changes with their context, joined where they touch."""
    first = max(0, changed[0] - _CONTEXT)
    last = changed[0] + _CONTEXT + 1
    for place in changed[1:]:
        if place - _CONTEXT > last:
            yield first, min(last, length)
            first = place - _CONTEXT
        last = place + _CONTEXT + 1
    yield first, min(last, length)


def _lines(old: Ruleset, new: Ruleset) -> Iterator[Line]:
    for name in table_names(old, new):
        sides = (old.table(name), new.table(name))
        sign = _sign(name in old.tables, name in new.tables)
        yield sign, f"*{name}"
        for chain in chain_names(name, *sides):
            yield from _declarations(*(side.get(chain) for side in sides))
        for chain in chain_names(name, *sides):
            yield from _rules(*(_texts(side, chain) for side in sides))
        yield sign, "COMMIT"


def _sign(before: bool, after: bool) -> str:
    return " " if before and after else "-" if before else "+"


def _declarations(before: Chain | None, after: Chain | None) -> Iterator[Line]:
    sides = [f":{c.name} {c.policy or '-'} [0:0]" if c else None for c in (before, after)]
    if sides[0] == sides[1]:
        yield " ", str(sides[0])
        return
    for sign, line in zip("-+", sides, strict=True):
        if line is not None:
            yield sign, line


def _texts(table: Table, chain: str) -> list[str]:
    found = table.get(chain)
    return [f"-A {chain} {text}".rstrip() for text in found.texts()] if found else []


def _rules(before: list[str], after: list[str]) -> Iterator[Line]:
    """Compare the rules of one chain."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        yield " ", before[start]
        start += 1
    end = 0
    limit = min(len(before), len(after)) - start
    while end < limit and before[-1 - end] == after[-1 - end]:
        end += 1
    inner = (before[start : len(before) - end], after[start : len(after) - end])
    if len(inner[0]) * len(inner[1]) > _MAX_PAIRS:
        yield from (("-", line) for line in inner[0])
        yield from (("+", line) for line in inner[1])
    else:
        matcher = SequenceMatcher(None, *inner, autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag == "equal":
                yield from ((" ", line) for line in inner[0][a:b])
            else:
                yield from (("-", line) for line in inner[0][a:b])
                yield from (("+", line) for line in inner[1][c:d])
    yield from ((" ", line) for line in before[len(before) - end :])
