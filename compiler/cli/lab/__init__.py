"""`proxyrules lab`: the test box, one file a command."""

from __future__ import annotations

import click

from compiler.cli import LazyGroup
from compiler.lab.errors import LabError

COMMANDS = {
    "up": ("compiler.cli.lab.up:up", "Make a lab from manifests and load their rules."),
    "request": ("compiler.cli.lab.request:request", "Call a Service and tally who answers."),
    "apply": ("compiler.cli.lab.up:apply", "Change a lab to other manifests."),
    "rules": ("compiler.cli.lab.show:rules", "What the kernel holds for a Service."),
    "affinity": ("compiler.cli.lab.show:affinity", "Who is pinned to which endpoint."),
    "conntrack": ("compiler.cli.lab.show:conntrack", "Connections that were translated."),
    "exec": ("compiler.cli.lab.execute:execute", "Run a command as a client."),
    "status": ("compiler.cli.lab.show:status", "Which labs there are, and what is in one."),
    "down": ("compiler.cli.lab.down:down", "Take a lab away, whole or half made."),
}


class LabGroup(LazyGroup):
    """The lab's commands. What a lab fails with is told like any other failure: exit code 1."""

    table = COMMANDS

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LabError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LabGroup)
def lab() -> None:
    """Try rules on a real kernel, in network namespaces of this machine.

    One namespace is the node, one stands for each endpoint, some for clients; none has a way out,
    and nothing outside them is touched. Needs Linux, root, iptables and the extra `lab`.
    """
