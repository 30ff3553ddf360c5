"""`proxyrules diff`: what changes for traffic."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import Paint, paint_for_stdout, plain, shown
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, Section, option
from compiler.cli.matrix_options import Chosen, chosen_options, made_nodes
from compiler.cli.options import (
    CompileOptions,
    compile_options_with,
    flag,
    format_option,
    output_option,
)
from compiler.cli.output import check_paths, write_output

if TYPE_CHECKING:
    from compiler.analysis.diff import RulesDiff
    from compiler.cli.rules_input import Rules


@click.command(
    "diff",
    cls=Command,
    examples=[
        "proxyrules diff main.yaml branch.yaml --node worker-1 --format markdown",
        "proxyrules diff cluster.yaml --node worker-1 --from-version 1.33 --to-version 1.35",
        "proxyrules diff main.yaml branch.yaml --all-nodes",
        "iptables-save | proxyrules diff before.save -",
    ],
)
@click.argument("old", metavar="OLD", type=click.Path(allow_dash=True))
@click.argument("new", metavar="[NEW]", required=False, type=click.Path(allow_dash=True))
@flag("--matrix", text="Show which cells of the matrix change, on all nodes (see matrix).")
@chosen_options
@option("--from-version", metavar="X.Y", help="The Kubernetes version of OLD.")
@option("--to-version", metavar="X.Y", help="The Kubernetes version of NEW.")
@compile_options_with(nodes=False)
@format_option(
    "text for people, json for programs, markdown for a pull request, mermaid for one with "
    "pictures, unified for patch.",
    "text",
    "json",
    "markdown",
    "mermaid",
    "unified",
)
@output_option("Where to write the differences.")
@flag("-v", "--verbose", section=Section.OUTPUT, text="Also show the rules behind each change.")
@paused_collector()
def diff_command(
    *,
    old: str,
    new: str | None,
    options: CompileOptions,
    format_: str,
    from_version: str | None,
    to_version: str | None,
    output: str | None,
    verbose: bool,
    chosen: Chosen,
) -> None:
    """Report what changes for traffic between OLD and NEW, per service port.

    OLD and NEW are manifests (a file, a folder or -) or rules: restore text, the output of
    iptables-save or iptables -S, or a kube-proxy log. With --from-version and --to-version NEW may
    be omitted: the same manifests are compared under two Kubernetes versions.
    """
    from compiler.analysis.diff import diff_rules
    from compiler.analysis.unified import unified_diff
    from compiler.cli.rules_input import report_reading

    if new is None and not (from_version or to_version):
        raise click.UsageError("NEW is missing (or give --from-version and --to-version)")
    check_paths([old, new, *options.paths], output)
    options, chosen = made_nodes(options, chosen)
    if chosen != Chosen():
        versions = from_version, to_version
        _diff_several_nodes(old, new, options, versions, chosen, (format_, output))
    first, second = _load(old, new, options, from_version, to_version)
    for side in (first, second):
        report_reading(side, verbose=verbose)
    paint = paint_for_stdout() if output in (None, "-") else plain
    if format_ == "unified":
        lines = [*unified_diff(first.ruleset, second.ruleset, (first.name, second.name))]
        write_output(_ended(_painted(lines, paint)), output)
        sys.exit(ExitCode.DIFFERENT if lines else ExitCode.DONE)
    difference = diff_rules(first.ruleset, second.ruleset)
    left_out = dict.fromkeys((*first.not_compared, *second.not_compared))
    difference = replace(difference, not_compared=(*difference.not_compared, *left_out))
    pictures = format_ == "mermaid" and _pictures(difference, first, second, options)
    write_output(pictures or _formatted(difference, format_, paint, rules=verbose), output)
    sys.exit(ExitCode.DONE if difference.same else ExitCode.DIFFERENT)


def _diff_several_nodes(  # one call
    old: str,
    new: str | None,
    options: CompileOptions,
    versions: tuple[str | None, str | None],
    chosen: Chosen,
    written: tuple[str, str | None],
) -> NoReturn:
    """Compare matrices, or the rules of all nodes."""
    from compiler.cli import diff_matrix, diff_nodes

    format_, output = written
    paint = paint_for_stdout() if output in (None, "-") else plain
    if chosen.matrix:
        cells = diff_matrix.matrix_diff(old, new or old, options, versions, chosen)
        write_output(diff_matrix.formatted(cells, format_, paint), output)
        sys.exit(ExitCode.DONE if cells.same else ExitCode.DIFFERENT)
    if chosen != Chosen(all_nodes=True):
        raise click.UsageError("--nodes and --service are for --matrix")
    found = diff_nodes.nodes_diff(old, new or old, options, versions)
    write_output(diff_nodes.formatted(found, format_, paint), output)
    sys.exit(ExitCode.DONE if found.same else ExitCode.DIFFERENT)


def _formatted(difference: RulesDiff, format_: str, paint: Paint, *, rules: bool) -> Iterable[str]:
    from compiler.cli.diff_formats import as_json, as_markdown, as_text

    if format_ == "json":
        return [as_json(difference)]
    if format_ == "markdown":
        return _ended(as_markdown(difference))
    return _ended(as_text(difference, paint, rules=rules))


def _pictures(
    difference: RulesDiff, first: Rules, second: Rules, options: CompileOptions
) -> Iterable[str]:
    from compiler.cli.diff_mermaid import Side, as_mermaid_markdown

    sides = Side(first, options), Side(second, options)
    return _ended(as_mermaid_markdown(difference, *sides))


def _load(
    old: str,
    new: str | None,
    options: CompileOptions,
    from_version: str | None,
    to_version: str | None,
) -> tuple[Rules, Rules]:
    from compiler.cli.rules_input import gathered, load_sides, open_input

    paths = [old] if new is None else [old, new]
    sides = gathered(*(partial(open_input, [path]) for path in paths))
    first, second = sides[0], sides[-1]
    for side, name, version in (
        (first, "--from-version", from_version),
        (second, "--to-version", to_version),
    ):
        if version and not side.manifests:
            raise click.UsageError(f"{name} is for manifests, but {side.name} is rules")
    versions = (from_version or options.kube_version, to_version or options.kube_version)
    loaded = load_sides(
        (first, second), *(replace(options, kube_version=version) for version in versions)
    )
    if from_version or to_version:
        loaded = tuple(
            replace(side, name=f"{side.name} ({version})") if version else side
            for side, version in zip(loaded, versions, strict=True)
        )
    return loaded[0], loaded[1]


def _painted(lines: Iterable[str], paint: Paint) -> Iterator[str]:
    colours = {"-": "red", "+": "green", "@": "cyan"}
    for line in lines:
        colour = colours.get(line[:1])
        yield paint(shown(line) if paint is not plain else line, colour) if colour else line


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
