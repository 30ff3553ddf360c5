"""Which rules run: ids and beginnings of ids, selected and ignored."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from compiler.analysis.lint.registry import all_rules
from compiler.analysis.lint.rule import LintRule
from compiler.errors import InputError, Problem
from compiler.manifests.convert import shorten

ALL = "ALL"


def selected(select: Sequence[str], ignore: Sequence[str]) -> list[type[LintRule]]:
    """Return the rules that are selected and not ignored, in the order of their ids.

    Of the entries that fit a rule the longest decides, and one that ignores overrides an equal one
    that selects. Without `select` all are selected. Raises `InputError` for an entry that fits no
    rule.
    """
    select, ignore = list(map(_canonical, select)), list(map(_canonical, ignore))
    problems = [
        Problem.of_argument(argument, *problem)
        for argument, entries in (("select", select), ("ignore", ignore))
        for entry in entries
        if (problem := unknown(entry))
    ]
    if problems:
        raise InputError(problems)
    return [
        rule
        for rule in all_rules().values()
        if _longest(rule, select or (ALL,)) > _longest(rule, ignore)
    ]


def _canonical(entry: str) -> str:
    """Return `PR101` for `pr101`: names of rules are lower case, and ids are not."""
    is_id = entry.upper() == ALL or any(rule.startswith(entry.upper()) for rule in all_rules())
    return entry.upper() if is_id else entry


def find_rule(entry: str) -> type[LintRule] | None:
    """Return the rule that has an id or a name."""
    return next(
        (one for one in all_rules().values() if _canonical(entry) in {one.id, one.name}), None
    )


def unknown(entry: str) -> tuple[str, str] | None:
    """Return message and hint where an entry fits no rule."""
    rules, entry = all_rules(), _canonical(entry)
    if entry == ALL or (entry and any(_fits(entry, rule) for rule in rules.values())):
        return None
    names = {name: rule for rule in rules.values() for name in (rule.id, rule.name)}
    close = get_close_matches(entry, names, n=1)
    hint = f"did you mean {close[0]}?" if close else "use an id such as PR101, or its beginning"
    return f"no rule {shorten(entry)}", hint


def _fits(entry: str, rule: type[LintRule]) -> bool:
    # `P` and `PR` fit all; a name is as good as an id.
    return rule.id.startswith(entry) or rule.name == entry


def _longest(rule: type[LintRule], entries: Sequence[str]) -> int:
    """Return how exactly the best of some entries fits a rule; -1 where none does."""
    lengths = [
        len(rule.id) if entry == rule.name else len(entry)
        for entry in entries
        if _fits(entry, rule)
    ]
    if ALL in entries:
        lengths.append(0)
    return max(lengths, default=-1)
