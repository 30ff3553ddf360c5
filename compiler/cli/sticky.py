"""`proxyrules sticky`: what session affinity does with clients while a cluster changes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compiler.cli.collector import paused_collector
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, Section, option
from compiler.cli.options import (
    CompileOptions,
    compile_options_with,
    flag,
    format_option,
    manifests_argument,
    output_option,
)
from compiler.cli.output import check_paths, report, write_output

if TYPE_CHECKING:
    from compiler.cli.sticky_report import Report

F = TypeVar("F", bound=Callable[..., Any])

VIAS = ("cluster-ip", "node-port", "external-ip", "load-balancer")


@dataclass(frozen=True)
class StickyOptions:
    """What the command line says of the Service, its clients, and what happens to them."""

    service: str = ""
    via: str = "cluster-ip"
    nodes: str = ""
    spread: bool = False
    masqueraded: str = ""
    clients: int | None = None
    from_: str = ""
    every: str = "20s"
    exponential: bool = False
    trace: str = ""
    for_: str = ""
    at: tuple[str, ...] = ()
    events: str = ""
    watch: str = ""
    watch_every: str = ""
    lag: str = "1s"
    pod_start: str = "5s"
    grace: str = ""
    ip_list_tot: int = 100
    hz: int = 250
    seed: int = 0
    compare: tuple[str, ...] = ()
    timeout: str = ""
    policy: str = ""
    expect: tuple[str, ...] = ()


_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--service",),
        {"metavar": "NAME", "help": "The Service port, such as web or default/web:http."},
    ),
    (
        ("--via",),
        {"type": click.Choice(VIAS), "default": VIAS[0], "help": "How clients reach it."},
    ),
    (
        ("--nodes",),
        {
            "metavar": "NAMES",
            "help": "The nodes that clients come in by, separated by commas, or all; each client "
            "keeps to one.",
        },
    ),
    (
        ("--spread",),
        {"is_flag": True, "help": "Let each connection come in by a random one of these nodes."},
    ),
    (
        ("--masqueraded", "masqueraded"),
        {
            "metavar": "IP",
            "help": "A load balancer masquerades: all clients have this address.",
        },
    ),
    (
        ("--clients",),
        {"type": click.IntRange(1), "metavar": "N", "help": "How many clients; 100 by default."},
    ),
    (
        ("--from", "from_"),
        {"metavar": "CIDR|FILE", "help": "The clients' addresses: a network, or one per line."},
    ),
    (
        ("--every",),
        {
            "metavar": "TIME",
            "default": "20s",
            "help": "How often each client makes a new connection; 20s by default.",
        },
    ),
    (
        ("--exponential",),
        {"is_flag": True, "help": "Make these intervals random, with --every as their mean."},
    ),
    (
        ("--trace",),
        {
            "metavar": "FILE",
            "type": click.Path(),
            "help": "The connections: a line with seconds and address for each.",
        },
    ),
    (
        ("--for", "for_"),
        {"metavar": "TIME", "help": "How long to play; 1h by default, or as long as the trace."},
    ),
    (
        ("--at",),
        {
            "metavar": "TIME=EVENT",
            "multiple": True,
            "help": "Something that happens, such as 10m=rollout:web, 40m=scale:web=5 or "
            "1h=new.yaml; may be repeated. docs/sticky.md lists all events.",
        },
    ),
    (
        ("--events",),
        {"metavar": "FILE", "type": click.Path(), "help": "A file of events (at:, event:)."},
    ),
    (
        ("--watch",),
        {
            "metavar": "FILE",
            "type": click.Path(),
            "help": "A recorded kubectl get endpointslices --watch -o json.",
        },
    ),
    (
        ("--watch-every",),
        {"metavar": "TIME", "help": "The time between recorded changes that have no times."},
    ),
    (
        ("--lag",),
        {
            "metavar": "TIME",
            "default": "1s",
            "help": "How long rules are behind the Pods; 1s by default.",
        },
    ),
    (
        ("--pod-start",),
        {"metavar": "TIME", "default": "5s", "help": "Until a new Pod is ready; 5s by default."},
    ),
    (
        ("--grace",),
        {
            "metavar": "TIME",
            "help": "How long a terminating Pod serves; its grace period by default.",
        },
    ),
    (
        ("--ip-list-tot",),
        {
            "type": click.IntRange(1),
            "metavar": "N",
            "default": 100,
            "help": "Addresses per list (xt_recent's parameter); 100 by default.",
        },
    ),
    (
        ("--hz",),
        {
            "type": click.IntRange(100, 1000),
            "metavar": "N",
            "default": 250,
            "help": "Jiffies per second (CONFIG_HZ); 250 by default.",
        },
    ),
    (("--seed",), {"type": int, "metavar": "N", "default": 0, "help": "Seed of all chance."}),
    (
        ("--compare",),
        {
            "metavar": "KEY=A,B,…",
            "multiple": True,
            "help": "Play variants side by side, by timeout (or none), policy (Cluster, Local), "
            "ip_list_tot, clients, every, lag or grace; repeated, all combinations.",
        },
    ),
    (
        ("--expect",),
        {
            "metavar": "FIGURE",
            "multiple": True,
            "help": "Exit with 1 unless this holds, such as moved<5% or lost=0; may be repeated.",
        },
    ),
)


def sticky_options(command: F) -> F:
    """Give a command these options, as one argument `asked` (a `StickyOptions`)."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        names = [one for one in StickyOptions.__dataclass_fields__ if one in kwargs]
        given = {name: kwargs.pop(name) for name in names}
        asked = StickyOptions(**{name: one for name, one in given.items() if one is not None})
        return command(*args, asked=asked, **kwargs)

    decorated: Any = with_options
    for names, attributes in reversed(_OPTIONS):
        decorated = option(*names, **attributes)(decorated)
    result: F = decorated
    return result


@click.command(
    "sticky",
    cls=Command,
    examples=[
        "proxyrules sticky shop.yaml --clients 450 --every 20s --at 10m=rollout",
        "proxyrules sticky shop.yaml --compare timeout=30,300,10800 --expect 'lost=0'",
    ],
)
@manifests_argument
@sticky_options
@compile_options_with(nodes=False, implied=True)
@format_option(
    "text for people, json for programs, csv for tables of samples.", "text", "json", "csv"
)
@option(
    "--plot",
    metavar="FILE",
    type=click.Path(),
    section=Section.OUTPUT,
    help="Also draw the run into FILE (.svg, .png or .pdf); needs proxyrules[plot].",
)
@output_option("Where to write the answer.")
@flag("-q", "--quiet", section=Section.OUTPUT, text="Print warnings only beside the answer.")
@paused_collector()
def sticky_command(
    *,
    manifests: tuple[str, ...],
    asked: StickyOptions,
    options: CompileOptions,
    format_: str,
    plot: str | None,
    output: str | None,
    quiet: bool,
) -> None:
    """Play what session affinity does with clients while Pods come and go.

    MANIFEST is as for compile, with Deployments and Pods as well; what the control plane adds is
    added. It may also be one file of rules. Time is simulated, and the rules decide: each new
    connection goes through them and through the xt_recent lists that they keep.
    """
    from compiler.cli.sticky_report import play_all
    from compiler.errors import InputError, Problem

    inputs = [*manifests, *options.paths, asked.events, asked.watch, asked.trace]
    check_paths([one or None for one in inputs], output)
    if plot is not None and plot == output:
        raise InputError(Problem(plot, "named twice", "choose another file for --plot"))
    if plot is not None:
        from compiler.cli.plotting import check_plot

        check_plot(plot)
    played = play_all(manifests, asked, options, quiet=quiet)
    if plot is not None:
        from compiler.cli.sticky_plot import write_plot

        write_plot(played.answers, plot)
    _write(played, format_, output)
    for words in played.unmet:
        report(f"not as expected: {words}")
    sys.exit(ExitCode.DIFFERENT if played.unmet else ExitCode.DONE)


def _write(played: Report, format_: str, output: str | None) -> None:
    from compiler.cli.sticky_formats import as_csv, as_json, as_text
    from compiler.cli.terminal import can_show_bars

    if format_ == "json":
        write_output([as_json(played)], output)
    elif format_ == "csv":
        write_output(as_csv(played), output)
    else:
        bars = output not in (None, "-") or can_show_bars()
        write_output((line + "\n" for line in as_text(played, bars=bars)), output)
