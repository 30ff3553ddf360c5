"""`proxyrules snapshot check`: whether the files are what they should be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import Paint, paint_for_stdout, shown
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, Section
from compiler.cli.options import flag, format_option
from compiler.cli.output import write_output
from compiler.cli.snapshot.common import allow_commands_option, load, names_argument

if TYPE_CHECKING:
    from compiler.snapshots.changes import Changes
    from compiler.snapshots.directory import SnapshotsReport

# Files of one state, and lines of changes, that are listed without -v.
_FILES, _LINES = 8, 40


@click.command(
    "check",
    cls=Command,
    examples=["proxyrules snapshot check", "proxyrules snapshot check shop --format json"],
)
@names_argument
@allow_commands_option
@format_option("text for people, json for programs.", "text", "json")
@flag("-v", "--verbose", section=Section.OUTPUT, text="List every file and every change.")
@paused_collector()
def check(names: tuple[str, ...], allow_commands: bool, format_: str, verbose: bool) -> None:
    """Report files of the snapshots that are not up to date, and what changes for traffic.

    NAME is a snapshot of proxyrules.yaml; without one all are checked. Nothing is written. Exit
    code 1: a file is not what it should be.
    """
    found = load(names, allow_commands=allow_commands)
    if format_ == "json":
        from compiler.cli.snapshot.formats import as_json

        write_output([as_json(found)], None)
    else:
        lines = _lines(found, paint_for_stdout(), verbose=verbose)
        write_output((f"{line}\n" for line in lines), None)
    sys.exit(ExitCode.DONE if found.current else ExitCode.DIFFERENT)


def _lines(found: SnapshotsReport, paint: Paint, *, verbose: bool) -> Iterator[str]:
    if found.current:
        number = len(found.files)
        yield f"{number} file{'s are' if number != 1 else ' is'} up to date."
        return
    yield from _files(found, paint, verbose=verbose)
    yield from _changes(found, paint, verbose=verbose)
    number = len(found.stale)
    if number:
        files = f"{number} of {len(found.files)} files not up to date"
        yield f"{files}; proxyrules snapshot update writes {'it' if number == 1 else 'them'}."
    else:
        yield "The list of files is not up to date; proxyrules snapshot update writes it."


def _files(found: SnapshotsReport, paint: Paint, *, verbose: bool) -> Iterator[str]:
    from compiler.snapshots.directory import State
    from compiler.snapshots.listing import LIST

    for state in State:
        files = [file for file in found.stale if file.state is state]
        some = files if verbose or len(files) <= _FILES + 1 else files[:_FILES]
        for file in some:
            yield f"{shown(file.path)}: {paint(state, 'yellow')}"
        if len(some) < len(files):
            yield f"... and {len(files) - len(some)} more: {state}"
    if found.listing is not None and not found.stale:
        yield f"{shown(found.directory)}/{LIST}: {paint('does not list these files', 'yellow')}"


def merged(found: SnapshotsReport) -> Changes:
    """Return what changes for traffic in the files that differ."""
    from compiler.snapshots.changes import Where, merge

    differing = [
        (Where(file.snapshot, file.family, nodes), diff)
        for file in found.files
        for nodes, diff in file.diffs
    ]
    every = [Where(file.snapshot, file.family, file.nodes) for file in found.files if file.snapshot]
    return merge(differing, every, len({file.snapshot for file in found.files if file.snapshot}))


def _changes(found: SnapshotsReport, paint: Paint, *, verbose: bool) -> Iterator[str]:
    from compiler.cli.changes_text import change_lines

    lines = list(change_lines(merged(found), paint))
    if not lines:
        return
    yield ""
    some = lines if verbose or len(lines) <= _LINES + 1 else lines[:_LINES]
    yield from some
    if len(some) < len(lines):
        yield f"... and {len(lines) - len(some)} more lines; -v shows them"
    yield ""
