"""`proxyrules lab rules` and `conntrack`: what the node's kernel has of a Service."""

from __future__ import annotations

import click

from compiler.cli.help import Command
from compiler.cli.lab.common import find_targets, name_option, node_namespace, the_lab
from compiler.lab import tracking
from compiler.lab.loading import listed
from compiler.lab.rules import lines_of_service_ports


@click.command(cls=Command, examples=["proxyrules lab rules web"])
@click.argument("service", metavar="[SERVICE]", required=False)
@name_option
def rules(service: str | None, name: str) -> None:
    """Print the rules of SERVICE as the node's kernel has them (`iptables -S`).

    Without SERVICE, all rules of the tables filter and nat.
    """
    state = the_lab(name)
    targets = find_targets(state, service)
    for family in state.layout.families:
        for kind in ("filter", "nat"):
            lines = listed(node_namespace(state), family, state.backend, kind)
            if service is not None:
                of_family = [one for one in targets if one.family is family]
                lines = lines_of_service_ports(
                    lines,
                    table=kind,
                    chains={chain for target in of_family for chain in target.chains},
                    names={target.name for target in of_family},
                )
            if lines:
                click.echo(f"# {kind}, {family.api_name}")
                click.echo("\n".join(lines))


@click.command(cls=Command)
@click.argument("service", metavar="[SERVICE]", required=False)
@name_option
def conntrack(service: str | None, name: str) -> None:
    """Print the node's connections to SERVICE (`conntrack -L --dst-nat`).

    Without SERVICE, those to all Services.
    """
    state = the_lab(name)
    targets = find_targets(state, service)
    for family in state.layout.families:
        lines = tracking.translated(node_namespace(state), family)
        of_family = [one for one in targets if one.family is family]
        for line in tracking.of_targets(lines, of_family, state.layout.node):
            click.echo(line)
