"""`proxyrules lab status`: which labs are up, and what is in them."""

from __future__ import annotations

import click

from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command
from compiler.cli.lab.common import NAME_VARIABLE, family_names, node_namespace, table, the_lab
from compiler.cli.output import report
from compiler.lab import serving
from compiler.lab.errors import LabError
from compiler.lab.layout import Target
from compiler.lab.lifecycle import require_root
from compiler.lab.run_directory import State, lab_names


@click.command(cls=Command)
@click.option(
    "--name", envvar=NAME_VARIABLE, metavar="LAB", help="Show this lab only; all by default."
)
@click.pass_context
def status(ctx: click.Context, name: str | None) -> None:
    """Show the labs that are up, their members and their Services.

    The exit code is 3 if a lab is incomplete, or if its endpoints' servers are not running.
    """
    require_root()
    names = [name] if name is not None else lab_names()
    if not names:
        click.echo("No lab is up; make one with `proxyrules lab up MANIFEST...`.")
    failed = False
    for one in names:
        try:
            state = the_lab(one)
            _show(state)
            if serving.server_pid(one, node_namespace(state)) is None:
                raise serving.gone(one)
        except LabError as error:
            if name is not None:
                raise
            # One broken lab does not hide the others.
            report(f"Error: {error}")
            failed = True
    ctx.exit(ExitCode.FAILED if failed else ExitCode.DONE)


def _show(state: State) -> None:
    families = family_names(state.layout.families)
    click.echo(f"lab {state.name}: iptables-{state.backend}, {families}")
    listening: dict[str, set[int]] = {}
    for listener in state.layout.listeners:
        listening.setdefault(listener.member, set()).add(listener.port)
    rows = [("MEMBER", "IS", "ADDRESSES", "ANSWERS ON")]
    for member in state.layout.members:
        ports = ", ".join(map(str, sorted(listening.get(member.name, ()))))
        rows.append((member.name, member.role.value, ", ".join(member.addresses), ports))
    click.echo(table(rows))
    if state.layout.targets:
        services = [("SERVICE PORT", "PROTOCOL", "CLUSTER IP", "ALSO AT")]
        services += [
            (one.name, one.protocol, _address_port(one), _also(one)) for one in state.layout.targets
        ]
        click.echo()
        click.echo(table(services))


def _address_port(target: Target) -> str:
    address = target.cluster_ip
    return f"[{address}]:{target.port}" if ":" in address else f"{address}:{target.port}"


def _also(target: Target) -> str:
    entry_points = [*target.external_ips, *target.load_balancer_ips]
    if target.node_port:
        entry_points.append(f"node port {target.node_port}")
    return ", ".join(entry_points)
