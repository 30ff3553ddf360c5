"""`proxyrules lab down`: remove a lab."""

from __future__ import annotations

import click

from compiler.cli.lab.common import name_option
from compiler.lab import lifecycle


@click.command()
@name_option
def down(name: str) -> None:
    """Remove a lab: its namespaces, the processes in them, its files.

    This works for a lab whose `up` was killed, too, and where there is no lab.
    """
    if lifecycle.down(name):
        click.echo(f"lab {name}: gone")
    else:
        click.echo(f"lab {name}: there is none")
