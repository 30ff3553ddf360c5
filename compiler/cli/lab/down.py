"""`proxyrules lab down`: remove a lab."""

from __future__ import annotations

import click

from compiler.cli.help import Command
from compiler.cli.lab.common import name_option
from compiler.lab import lifecycle


@click.command(cls=Command)
@name_option
def down(name: str) -> None:
    """Remove a lab: its namespaces, the processes in them, its files.

    Also works if `lab up` was interrupted, or if there is no such lab.
    """
    if lifecycle.down(name):
        click.echo(f"lab {name}: removed")
    else:
        click.echo(f"lab {name}: not found")
