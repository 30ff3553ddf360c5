"""`proxyrules review`: what a branch changes for traffic."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import Paint, paint_for_stdout, plain
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, option
from compiler.cli.messages import option_name, warning_lines
from compiler.cli.options import flag, format_option, output_option
from compiler.cli.output import report, write_output
from compiler.cli.snapshot.common import allow_commands_option, git_failures, progress_bar

if TYPE_CHECKING:
    from compiler.analysis.lint.rule import LintRule
    from compiler.snapshots.review import Review

FORMATS = ("text", "markdown", "github", "gitlab", "json")


@click.command(
    "review",
    cls=Command,
    examples=[
        "proxyrules review main",
        "proxyrules review origin/main HEAD --format markdown -o comment.md",
        "proxyrules review origin/main --format github --exit-code",
    ],
)
@click.argument("base", metavar="BASE")
@click.argument("head", metavar="[HEAD]", required=False)
@allow_commands_option
@flag(
    "--exit-code",
    text="Exit with 1 if traffic changes, something was not compared, or lint warns anew.",
)
@flag("--no-lint", text="Do not look for new findings of lint.")
@option("--link", metavar="URL", help="Where the whole review is, for a comment that is cut.")
@format_option(
    "text for people, markdown for a comment (at most 65,000 characters), github for annotations, "
    "gitlab for a code quality report, json for programs.",
    *FORMATS,
)
@output_option("Where to write the review.")
@paused_collector()
def review_command(
    *,
    base: str,
    head: str | None,
    allow_commands: bool,
    exit_code: bool,
    no_lint: bool,
    link: str | None,
    format_: str,
    output: str | None,
) -> None:
    """Report what changes for traffic between BASE and the work tree, or HEAD.

    All snapshots of proxyrules.yaml are compiled from the manifests of both sides and compared.
    BASE is a branch or any other revision of git; what is compared is its merge base with HEAD (by
    default the last commit), as a pull request shows it. Without HEAD uncommitted changes count.
    Warnings and errors of lint that BASE does not have are listed too.
    """
    from compiler.snapshots.review import review
    from compiler.snapshots.work import cores

    with git_failures(), progress_bar("Comparing") as start:
        found = review(
            Path(),
            base,
            head,
            allow_commands=allow_commands,
            workers=cores(),
            start_progress=start,
            rules=() if no_lint else _rules(),
        )
    for line in warning_lines(found.warnings):
        report(line)
    if found.problems:
        from compiler.errors import InputError

        report(InputError(found.problems).text(option_name))
    paint = paint_for_stdout() if output in (None, "-") else plain
    write_output(_formatted(found, format_, paint, base, link), output)
    if found.problems:
        sys.exit(ExitCode.BAD_INPUT)
    clean = found.same and not found.findings
    sys.exit(ExitCode.DIFFERENT if exit_code and not clean else ExitCode.DONE)


def _rules() -> list[type[LintRule]]:
    """Return the rules that the settings of lint select. Raises `InputError`."""
    from compiler.analysis.lint.selection import selected
    from compiler.cli.lint_settings import read_settings

    settings = read_settings(Path.cwd())
    return selected(settings.select or (), settings.ignore or ())


def _formatted(
    found: Review, format_: str, paint: Paint, base: str, link: str | None
) -> Iterable[str]:
    from compiler.cli.review_annotations import as_github, as_gitlab
    from compiler.cli.review_formats import as_json, as_text
    from compiler.cli.review_markdown import as_markdown

    if format_ == "json":
        return [as_json(found)]
    if format_ == "gitlab":
        return [as_gitlab(found)]
    if format_ == "markdown":
        return [as_markdown(found, base, link)]
    return _ended(as_github(found) if format_ == "github" else as_text(found, paint))


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
