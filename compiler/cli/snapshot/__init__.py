"""`proxyrules snapshot`: rules that are kept in git, one file per command."""

from __future__ import annotations

import click

from compiler.cli import LazyGroup
from compiler.cli.help import WithExamples

COMMANDS = {
    "init": ("compiler.cli.snapshot.init:init", "Write proxyrules.yaml for this repository."),
    "update": ("compiler.cli.snapshot.update:update", "Write the files that are not up to date."),
    "check": ("compiler.cli.snapshot.check:check", "Report files that are not up to date."),
    "list": ("compiler.cli.snapshot.listing:list_command", "List files and their nodes."),
}


class SnapshotGroup(WithExamples, LazyGroup):
    """The commands about snapshots."""

    table = COMMANDS


EXAMPLES = (
    "proxyrules snapshot init",
    "proxyrules snapshot update",
    "proxyrules snapshot check --allow-commands",
)


@click.group(cls=SnapshotGroup, examples=EXAMPLES)
def snapshot() -> None:
    """Keep the rules of a repository's manifests in git, and check that they are up to date.

    proxyrules.yaml, at the root of the repository, names the snapshots. Each file is the text of
    compile for one node and IP family. proxyrules review reports what a branch changes for traffic.
    """
