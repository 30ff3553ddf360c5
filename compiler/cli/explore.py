"""`proxyrules explore`: a page that answers where packets go, service port by service port."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector, resting_objects
from compiler.cli.help import Command, Section, option
from compiler.cli.matrix_options import Chosen, chosen_options_of, made_nodes
from compiler.cli.options import CompileOptions, compile_options_with
from compiler.cli.output import check_paths, write_output

if TYPE_CHECKING:
    from compiler.analysis.explore.values import Value

# Fewer service ports are done before a progress bar could be looked at.
PROGRESS_ABOVE = 50


@click.command(
    "explore",
    cls=Command,
    examples=[
        "proxyrules explore cluster.yaml --node worker-1 -o page.html",
        "proxyrules explore node.save --node-address 10.0.0.11 -o page.html",
        "proxyrules explore main.yaml branch.yaml --nodes worker-1,worker-2 -o change.html",
    ],
)
@click.argument(
    "arguments",
    metavar="[OLD] MANIFEST|RULES",
    nargs=-1,
    required=True,
    type=click.Path(allow_dash=True),
)
@chosen_options_of("the page")
@compile_options_with(nodes=False)
@option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(),
    required=True,
    section=Section.OUTPUT,
    help="Where to write the page; - for standard output.",
)
def explore_command(
    *, arguments: tuple[str, ...], chosen: Chosen, options: CompileOptions, output: str
) -> None:
    """Write a page to explore Services: one HTML file that needs no server and no network.

    It lists the Services, draws where the traffic of each goes, explains every rule, follows a
    packet rule by rule, and plays session affinity. Its answers are those of trace, computed ahead.

    MANIFEST is a file, a folder or - as for compile, RULES a file of rules: restore text, the
    output of iptables-save or iptables -S, or a kube-proxy log. With OLD the page shows both sides
    and what changes. Put several files of one side into a folder, or pass them by standard input.
    """
    from compiler.cli.explore_html import assemble
    from compiler.cli.explore_input import read_exploration

    if len(arguments) > 2:
        hint = "several files of one side go into a folder, or to standard input"
        raise click.UsageError(f"give one path, or OLD and NEW; {hint}")
    check_paths([*arguments, *options.paths], output)
    options, chosen = made_nodes(options, chosen)
    with paused_collector():
        document = read_exploration(arguments, options, chosen).document()
    document["details"] = _with_progress(document["details"], len(document["index"]))
    with resting_objects():
        write_output(assemble(document), output)


def _with_progress(details: Iterable[Value], count: int) -> Iterator[Value]:
    """Give details with a progress bar, where there is a terminal and much to do."""
    if count < PROGRESS_ABOVE or not sys.stderr.isatty():
        yield from details
        return
    with click.progressbar(details, length=count, label="Exploring", file=sys.stderr) as bar:
        yield from bar
