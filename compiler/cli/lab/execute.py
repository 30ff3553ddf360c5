"""`proxyrules lab exec`: run a command as a member of the lab."""

from __future__ import annotations

import subprocess

import click

from compiler.cli.help import Command
from compiler.cli.lab.common import find_member, name_option, the_lab
from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.lab.run_directory import netns_name

# A shell's exit code for a command that is not found.
NOT_FOUND = 127
SIGNALLED = 128

EXAMPLES = ("proxyrules lab exec client-1 -- curl 10.96.0.10",)


@click.command(cls=Command, context_settings={"ignore_unknown_options": True}, examples=EXAMPLES)
@click.argument("client", metavar="MEMBER")
@click.argument(
    "command", metavar="COMMAND [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED
)
@name_option
@click.pass_context
def execute(ctx: click.Context, client: str, command: tuple[str, ...], name: str) -> None:
    """Run COMMAND in the network namespace of MEMBER.

    MEMBER is a name that `lab status` lists. The exit code is the command's.
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
    # As in a shell: 128 and the signal's number for a command that a signal ended.
    ctx.exit(done.returncode if done.returncode >= 0 else SIGNALLED - done.returncode)
