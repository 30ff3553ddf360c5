"""Writes the page of all commands: `python -m compiler.cli.commands_docs FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from compiler.cli import cli
from compiler.cli.help import MAX_WIDTH

_HEAD = """\
# All commands and options

What `--help` prints for each command. Written by `python -m compiler.cli.commands_docs`; the pages
of the single commands have examples with their output.
"""


def commands_page() -> str:
    """Return the page: one section per command, its `--help` in each."""
    sections = [
        f"## {context.command_path}\n\n```text\n{_help_text(context)}\n```\n"
        for context in _contexts(cli, "proxyrules", None)
    ]
    return "\n".join([_HEAD, *sections])


def _contexts(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[click.Context]:
    """Give the context of a command, then those of its subcommands."""
    # click's own margin: help in a terminal of 80 columns is 78 wide.
    settings = {**command.context_settings, "terminal_width": MAX_WIDTH - 2}
    context = command.context_class(command, parent=parent, info_name=name, **settings)
    yield context
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            if found is not None and not found.hidden:
                yield from _contexts(found, word, context)


def _help_text(context: click.Context) -> str:
    """Return what `--help` prints, without spaces at the ends of lines."""
    return "\n".join(line.rstrip() for line in context.get_help().splitlines())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(commands_page())
