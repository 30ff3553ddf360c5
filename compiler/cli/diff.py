"""`proxyrules diff`: what changes for traffic."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

import click

from compiler.analysis.diff import diff_rules
from compiler.analysis.unified import unified_diff
from compiler.cli.colour import Paint, paint_for_stdout, plain, shown
from compiler.cli.diff_formats import as_json, as_markdown, as_text
from compiler.cli.options import CompileOptions, compile_options
from compiler.cli.output import write_output
from compiler.cli.rules_input import Rules, choose_family, load_rules, open_input, tell_about

EXIT_SAME = 0
EXIT_DIFFERENT = 1


@click.command("diff")
@click.argument("old", metavar="OLD", type=click.Path(allow_dash=True))
@click.argument("new", metavar="[NEW]", required=False, type=click.Path(allow_dash=True))
@compile_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown", "unified"]),
    default="text",
    help="text for people, json for programs, markdown for a pull request, unified for patch.",
)
@click.option("--from-version", metavar="X.Y", help="The Kubernetes version that OLD is for.")
@click.option("--to-version", metavar="X.Y", help="The Kubernetes version that NEW is for.")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="Where to write the answer."
)
@click.option("-v", "--verbose", is_flag=True, help="Also show the rules behind each change.")
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
) -> None:
    """Say what changes for traffic between OLD and NEW, service port by service port.

    OLD and NEW are manifests (a file, a folder or -) or rules: restore text, what iptables-save or
    iptables -S prints, a kube-proxy log. With --from-version and --to-version NEW may be left out:
    the same manifests under two Kubernetes versions.

    Exits with 0 where nothing changes, 1 where something does, 2 where the input is wrong.
    """
    if new is None and not (from_version or to_version):
        raise click.UsageError("NEW is missing (or give --from-version and --to-version).")
    first, second = _load(old, new, options, from_version, to_version)
    for side in (first, second):
        tell_about(side, verbose=verbose)
    paint = paint_for_stdout() if output in (None, "-") else plain
    if format_ == "unified":
        lines = [*unified_diff(first.ruleset, second.ruleset, (first.name, second.name))]
        write_output(_ended(_painted(lines, paint)), output)
        sys.exit(EXIT_DIFFERENT if lines else EXIT_SAME)
    difference = diff_rules(first.ruleset, second.ruleset)
    if format_ == "json":
        write_output([as_json(difference)], output)
    elif format_ == "markdown":
        write_output(_ended(as_markdown(difference)), output)
    else:
        write_output(_ended(as_text(difference, paint, rules=verbose)), output)
    sys.exit(EXIT_SAME if difference.same else EXIT_DIFFERENT)


def _load(
    old: str,
    new: str | None,
    options: CompileOptions,
    from_version: str | None,
    to_version: str | None,
) -> tuple[Rules, Rules]:
    first = open_input([old])
    second = first if new is None else open_input([new])
    for side, name, version in (
        (first, "--from-version", from_version),
        (second, "--to-version", to_version),
    ):
        if version and not side.manifests:
            raise click.UsageError(f"{name} is for manifests, and {side.name} is rules.")
    family = choose_family((first, second), options)
    versions = (from_version or options.kube_version, to_version or options.kube_version)
    sides = []
    for side, version in zip((first, second), versions, strict=True):
        loaded = load_rules(side, replace(options, kube_version=version), family)
        family = loaded.ruleset.family
        named = version and (from_version or to_version)
        sides.append(replace(loaded, name=f"{side.name} ({version})") if named else loaded)
    if sides[0].ruleset.family != sides[1].ruleset.family:
        sides[0] = load_rules(first, replace(options, kube_version=versions[0]), family)
    return sides[0], sides[1]


def _painted(lines: Iterable[str], paint: Paint) -> Iterator[str]:
    colours = {"-": "red", "+": "green", "@": "cyan"}
    for line in lines:
        colour = colours.get(line[:1])
        yield paint(shown(line) if paint is not plain else line, colour) if colour else line


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
