"""`proxyrules lab down`: take a lab away."""

from __future__ import annotations

import click

from compiler.cli.lab.common import name_option
from compiler.lab import lifecycle


@click.command()
@name_option
def down(name: str) -> None:
    """Take a lab away: its namespaces, its processes, its files.

    It works for a lab whose `up` was killed half-way too. Nothing there is fine.
    """
    if lifecycle.down(name):
        click.echo(f"lab {name}: gone")
    else:
        click.echo(f"lab {name}: there is none")
