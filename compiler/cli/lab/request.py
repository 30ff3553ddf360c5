"""`proxyrules lab request`: call a Service and count the answers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command
from compiler.cli.lab.common import (
    Duration,
    find_clients,
    name_option,
    node_namespace,
    plot_option,
    the_lab,
)
from compiler.cli.lab.redraw import can_redraw
from compiler.cli.output import report
from compiler.family import Family
from compiler.lab import request as requesting
from compiler.lab import serving
from compiler.lab.errors import LabError, LabUsageError, NamespaceGoneError
from compiler.lab.layout import Target
from compiler.lab.run_directory import State

if TYPE_CHECKING:
    from compiler.cli.lab.redraw import View
    from compiler.cli.lab.request_text import Drawing
    from compiler.lab.experiment import Experiment
    from compiler.lab.observation import Observation, Plan

EXAMPLES = (
    "proxyrules lab request web --count 100",
    "proxyrules lab request web --count 60 --every 500ms --plot answers.svg",
    "proxyrules lab request web --watch",
    "proxyrules lab request dns/dns:53 --protocol udp --from node",
    "proxyrules lab request web --from outside-1 --via node-port --source",
)
# The time between the rounds of --watch where --every does not give another, in seconds.
WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class Asked:
    """The options of the command."""

    client: str | None
    count: int | None
    every: float | None
    watch: bool
    bars: bool | None
    plot: str | None
    via: str | None
    protocol: str | None
    ip_family: str | None
    source: bool
    timeout: float

    @property
    def rounds(self) -> int | None:
        """How many requests each caller makes, None for ever."""
        return self.count if self.count or self.watch else 1

    @property
    def interval(self) -> float:
        """The time from one round to the next in seconds, 0 without a pause."""
        return self.every or (WATCH_SECONDS if self.watch and self.every is None else 0)


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
    type=click.IntRange(min=1),
    help="Number of requests, per caller; 1 by default, with --watch until Ctrl-C.",
)
@click.option(
    "--every",
    type=Duration(),
    metavar="TIME",
    help="Time from one request to the next, such as 500ms; each answer is then shown as it comes.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Follow the answers live until Ctrl-C, a request every second unless --every differs.",
)
@click.option(
    "--bars/--no-bars",
    default=None,
    help="Draw a bar per endpoint, with what the rules give on average, and say whether the "
    "difference is chance. By default on a terminal, for more than one request.",
)
@plot_option("Also draw the answers into FILE")
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
    type=Duration(0.01),
    metavar="TIME",
    help=f"How long to wait for an answer; {requesting.TIMEOUT_SECONDS:g}s by default.",
)
@name_option
def request(*, service: str, name: str, **options: Any) -> None:
    """Call SERVICE, each time over a new connection, and count the answers per endpoint.

    SERVICE is NAME or NAMESPACE/NAME; NAMESPACE is required only if several namespaces, but not
    `default`, have a Service of this name. PORT is a port's name or number, the first port by
    default. A request without an answer counts as `refused`, `timed out` (dropped) or
    `unreachable`.
    """
    from compiler.lab.observation import Observation

    asked = Asked(**options)
    if asked.plot is not None:
        from compiler.cli.plotting import check_plot

        check_plot(asked.plot)
    state = the_lab(name)
    plan, via = _plan(state, service, asked)
    observation = Observation(plan, following=asked.watch)
    pictured = _pictured(asked, plan)
    if pictured or asked.plot or (asked.watch and can_redraw()):
        observation.begin()
    interrupted = False
    try:
        _make(observation, asked)
    except KeyboardInterrupt:
        if not asked.watch:
            raise
        interrupted = True
    finally:
        # Ctrl-C ends a long watch; what was seen until then is the result.
        _show(observation, asked, pictured=pictured)
    if any(reply.answer.name in requesting.FAILURES for reply in observation.replies):
        _explain(state, plan.target, via)
    if interrupted:
        sys.exit(ExitCode.INTERRUPTED)


def _plan(state: State, service: str, asked: Asked) -> tuple[Plan, str]:
    """Return what is to be done, and by which entry point."""
    from compiler.lab.observation import Plan

    members = find_clients(state, asked.client)
    target = requesting.pick_target(
        state.layout,
        service,
        family=asked.ip_family or "",
        protocol=(asked.protocol or "").upper(),
    )
    via = asked.via or requesting.default_entry_point(target, members[0])
    address, port = requesting.address_of(target, via, state.layout.node)
    call = requesting.Call(address, port, _protocol(target), timeout=asked.timeout)
    return Plan(state.name, target, call, tuple(members), asked.interval), via


def _pictured(asked: Asked, plan: Plan) -> bool:
    """Say whether the result is drawn: where that is asked for, or there is a reader to see it."""
    if asked.bars is not None:
        return asked.bars
    several = asked.rounds is None or asked.rounds * len(plan.clients) > 1
    return several and not asked.source and sys.stdout.isatty()


def _protocol(target: Target) -> str:
    if target.protocol == "SCTP":
        raise LabUsageError(f"{target.name} is SCTP, which the lab's servers don't speak")
    return target.protocol


def _make(observation: Observation, asked: Asked) -> None:
    """Make the requests, and show them as they come where that is asked for."""
    from compiler.cli.lab.redraw import redrawn

    try:
        if asked.watch and can_redraw():
            with redrawn(_view(observation)):
                for _ in observation.make(asked.rounds):
                    pass
            return
        for reply in observation.make(asked.rounds):
            if asked.watch or asked.every is not None:
                click.echo(f"{reply.at:8.1f} s  {_shown(reply.answer, source=asked.source)}")
    except NamespaceGoneError:
        message = f'the lab "{observation.plan.lab}" was removed while requests were made'
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


def _view(observation: Observation) -> View:
    """Return what --watch shows."""
    from compiler.cli.lab.request_text import live

    drawing = replace(_drawing(), latest=True)

    def view(columns: int, rows: int) -> Sequence[str]:
        fitting = replace(drawing, width=columns)
        return live(observation.current, fitting, rows, _uncounted(observation))

    return view


def _uncounted(observation: Observation) -> list[str]:
    """Say that the rules changed while requests were made, if they did."""
    changes = len(observation.experiments) - 1
    if not observation.uncounted and changes < 1:
        return []
    count = observation.uncounted
    return [f"the rules changed; {count} request{'s'[: count != 1]} meanwhile not counted"]


def _drawing() -> Drawing:
    from compiler.cli.colour import paint_for_stdout
    from compiler.cli.lab.request_text import Drawing
    from compiler.cli.terminal import can_show_bars, terminal_width

    return Drawing(terminal_width(), can_show_bars(), paint_for_stdout())


def _show(observation: Observation, asked: Asked, *, pictured: bool) -> None:
    """Print the result: the picture, or the tally; and draw it."""
    observation.end()
    replies = observation.replies
    if not pictured or asked.source:
        _tally(_shown(reply.answer, source=asked.source) for reply in replies)
    if pictured:
        from compiler.cli.lab.request_text import picture

        pictures = ("\n".join(picture(one, _drawing())) for one in observation.experiments)
        if shown := "\n\n".join(pictures):
            click.echo(shown)
        for line in _uncounted(observation):
            click.echo(line)
    if asked.plot is not None:
        _plot(observation.experiments, asked.plot)


def _plot(experiments: Sequence[Experiment], path: str) -> None:
    if not experiments:
        report(f"{path}: not written: there are no answers to draw")
        return
    from compiler.cli.lab.request_plot import write_plot

    write_plot(experiments[-1], path)
    if len(experiments) > 1:
        report(f"{path}: drawn are the requests since the rules changed last")


def _tally(names: Iterable[str]) -> None:
    rows = requesting.tally(names)
    width = max((len(str(count)) for count, _ in rows), default=0)
    for count, name in rows:
        click.echo(f"{count:>{width}}  {name}")
