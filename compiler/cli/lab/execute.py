"""`proxyrules lab exec`: run a command as a client."""

from __future__ import annotations

import subprocess

import click

from compiler.cli.lab.common import find_member, name_option, the_lab
from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.lab.run_directory import netns_name

# What a shell answers for a command that is not there.
NOT_FOUND = 127


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("client")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@name_option
@click.pass_context
def execute(ctx: click.Context, client: str, command: tuple[str, ...], name: str) -> None:
    """Run a command in a member's network namespace: `lab exec client-1 -- curl 10.96.0.10`.

    The exit code is the command's.
    """
    state = the_lab(name)
    member = find_member(state, client)
    try:
        with netns.entered(netns_name(name, member.name)):
            done = subprocess.run(command, check=False)  # noqa: S603 - what the user asked for
    except FileNotFoundError:
        click.echo(f"Error: not installed: {command[0]}", err=True)
        ctx.exit(NOT_FOUND)
    except PermissionError as error:
        raise LabError(str(error)) from error
    # A command that a signal ended counts as in a shell.
    ctx.exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)
