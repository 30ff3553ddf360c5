"""What the commands about snapshots have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compiler.cli.exit_codes import Failure
from compiler.cli.help import Section, option
from compiler.cli.messages import warning_lines
from compiler.cli.output import report

if TYPE_CHECKING:
    from compiler.snapshots.directory import SnapshotsReport
    from compiler.snapshots.work import Progress

F = TypeVar("F", bound=Callable[..., Any])

# Fewer snapshots are compiled before a progress bar could be looked at.
PROGRESS_ABOVE = 10


def allow_commands_option(command: F) -> F:
    """Give a command `--allow-commands`."""
    return option(
        "--allow-commands",
        is_flag=True,
        envvar="PROXYRULES_ALLOW_COMMANDS",
        section=Section.OWN,
        help="Run the commands of proxyrules.yaml (or PROXYRULES_ALLOW_COMMANDS=1).",
    )(command)


def names_argument(command: F) -> F:
    """Give a command the argument NAME..., none or more."""
    return click.argument("names", metavar="[NAME]...", nargs=-1)(command)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int], Progress | None]]:
    """Yield what starts a progress bar for so many pieces of work, where there is a terminal."""
    bars: list[Any] = []

    def start(length: int) -> Progress | None:
        if length < PROGRESS_ABOVE or not sys.stderr.isatty():
            return None
        bar = click.progressbar(length=length, label=label, file=sys.stderr)
        bar.__enter__()
        bars.append(bar)
        return bar.update

    try:
        yield start
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)


@contextmanager
def git_failures() -> Iterator[None]:
    """Raise `Failure` where git can't be used."""
    from compiler.snapshots.git import GitError

    try:
        yield
    except GitError as error:
        raise Failure("git", error.message, error.hint) from error


def load(
    names: tuple[str, ...], *, allow_commands: bool, compare: bool = True, quiet: bool = False
) -> SnapshotsReport:
    """Compile the snapshots and compare them with their files; warnings go to standard error.

    Raises `InputError`.
    """
    from compiler.snapshots.directory import report_on
    from compiler.snapshots.work import cores

    with progress_bar("Compiling") as start:
        found = report_on(
            Path(),
            names,
            allow_commands=allow_commands,
            compare=compare,
            workers=cores(),
            start_progress=start,
        )
    for line in warning_lines(found.warnings):
        report(line)
    if not quiet:
        for note in found.notes:
            report(note)
        for path in found.unlisted:
            report(f"{path}: of no snapshot, and not written by snapshot update; left alone")
    return found
