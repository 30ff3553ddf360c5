"""`proxyrules snapshot list`: the files, and the nodes that each is of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import shown
from compiler.cli.help import Command
from compiler.cli.options import format_option
from compiler.cli.output import write_output
from compiler.cli.snapshot.common import allow_commands_option, load, names_argument

if TYPE_CHECKING:
    from compiler.snapshots.directory import KeptFile, SnapshotsReport

# Nodes of a file that are named; JSON has all.
_NAMED = 3


@click.command("list", cls=Command, examples=["proxyrules snapshot list"])
@names_argument
@allow_commands_option
@format_option("text for people, json for programs.", "text", "json")
@paused_collector()
def list_command(names: tuple[str, ...], allow_commands: bool, format_: str) -> None:
    """List the files of the snapshots, the nodes that each is of, and whether it is up to date.

    NAME is a snapshot of proxyrules.yaml; without one all are listed.
    """
    found = load(names, allow_commands=allow_commands, compare=False)
    if format_ == "json":
        from compiler.cli.snapshot.formats import as_json

        write_output([as_json(found)], None)
    else:
        write_output((f"{line}\n" for line in _lines(found)), None)


def _lines(found: SnapshotsReport) -> Iterator[str]:
    from compiler.snapshots.directory import State

    rows = [("FILE", "FAMILY", "NODES", "STATE")]
    for file in found.files:
        state = "not up to date" if file.state is State.CHANGED else str(file.state)
        rows.append((shown(file.path), file.family.api_name, _nodes(file), state))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for *row, state in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([*cells, state])


def _nodes(file: KeptFile) -> str:
    if file.text is None:
        return "-"
    if len(file.nodes) > _NAMED + 1:
        return shown(f"{','.join(file.nodes[:_NAMED])} and {len(file.nodes) - _NAMED} more")
    return shown(",".join(file.nodes)) if file.nodes else "every node"
