"""The options of `lint` that say which rules run, and what is done with what they find."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from compiler.cli.help import Section, option
from compiler.cli.lint_levels import DEFAULT_LEVEL, FAIL_LEVELS
from compiler.cli.options import flag

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class LintOptions:
    """What the command line says; empty or None where it says nothing."""

    select: tuple[str, ...]
    ignore: tuple[str, ...]
    fail_level: str | None
    baseline: str | None
    write_baseline: str | None
    clients: int | None
    upgrade_to: str | None
    fix: bool
    diff: bool
    list_: bool
    explain: str | None
    statistics: bool


_DECLARED = (
    option(
        "--select", metavar="RULES", multiple=True, help="Run only these rules, such as PR1,PR203."
    ),
    option("--ignore", metavar="RULES", multiple=True, help="Do not run these rules."),
    option(
        "--clients",
        metavar="N",
        type=click.IntRange(min=1),
        help="How many clients reach a Service by one node (PR102).",
    ),
    option("--upgrade-to", metavar="X.Y", help="The Kubernetes version to compare with (PR7)."),
    option(
        "--fail-level",
        type=click.Choice(FAIL_LEVELS),
        help=f"Exit with 1 for findings of this severity or worse; {DEFAULT_LEVEL} by default.",
    ),
    option(
        "--baseline",
        metavar="FILE",
        type=click.Path(),
        help="Report only what is not in this file.",
    ),
    option(
        "--write-baseline",
        metavar="FILE",
        type=click.Path(),
        help="Write today's findings to a file for --baseline.",
    ),
    flag("--fix", text="Correct what is certain, and show the difference."),
    flag("--diff", text="Show what --fix would change."),
    flag("--list", "list_", text="List the rules that would run."),
    option("--explain", metavar="RULE", help="Explain a rule, and what to do about it."),
    flag(
        "--statistics", section=Section.OUTPUT, text="Print only how many findings each rule has."
    ),
)


def lint_options(command: F) -> F:
    """Give a command these options, as one argument `wanted` (a `LintOptions`)."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        own = {name: kwargs.pop(name) for name in LintOptions.__dataclass_fields__}
        return command(*args, wanted=LintOptions(**own), **kwargs)

    decorated: Any = with_options
    for one in reversed(_DECLARED):
        decorated = one(decorated)
    result: F = decorated
    return result
