"""`proxyrules lab request`: call a Service and count the answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import click

from compiler.cli.help import Command
from compiler.cli.lab.common import find_clients, name_option, node_namespace, the_lab
from compiler.cli.output import report
from compiler.family import Family
from compiler.lab import request as requesting
from compiler.lab import serving
from compiler.lab.errors import LabError, LabUsageError, NamespaceGoneError
from compiler.lab.layout import Target
from compiler.lab.run_directory import State, netns_name

EXAMPLES = (
    "proxyrules lab request web --count 100",
    "proxyrules lab request dns/dns:53 --protocol udp --from node",
    "proxyrules lab request web --from outside-1 --via node-port --source",
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("service", metavar="SERVICE[:PORT]")
@click.option(
    "--from",
    "client",
    metavar="MEMBER",
    help="The member that calls (see `lab status`). Each member that a pattern such as "
    "'client-*' matches calls in turn.",
)
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of requests, per caller.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time from one request to the next; each answer is then shown as it comes.",
)
@click.option(
    "--via",
    type=click.Choice(requesting.ENTRY_POINTS),
    help="The address to call. By default pods and the node call the cluster IP, outside clients "
    "the first that exists of load-balancer IP, external IP and node port.",
)
@click.option(
    "--protocol",
    type=click.Choice(["tcp", "udp"]),
    help="Which of two ports of the same name or number.",
)
@click.option(
    "--ip-family",
    type=click.Choice([family.value for family in Family]),
    help="Which family of a dual-stack Service.",
)
@click.option("--source", is_flag=True, help="Show the client's address as the endpoint saw it.")
@click.option(
    "--timeout",
    default=requesting.TIMEOUT_SECONDS,
    show_default=True,
    type=click.FloatRange(min=0.01),
    metavar="SECONDS",
    help="How long to wait for an answer.",
)
@name_option
def request(  # noqa: PLR0913 - one parameter per option
    *,
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
    """Call SERVICE, each time over a new connection, and count the answers per endpoint.

    SERVICE is NAME or NAMESPACE/NAME; NAMESPACE is required only if several namespaces, but not
    `default`, have a Service of this name. PORT is a port's name or number, the first port by
    default. A request without an answer counts as `refused`, `timed out` (dropped) or
    `unreachable`.
    """
    state = the_lab(name)
    members = find_clients(state, client)
    target = requesting.pick_target(
        state.layout, service, family=ip_family or "", protocol=(protocol or "").upper()
    )
    via = via or requesting.default_entry_point(target, members[0])
    address, port = requesting.address_of(target, via, state.layout.node)
    call = requesting.Call(address, port, _protocol(target), timeout=timeout)
    spaces = [netns_name(name, member.name) for member in members]
    answers: list[requesting.Answer] = []
    begin = time.monotonic()
    try:
        for answer in _requests(state, spaces, call, count=count, every=every or 0):
            answers.append(answer)
            if every is not None:
                seconds = time.monotonic() - begin
                click.echo(f"{seconds:8.1f} s  {_shown(answer, source=source)}")
    finally:
        # Ctrl-C ends a long watch; what was seen until then is the result.
        _show(requesting.tally(_shown(answer, source=source) for answer in answers))
    if any(answer.name in requesting.FAILURES for answer in answers):
        _explain(state, target, via)


def _protocol(target: Target) -> str:
    if target.protocol == "SCTP":
        raise LabUsageError(f"{target.name} is SCTP, which the lab's servers don't speak")
    return target.protocol


def _requests(
    state: State, namespaces: Sequence[str], call: requesting.Call, *, count: int, every: float
) -> Iterator[requesting.Answer]:
    try:
        yield from requesting.requests(namespaces, call, count, every)
    except NamespaceGoneError:
        message = f'the lab "{state.name}" was removed while requests were made'
        raise LabError(message) from None


def _explain(state: State, target: Target, via: str) -> None:
    """Say why requests went unanswered, as far as that is known.

    Raises LabError where it has nothing to do with the rules.
    """
    if serving.server_pid(state.name, node_namespace(state)) is None:
        raise serving.gone(state.name)
    inside = via == requesting.CLUSTER_IP
    if reason := target.unserved_inside if inside else target.unserved_outside:
        report(f"the rules reject or drop requests to {target.name}: {reason}")


def _shown(answer: requesting.Answer, *, source: bool) -> str:
    return f"{answer.name}  from {answer.seen}" if source and answer.seen else answer.name


def _show(tally: Iterable[tuple[int, str]]) -> None:
    rows = list(tally)
    width = max((len(str(count)) for count, _ in rows), default=0)
    for count, name in rows:
        click.echo(f"{count:>{width}}  {name}")
