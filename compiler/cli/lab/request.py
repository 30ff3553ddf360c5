"""`proxyrules lab request`: call a Service and tally who answers."""

from __future__ import annotations

import time

import click

from compiler.cli.lab.common import find_clients, name_option, the_lab
from compiler.lab import request as requesting
from compiler.lab.errors import LabError
from compiler.lab.layout import FAMILIES, Target
from compiler.lab.run_directory import netns_name


@click.command()
@click.argument("service", metavar="SERVICE[:PORT]")
@click.option(
    "--from",
    "client",
    metavar="CLIENT",
    help="Who calls; `lab status` lists them. A pattern (`client-*`) has each of them call.",
)
@click.option("--count", default=1, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--every",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time from one request to the next; each answer is then shown as it comes.",
)
@click.option(
    "--via",
    type=click.Choice(requesting.WAYS),
    help="The way in. A pod or the node takes the cluster IP, an outside client the first of "
    "load-balancer, external IP and node port.",
)
@click.option("--protocol", type=click.Choice(["tcp", "udp"]), help="Where a port has both.")
@click.option(
    "--ip-family",
    type=click.Choice([family.value for family in FAMILIES]),
    help="Where the Service has both.",
)
@click.option(
    "--source", is_flag=True, help="Also show the client's address as the endpoint saw it."
)
@click.option(
    "--timeout",
    default=requesting.TIMEOUT_SECONDS,
    show_default=True,
    type=click.FloatRange(min=0.01),
    metavar="SECONDS",
    help="How long an answer may take.",
)
@name_option
def request(  # noqa: PLR0913, PLR0917 - one parameter an option
    service: str,
    client: str | None,
    count: int,
    every: float | None,
    via: str | None,
    protocol: str | None,
    ip_family: str | None,
    source: bool,
    timeout: float,
    name: str,
) -> None:
    """Call a Service, each time over a new connection, and tally who answers.

    SERVICE is NAME or NAMESPACE/NAME, PORT a port's name or number (the first by default). What
    gets no answer is `refused`, `timed out` (dropped on the way) or `unreachable`.
    """
    state = the_lab(name)
    members = find_clients(state, client)
    target = requesting.pick_target(
        state.layout.targets, service, ip_family or "", (protocol or "").upper()
    )
    via = via or requesting.way_for(target, members[0])
    address, port = requesting.call_for(target, via, state.layout.node)
    call = requesting.Call(address, port, _protocol(target), timeout=timeout)
    spaces = [netns_name(name, member.name) for member in members]
    names: list[str] = []
    begin = time.monotonic()
    try:
        for answer in requesting.requests(spaces, call, count, every or 0):
            shown = f"{answer.name}  from {answer.seen}" if source and answer.seen else answer.name
            names.append(shown)
            if every is not None:
                click.echo(f"{time.monotonic() - begin:8.1f} s  {shown}")
    finally:
        # Ctrl-C ends a long watch; what was seen until then is the result.
        _show(requesting.tally(names))


def _protocol(target: Target) -> str:
    if target.protocol == "SCTP":
        raise LabError(f"{target.name} is SCTP, which the lab's servers don't speak")
    return target.protocol


def _show(tally: list[tuple[int, str]]) -> None:
    width = max((len(str(count)) for count, _ in tally), default=0)
    for count, name in tally:
        click.echo(f"{count:>{width}}  {name}")
