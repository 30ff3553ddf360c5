"""`proxyrules trace`: where a packet goes, and why."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import paint_for_stdout, plain
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, Section
from compiler.cli.options import (
    CompileOptions,
    compile_options,
    flag,
    format_option,
    output_option,
)
from compiler.cli.output import check_paths, report, write_output
from compiler.cli.packet_options import PacketOptions, WantedOptions, packet_options

if TYPE_CHECKING:
    from compiler.cli.trace_formats import Answer
    from compiler.cli.trace_input import Traced


@click.command(
    "trace",
    cls=Command,
    examples=[
        "proxyrules trace cluster.yaml --node worker-1 --from pod --to default/web:http",
        "proxyrules trace node.save --from 10.42.0.64 --to 10.43.0.1:443 --node-address 10.0.0.11",
        "iptables-save | proxyrules trace - --from outside --to shop/web --via node-port -v",
        "proxyrules trace cluster.yaml --node worker-1 --file flows.yaml --format junit",
    ],
)
@click.argument("inputs", metavar="MANIFEST...|RULES", nargs=-1, type=click.Path(allow_dash=True))
@packet_options
@flag("--live", text="Use this machine's rules, addresses and affinity lists.")
@compile_options
@format_option(
    "text for people, json for programs; junit and github for expectations.",
    "text",
    "json",
    "junit",
    "github",
)
@output_option("Where to write the answer.")
@flag("-v", "--verbose", section=Section.OUTPUT, text="Show every rule on the way, and why.")
@paused_collector()
def trace_command(
    *,
    inputs: tuple[str, ...],
    packet: PacketOptions,
    wanted: WantedOptions,
    live: bool,
    options: CompileOptions,
    format_: str,
    output: str | None,
    verbose: bool,
) -> None:
    """Follow a packet through a node's rules: its outcomes, their shares and what decided.

    MANIFEST are manifests, RULES one file of rules: restore text, the output of iptables-save or
    iptables -S, or a kube-proxy log. What is not given is chosen, and printed.

    Rules don't show replies, routes, other nodes, or programs that see packets before iptables
    does (eBPF).
    """
    from compiler.cli.trace_input import read_traced

    _check(inputs, packet, wanted, live=live)
    if format_ in ("junit", "github") and not wanted.given:
        raise click.UsageError(f"--format {format_} is for expectations: add --expect or --file")
    check_paths([*inputs, wanted.flow_file, *options.paths], output)
    traced = read_traced(inputs, packet, options, live=live, verbose=verbose)
    if wanted.flow_file is not None or format_ in ("junit", "github"):
        _write_flows(traced, packet, wanted, format_, output)
        return
    answers = list(_answers(traced, packet, wanted))
    for line in traced.limits:
        report(line)
    _write(traced, answers, format_, output, verbose=verbose)
    failed = any(answer.failures for answer in answers)
    sys.exit(ExitCode.DIFFERENT if failed else ExitCode.DONE)


def _check(
    inputs: tuple[str, ...], packet: PacketOptions, wanted: WantedOptions, *, live: bool
) -> None:
    if live and inputs:
        raise click.UsageError("--live and MANIFEST or RULES can't be combined")
    if not live and not inputs:
        raise click.UsageError("give MANIFEST... or RULES, or --live")
    asks = packet.to or packet.sender or packet.via or wanted.of_packet
    if wanted.flow_file is not None and asks:
        raise click.UsageError("--file can't be combined with --from, --to, --via or --expect")
    if wanted.flow_file is None and not packet.to:
        raise click.UsageError("give --to ADDRESS:PORT or --to SERVICE, or --file FLOWS")


def _write_flows(
    traced: Traced,
    packet: PacketOptions,
    wanted: WantedOptions,
    format_: str,
    output: str | None,
) -> None:
    from compiler.cli.flow_formats import results_of_file, results_of_options, write_results

    if wanted.flow_file is not None:
        results = results_of_file(traced, wanted.flow_file)
    else:
        results = results_of_options(traced, packet, wanted)
    for line in traced.limits:
        report(line)
    paint = paint_for_stdout() if output in (None, "-") else plain
    write_output(_ended(write_results(results, format_, paint)), output)
    failed = any(not one.holds for one in results.results)
    sys.exit(ExitCode.DIFFERENT if failed else ExitCode.DONE)


def _answers(traced: Traced, packet: PacketOptions, wanted: WantedOptions) -> Iterator[Answer]:
    from compiler.analysis.expectations import compare
    from compiler.cli.trace_formats import Answer
    from compiler.cli.trace_input import expectations

    expected = expectations(wanted.expect)
    for resolved in traced.resolve(packet.request):
        trace = traced.trace(resolved.packet)
        failures = compare(trace, expected, wanted.masqueraded).failures
        notes = (*resolved.notes, *traced.notes(trace))
        yield Answer(trace, notes, failures, wanted.of_packet)


def _write(
    traced: Traced, answers: list[Answer], format_: str, output: str | None, *, verbose: bool
) -> None:
    from compiler.cli.trace_formats import View, as_json, as_text

    view = View(traced.rules, traced.name)
    if format_ == "json":
        write_output([as_json(answers, view, traced.limits)], output)
        return
    paint = paint_for_stdout() if output in (None, "-") else plain
    write_output(_ended(as_text(answers, view, paint, verbose=verbose)), output)


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
