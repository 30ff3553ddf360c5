"""`proxyrules verify`: whether a node has the rules that it should have."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import paint_for_stdout, plain
from compiler.cli.exit_codes import ExitCode
from compiler.cli.fleet_options import FleetOptions, fleet_options
from compiler.cli.help import Command, Section, option
from compiler.cli.options import (
    CompileOptions,
    compile_options,
    flag,
    format_option,
    manifests_argument,
    output_option,
)
from compiler.cli.output import check_paths, write_output

if TYPE_CHECKING:
    from compiler.cli.rules_input import Rules
    from compiler.cli.verify_formats import Report


@click.command(
    "verify",
    cls=Command,
    examples=[
        "proxyrules verify cluster.yaml --node worker-1 --live",
        "iptables-save | proxyrules verify cluster.yaml --node worker-1 --against -",
        "proxyrules verify cluster.yaml --fleet dumps/ --resume dumps.state",
    ],
)
@manifests_argument
@option(
    "--against",
    metavar="SAVE",
    type=click.Path(allow_dash=True),
    help="The node's rules: output of iptables-save or iptables -S, or - for standard input.",
)
@flag("--live", text="Read this machine's rules with iptables-save.")
@fleet_options
@compile_options
@format_option(
    "text for people, json for programs, github for annotations, junit for test reports, html "
    "(with --fleet) for a browser.",
    "text",
    "json",
    "github",
    "junit",
    "html",
)
@output_option("Where to write the findings.")
@flag("-v", "--verbose", section=Section.OUTPUT, text="Show every finding.")
@paused_collector()
def verify_command(
    *,
    manifests: tuple[str, ...],
    against: str | None,
    live: bool,
    fleet: FleetOptions,
    options: CompileOptions,
    format_: str,
    output: str | None,
    verbose: bool,
) -> None:
    """Check that nodes have the rules that their manifests give.

    Other programs' rules are ignored, unless they change what happens to kube-proxy's packets.
    MANIFEST may also be one file of rules that the node should have. --fleet checks the dumps of
    many nodes.
    """
    if fleet.is_given:
        from compiler.cli.fleet_verify import verify_fleet_command

        if live or against is not None:
            raise click.UsageError("--fleet can't be combined with --against or --live")
        verify_fleet_command(manifests, fleet, options, format_, output, verbose=verbose)
    if live and against is not None:
        raise click.UsageError("--against and --live can't be combined")
    if not live and against is None:
        raise click.UsageError("give --against SAVE, --live or --fleet DUMPS")
    if format_ == "html":
        raise click.UsageError("--format html is for --fleet")
    check_paths([*manifests, against, *options.paths], output)
    report = _of_one_node(manifests, against, options, verbose=verbose)
    _write(report, format_, output, verbose=verbose)
    sys.exit(ExitCode.DIFFERENT if report.failed else ExitCode.DONE)


def _of_one_node(
    manifests: tuple[str, ...], against: str | None, options: CompileOptions, *, verbose: bool
) -> Report:
    from compiler.cli.rules_input import (
        gathered,
        load_sides,
        open_input,
        open_live,
        open_rules,
        report_left_out,
        report_reading,
    )

    sides = gathered(
        lambda: open_input(manifests),
        lambda: open_live() if against is None else open_rules(against),
    )
    wanted, found = load_sides(sides, options)
    report_reading(wanted, verbose=verbose)
    report_left_out(found)
    return _report(wanted, found, against)


def _report(wanted: Rules, found: Rules, against: str | None) -> Report:
    from compiler.analysis.effects import NO_EFFECTS, effects
    from compiler.analysis.verify import verify_rules
    from compiler.cli.verify_formats import Report
    from compiler.kube_rules.chains import is_kube_proxy_chain
    from compiler.kube_rules.node_rules import NodeRules
    from compiler.netfilter.index import sizes

    findings = verify_rules(wanted.ruleset, found.ruleset, found.other_backend)
    faulty = any(finding.severity == "error" for finding in findings)
    counts = [
        sizes(held, partial(is_kube_proxy_chain, table))
        for table, held in wanted.ruleset.tables.items()
    ]
    path = against if against and against != "-" and Path(against).is_file() else ""
    return Report(
        findings,
        found.name,
        path,
        sum(rules for rules, _ in counts),
        sum(chains for _, chains in counts),
        NodeRules(wanted.ruleset),
        effects(wanted.ruleset, found.ruleset) if faulty else NO_EFFECTS,
    )


def _write(report: Report, format_: str, output: str | None, *, verbose: bool) -> None:
    from compiler.cli.verify_formats import as_github, as_json, as_junit, as_text

    paint = paint_for_stdout() if output in (None, "-") else plain
    if format_ == "json":
        write_output([as_json(report)], output)
    elif format_ == "github":
        write_output(_ended(as_github(report)), output)
    elif format_ == "junit":
        write_output(_ended(as_junit(report)), output)
    else:
        write_output(_ended(as_text(report, paint, verbose=verbose)), output)


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
