"""`proxyrules graph`: the way of a Service's traffic as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import paint_for_stdout, plain
from compiler.cli.help import Command, option
from compiler.cli.options import (
    CompileOptions,
    compile_options,
    flag,
    format_option,
    output_option,
)
from compiler.cli.output import check_paths, write_output

if TYPE_CHECKING:
    from compiler.analysis.graph.model import Graph


@click.command(
    "graph",
    cls=Command,
    examples=[
        "proxyrules graph cluster.yaml default/web --node worker-1",
        "proxyrules graph node.save default/web:http --from outside --chains",
        "proxyrules graph cluster.yaml default/web --node worker-1 --format svg -o web.svg",
    ],
)
@click.argument(
    "arguments",
    metavar="MANIFEST...|RULES [SERVICE[:PORT]]",
    nargs=-1,
    required=True,
    type=click.Path(allow_dash=True),
)
@option(
    "--from",
    "sender",
    metavar="SENDER",
    help="Only the way of one sender's packets: pod, node, outside, localhost, an address, or a "
    "Pod's name.",
)
@flag("--chains", text="Name the chains.")
@flag("--all", "all_", text="Draw every endpoint of a large Service.")
@compile_options
@format_option(
    "text for the terminal, mermaid for Markdown, dot for graphviz, svg for browsers.",
    "text",
    "mermaid",
    "dot",
    "svg",
)
@output_option("Where to write the picture.")
@paused_collector()
def graph_command(
    *,
    arguments: tuple[str, ...],
    sender: str | None,
    chains: bool,
    all_: bool,
    options: CompileOptions,
    format_: str,
    output: str | None,
) -> None:
    """Draw where a Service's traffic goes: entry points, conditions, shares, endpoints, ends.

    MANIFEST are manifests, RULES one file of rules: restore text, the output of iptables-save or
    iptables -S, or a kube-proxy log. SERVICE is NAMESPACE/NAME, with :PORT for one of its ports;
    without it all service ports are drawn, up to 20.

    Shares are of new connections. Replies, routes and other nodes are not drawn.
    """
    from compiler.analysis.graph.folding import folded
    from compiler.cli.graph_input import read_pictured, split_arguments

    paths, service = split_arguments(arguments)
    check_paths([*paths, *options.paths], output)
    if sender == "":
        raise click.UsageError("--from is empty; give pod, node, outside, localhost or an address")
    graphs = read_pictured(paths, service, options).graphs(sender or "")
    if not all_:
        graphs = [folded(graph) for graph in graphs]
    write_output(_formatted(graphs, format_, output, chains=chains), output)


def _formatted(
    graphs: Sequence[Graph], format_: str, output: str | None, *, chains: bool
) -> Iterable[str]:
    if format_ == "text":
        from compiler.cli.graph_text import as_text
        from compiler.cli.terminal import terminal_width

        paint = paint_for_stdout() if output in (None, "-") else plain
        return _ended(as_text(graphs, paint, chains=chains, width=terminal_width()))
    if format_ == "mermaid":
        from compiler.cli.graph_mermaid import as_mermaid

        return _ended(as_mermaid(graphs, chains=chains))
    if format_ == "dot":
        from compiler.cli.graph_dot import as_dot

        return _ended(as_dot(graphs, chains=chains))
    from compiler.cli.graph_svg import as_svg

    return _ended(as_svg(graphs, chains=chains))


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
