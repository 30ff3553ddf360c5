"""`proxyrules lab affinity`: which client is pinned to which endpoint."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import click

from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command
from compiler.cli.lab.common import (
    Duration,
    find_targets,
    name_option,
    node_namespace,
    plot_option,
    table,
    the_lab,
)
from compiler.cli.lab.pins import (
    NOBODY,
    PINNED,
    RENEWED,
    ClientPin,
    Pins,
    ServicePort,
    events,
    picture,
)
from compiler.cli.output import report, stdout_reader_is_gone
from compiler.lab import affinity as pinning
from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.lab.loading import listed
from compiler.lab.run_directory import directory

_EVENT = 8


@click.command(
    cls=Command,
    examples=[
        "proxyrules lab affinity web",
        "proxyrules lab affinity --watch",
        "proxyrules lab affinity --plot pins.svg",
    ],
)
@click.argument("service", metavar="[SERVICE]", required=False)
@click.option(
    "--watch",
    is_flag=True,
    help="Follow live until Ctrl-C: on a terminal the list, otherwise a line for each change.",
)
@click.option(
    "--every",
    type=Duration(0.1),
    default="1s",
    metavar="TIME",
    help="With --watch, how often the lists are read; 1s by default.",
)
@plot_option("Also draw each endpoint's clients, and how long they remain, into FILE")
@name_option
def affinity(
    service: str | None, *, watch: bool, every: float, plot: str | None, name: str
) -> None:
    """List which client is pinned to which endpoint, and for how much longer.

    This is read from the kernel's `recent` lists, one per endpoint, in the order of the rules.
    """
    if plot is not None:
        from compiler.cli.plotting import check_plot

        check_plot(plot)
    pins = _read(name, service)
    if watch:
        pins = _watch(name, service, pins, every)
    else:
        _print(pins)
    if plot is not None:
        from compiler.cli.lab.affinity_plot import write_plot

        write_plot(pins, plot)
    if watch:
        sys.exit(ExitCode.INTERRUPTED)


def _read(name: str, service: str | None) -> Pins:
    """Read who is pinned now. Raises LabError, LabUsageError for a Service that is not there."""
    state = the_lab(name)
    targets = find_targets(state, service)
    names = {address: one.name for one in state.layout.members for address in one.addresses}
    found: list[ClientPin] = []
    ports: list[ServicePort] = []
    for family in state.layout.families:
        node = node_namespace(state)
        lines = listed(node, family, state.backend)
        by_chain = {chain: one for one in targets for chain in one.chains if one.family is family}
        lists = [one for one in pinning.lists(lines) if one.name in by_chain]
        for target in dict.fromkeys(by_chain[one.name] for one in lists):
            mine = [one for one in lists if by_chain[one.name] is target]
            endpoints = {one.name: _named(names, one.endpoint) for one in mine}
            ports.append(ServicePort(target.name, family.api_name, mine[0].timeout, endpoints))
        found += [
            ClientPin(
                _named(names, pin.client),
                by_chain[pin.recent].name,
                _named(names, pin.endpoint),
                pin.recent,
                pin.remaining,
            )
            for pin in pinning.pins(node, lines)
            if pin.recent in by_chain
        ]
    return Pins(tuple(ports), tuple(found), pinning.list_limit(), time.monotonic())


def _named(names: Mapping[str, str], place: str) -> str:
    """Add the member's name to an address, with or without a port."""
    address = place if place in names else place.rpartition(":")[0].strip("[]")
    return f"{place} ({names[address]})" if address in names else place


def _print(pins: Pins) -> None:
    rows = [("CLIENT", "SERVICE PORT", "ENDPOINT", "REMAINING")]
    rows += [(one.client, one.service_port, one.endpoint, one.left) for one in pins.pins]
    click.echo(table(rows) if len(rows) > 1 else NOBODY)
    for chain in pins.full:
        report(
            f"The list {chain} is full ({pins.limit} addresses, xt_recent's "
            "ip_list_tot): the next new client takes the place of the oldest."
        )


def _watch(name: str, service: str | None, pins: Pins, every: float) -> Pins:
    """Follow until Ctrl-C, then print the list and how often what happened; returns the last."""
    from compiler.cli.lab.redraw import can_redraw, redrawn
    from compiler.cli.terminal import can_show_bars

    seen, counts = [pins], Counter[str]()
    begin, redrawing, blocks = pins.at, can_redraw(), can_show_bars()

    def view(columns: int, _: int) -> Sequence[str]:
        return list(picture(seen[-1], columns, blocks=blocks))

    def follow() -> None:
        if not pins.pins and not redrawing:
            click.echo(f"{0:8.1f} s  {NOBODY}")
        _note(events(None, pins), 0.0, counts, printed=not redrawing)
        while redrawing or not stdout_reader_is_gone():
            now = time.monotonic()
            time.sleep(max(0.0, every - (now - begin) % every))
            after = netns.aside(lambda: _read(name, service))
            changes = events(seen[-1], after)
            _note(changes, after.at - begin, counts, printed=not redrawing)
            seen[:] = [after]

    try:
        if redrawing:
            with redrawn(view):
                follow()
        else:
            follow()
    except KeyboardInterrupt:
        pass
    except LabError:
        if directory(name).exists():
            raise
        raise LabError(f'the lab "{name}" was removed while it was watched') from None
    finally:
        _print(seen[-1])
        words = ", ".join(f"{count} {event}" for event, count in counts.items())
        click.echo(f"watched for {time.monotonic() - begin:.0f} s: {words or 'no changes'}")
    return seen[-1]


def _note(
    changes: Sequence[tuple[str, ClientPin]], at: float, counts: Counter[str], *, printed: bool
) -> None:
    """Count what happened, and print it where no view shows it."""
    for event, pin in changes:
        counts[event] += 1
        if printed:
            left = f"  {pin.left}" if event in (PINNED, RENEWED) else ""
            words = f"{event:{_EVENT}}  {pin.client}  {pin.service_port}  {pin.endpoint}{left}"
            click.echo(f"{at:8.1f} s  {words}")
