"""`proxyrules lab rules`, `affinity`, `conntrack` and `status`: what a lab holds."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable

import click

from compiler.cli.lab.common import (
    NAME_VARIABLE,
    find_targets,
    name_option,
    node_namespace,
    table,
    the_lab,
)
from compiler.lab import affinity as pinning
from compiler.lab import tracking
from compiler.lab.errors import LabError
from compiler.lab.layout import NODE, Role, Target
from compiler.lab.lifecycle import require_root
from compiler.lab.loading import listed
from compiler.lab.run_directory import State, lab_names


@click.command()
@click.argument("service", required=False)
@name_option
def rules(service: str | None, name: str) -> None:
    """Print what the kernel holds for a Service, as `iptables -S` prints it.

    Without SERVICE, all of it.
    """
    state = the_lab(name)
    targets = find_targets(state, service)
    for family in state.layout.families:
        for kind in ("filter", "nat"):
            lines = listed(node_namespace(state), family, state.backend, kind)
            if service is not None:
                lines = _of_targets(lines, [one for one in targets if one.family == family])
            if lines:
                click.echo(f"# {kind}, {family}")
                click.echo("\n".join(lines))


def _of_targets(lines: Iterable[str], targets: Collection[Target]) -> list[str]:
    """Keep lines of the service ports' own chains, and those that name one of the ports."""
    chains = {chain for target in targets for chain in target.chains}
    names = {target.name for target in targets}

    def belongs(line: str) -> bool:
        words = shlex.split(line)
        if not chains.isdisjoint(words):
            return True
        return any(not names.isdisjoint(word.split()) for word in words)

    return [line for line in lines if belongs(line)]


@click.command()
@click.argument("service", required=False)
@name_option
def affinity(service: str | None, name: str) -> None:
    """Show which client is pinned to which endpoint, and for how much longer.

    Read from the kernel's `recent` lists, one an endpoint, in the order in which the rules look.
    """
    state = the_lab(name)
    targets = find_targets(state, service)
    rows = [("CLIENT", "SERVICE PORT", "ENDPOINT", "REMAINING")]
    full = []
    for family in state.layout.families:
        lines = listed(node_namespace(state), family, state.backend)
        pins = pinning.pins(node_namespace(state), lines)
        by_chain = {chain: one for one in targets for chain in one.chains if one.family == family}
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
    click.echo(table(rows) if len(rows) > 1 else "Nobody is pinned to an endpoint.")
    for chain in full:
        click.echo(
            f"The list {chain} is full ({pinning.list_limit()} addresses, xt_recent's "
            "ip_list_tot): the next new client takes the place of the oldest.",
            err=True,
        )


def _named(state: State, place: str) -> str:
    """Put the member's name behind an address, with or without a port."""
    for member in state.layout.members:
        for address in member.addresses:
            if place == address or place.startswith((f"{address}:", f"[{address}]:")):
                return f"{place} ({member.name})"
    return place


@click.command()
@click.argument("service", required=False)
@name_option
def conntrack(service: str | None, name: str) -> None:
    """Print the node's connections to Services, as `conntrack -L --dst-nat` prints them."""
    state = the_lab(name)
    targets = find_targets(state, service)
    for family in state.layout.families:
        lines = tracking.translated(node_namespace(state), family)
        of_family = [one for one in targets if one.family == family]
        for line in tracking.of_targets(lines, of_family, state.layout.node):
            click.echo(line)


@click.command()
@click.option("--name", envvar=NAME_VARIABLE, help="One lab; all of them by default.")
def status(name: str | None) -> None:
    """Show which labs are up, who is in them and what they serve."""
    require_root()
    if name is not None:
        _show(the_lab(name))
        return
    names = lab_names()
    if not names:
        click.echo("No lab is up; `proxyrules lab up MANIFEST...` makes one.")
    for one in names:
        try:
            _show(the_lab(one))
        except LabError as error:
            # One that is half made does not hide the others.
            click.echo(str(error))


def _show(state: State) -> None:
    families = " and ".join(state.layout.families)
    click.echo(f"lab {state.name}: iptables-{state.backend}, {families}")
    listening: dict[str, set[int]] = {}
    for listener in state.layout.listeners:
        listening.setdefault(listener.member, set()).add(listener.port)
    rows = [("MEMBER", "IS", "ADDRESSES", "ANSWERS ON")]
    for member in state.layout.members:
        role = "the node" if member.name == NODE else _role(member.role)
        ports = ", ".join(map(str, sorted(listening.get(member.name, ()))))
        rows.append((member.name, role, ", ".join(member.addresses), ports))
    click.echo(table(rows))
    if state.layout.targets:
        ways = [("SERVICE PORT", "PROTOCOL", "CLUSTER IP", "ALSO AT")]
        ways += [
            (one.name, one.protocol, f"{one.cluster_ip} {one.port}", _also(one))
            for one in state.layout.targets
        ]
        click.echo()
        click.echo(table(ways))


def _role(role: Role) -> str:
    return {Role.LOCAL_POD: "a pod of the node", Role.OUTSIDE: "outside"}.get(role, role.value)


def _also(target: Target) -> str:
    ways = [*target.external_ips, *target.load_balancer_ips]
    if target.node_port:
        ways.append(f"node port {target.node_port}")
    return ", ".join(ways)
