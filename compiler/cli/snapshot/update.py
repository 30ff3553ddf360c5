"""`proxyrules snapshot update`: writes what is not up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import shown
from compiler.cli.help import Command, Section
from compiler.cli.options import flag
from compiler.cli.output import write_failure, write_output
from compiler.cli.snapshot.common import allow_commands_option, load, names_argument

if TYPE_CHECKING:
    from compiler.snapshots.directory import SnapshotsReport


@click.command(
    "update",
    cls=Command,
    examples=["proxyrules snapshot update", "proxyrules snapshot update shop --allow-commands"],
)
@names_argument
@allow_commands_option
@flag("-q", "--quiet", section=Section.OUTPUT, text="Print warnings only.")
@paused_collector()
def update(names: tuple[str, ...], allow_commands: bool, quiet: bool) -> None:
    """Write the files of the snapshots that are not up to date, and nothing else.

    NAME is a snapshot of proxyrules.yaml; without one all are updated, and files whose snapshot is
    gone are removed. Nothing is written if anything is wrong with the input.
    """
    found = load(names, allow_commands=allow_commands, compare=False, quiet=quiet)
    lines = _write(found)
    if not quiet:
        write_output((f"{line}\n" for line in lines), None)


def _write(found: SnapshotsReport) -> list[str]:
    """Write and remove files; returns what was done."""
    from compiler.snapshots.listing import LIST

    folder = found.root / found.directory
    _make_folder(folder, found.directory)
    lines, written, removed = [], 0, 0
    for file in found.stale:
        path = found.root / file.path
        if file.text is None:
            _remove(path)
            removed += 1
            lines.append(f"{shown(file.path)}: removed, its snapshot is gone")
        else:
            lines.append(f"{shown(file.path)}: {_added(path)}")
            write_output([file.text], str(path))
            written += 1
    if found.listing is not None:
        lines.append(f"{shown(found.directory)}/{LIST}: {_added(folder / LIST)}")
        write_output([found.listing], str(folder / LIST))
    kept = len(found.files) - written - removed
    counts = [f"{written} written", f"{removed} removed"] if removed else [f"{written} written"]
    lines.append(f"{', '.join(counts)}, {kept} up to date.")
    return lines


def _added(path: Path) -> str:
    return "updated" if path.exists() else "added"


def _make_folder(folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(name, error) from error


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_failure(str(path), error) from error
