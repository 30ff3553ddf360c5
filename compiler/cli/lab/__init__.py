"""`proxyrules lab`: rules on a real kernel, one file per command."""

from __future__ import annotations

import click

from compiler.cli import LazyGroup
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import WithExamples
from compiler.lab.errors import LabError, LabUsageError

COMMANDS = {
    "up": ("compiler.cli.lab.up:up", "Create a lab from manifests and load their rules."),
    "request": ("compiler.cli.lab.request:request", "Call a Service and count the answers."),
    "apply": ("compiler.cli.lab.apply:apply", "Load changed manifests into a lab."),
    "rules": ("compiler.cli.lab.show:rules", "Print a Service's rules as the kernel has them."),
    "affinity": (
        "compiler.cli.lab.affinity:affinity",
        "List which client is pinned to which endpoint.",
    ),
    "conntrack": ("compiler.cli.lab.show:conntrack", "Print a Service's connections."),
    "exec": ("compiler.cli.lab.execute:execute", "Run a command as a member of the lab."),
    "status": ("compiler.cli.lab.status:status", "List the labs that are up, and their members."),
    "down": ("compiler.cli.lab.down:down", "Remove a lab, complete or not."),
}


class _Failure(click.ClickException):
    exit_code = ExitCode.FAILED


class _UsageFailure(click.ClickException):
    exit_code = ExitCode.BAD_INPUT


class LabGroup(WithExamples, LazyGroup):
    """The lab's commands; the lab's errors end them like those of any other command."""

    table = COMMANDS

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LabUsageError as error:
            raise _UsageFailure(str(error)) from error
        except LabError as error:
            raise _Failure(str(error)) from error


EXAMPLES = (
    "proxyrules lab up manifests/ --node worker-1",
    "proxyrules lab request web --from client-1 --count 100",
    "proxyrules lab down",
)


@click.group(cls=LabGroup, examples=EXAMPLES)
def lab() -> None:
    """Try rules on a real kernel, in network namespaces of this machine.

    The node, each endpoint and each client is a network namespace. None has a route out of the lab,
    and nothing else on the machine is changed. Needs Linux, root, iptables and the Python package
    pyroute2; `lab conntrack`, and `lab apply` if UDP Services change, need conntrack.
    """
