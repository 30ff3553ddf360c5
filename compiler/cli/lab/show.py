"""`proxyrules lab rules`, `affinity` and `conntrack`: what the node's kernel has of a Service."""

from __future__ import annotations

from collections import Counter

import click

from compiler.cli.help import Command
from compiler.cli.lab.common import find_targets, name_option, node_namespace, table, the_lab
from compiler.lab import affinity as pinning
from compiler.lab import tracking
from compiler.lab.loading import listed
from compiler.lab.rules import lines_of_service_ports
from compiler.lab.run_directory import State


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
def affinity(service: str | None, name: str) -> None:
    """List which client is pinned to which endpoint, and for how much longer.

    This is read from the kernel's `recent` lists, one per endpoint, in the order of the rules.
    """
    state = the_lab(name)
    targets = find_targets(state, service)
    rows = [("CLIENT", "SERVICE PORT", "ENDPOINT", "REMAINING")]
    full = []
    for family in state.layout.families:
        lines = listed(node_namespace(state), family, state.backend)
        pins = pinning.pins(node_namespace(state), lines)
        by_chain = {chain: one for one in targets for chain in one.chains if one.family is family}
        pins = [pin for pin in pins if pin.recent in by_chain]
        rows += [
            (
                _named(state, pin.client),
                by_chain[pin.recent].name,
                _named(state, pin.endpoint),
                f"{pin.remaining:.0f} s" if pin.remaining > 0 else "expired",
            )
            for pin in pins
        ]
        counts = Counter(pin.recent for pin in pins)
        full += [chain for chain, count in counts.items() if count == pinning.list_limit()]
    click.echo(table(rows) if len(rows) > 1 else "No client is pinned to an endpoint.")
    for chain in full:
        click.echo(
            f"The list {chain} is full ({pinning.list_limit()} addresses, xt_recent's "
            "ip_list_tot): the next new client takes the place of the oldest.",
            err=True,
        )


def _named(state: State, place: str) -> str:
    """Add the member's name to an address, with or without a port."""
    for member in state.layout.members:
        for address in member.addresses:
            if place == address or place.startswith((f"{address}:", f"[{address}]:")):
                return f"{place} ({member.name})"
    return place


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
