"""`proxyrules matrix`: where every Service leads, node by node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import Paint, paint_for_stdout, plain
from compiler.cli.help import Command
from compiler.cli.matrix_options import Chosen, chosen_options, made_nodes
from compiler.cli.options import (
    CompileOptions,
    compile_options_with,
    format_option,
    manifests_argument,
    output_option,
)
from compiler.cli.output import check_paths, write_output

if TYPE_CHECKING:
    from compiler.analysis.matrix import Matrix


@click.command(
    "matrix",
    cls=Command,
    examples=[
        "proxyrules matrix cluster.yaml --service shop/web",
        "proxyrules matrix cluster.yaml --nodes worker-1,worker-2 --format html -o matrix.html",
        "proxyrules matrix worker-1.save worker-2.save",
    ],
)
@manifests_argument
@chosen_options
@compile_options_with(nodes=False)
@format_option(
    "text for people, markdown for a pull request, json and csv for programs, html for browsers.",
    "text",
    "markdown",
    "json",
    "csv",
    "html",
)
@output_option("Where to write the matrix.")
@paused_collector()
def matrix_command(
    *,
    manifests: tuple[str, ...],
    chosen: Chosen,
    options: CompileOptions,
    format_: str,
    output: str | None,
) -> None:
    """Print where every entry point of a Service leads, by sender and node.

    Rows are entry points (addresses and ports) by who sends: a pod of the node, the node itself, a
    client outside, localhost. Columns are nodes; those with the same cells are one. MANIFEST may
    also be files of rules, one per node: restore text, or the output of iptables-save.
    """
    from compiler.analysis.matrix import make_matrix
    from compiler.cli.matrix_input import load_side, open_side

    check_paths([*manifests, *options.paths], output)
    options, chosen = made_nodes(options, chosen)
    side = load_side(open_side(manifests), options, chosen)
    matrix = make_matrix(side.columns, side.keys)
    paint = paint_for_stdout() if output in (None, "-") else plain
    write_output(_formatted(matrix, format_, paint), output)


def _formatted(matrix: Matrix, format_: str, paint: Paint) -> Iterable[str]:
    from compiler.cli.matrix_formats import as_csv, as_json, as_markdown
    from compiler.cli.matrix_html import as_html
    from compiler.cli.matrix_text import as_text

    if format_ == "json":
        return [as_json(matrix)]
    if format_ == "text":
        return _ended(as_text(matrix, paint))
    return _ended({"markdown": as_markdown, "csv": as_csv, "html": as_html}[format_](matrix))


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
