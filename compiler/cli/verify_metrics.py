"""`proxyrules verify --metrics`: nodes whose own numbers are not those that manifests predict."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click

from compiler.cli.colour import paint_for_stdout, plain, shown
from compiler.cli.exit_codes import ExitCode
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import STDIN, CompileOptions
from compiler.cli.output import check_paths, report, write_output
from compiler.cli.verify_metrics_formats import as_github, as_json, as_junit, as_text
from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.manifests.source import Source, read_sources
from compiler.metric_questions import compare_metrics
from compiler.node_metrics.report import MetricsReport


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    manifests: tuple[str, ...]
    metrics: str
    label: str | None
    options: CompileOptions


def verify_metrics(request: Request, format_: str, output: str | None, *, verbose: bool) -> int:
    """Compare the metrics of nodes, write what was found, and return the exit code."""
    check_paths([*request.manifests, request.metrics, *request.options.paths], output)
    if request.options.node_addresses and request.options.node is None:
        raise click.UsageError("--node-address is for one node; choose it with --node")
    found = _compare(request, verbose=verbose)
    paint = paint_for_stdout() if output in (None, STDIN) else plain
    lines: Iterator[str]
    if format_ == "json":
        lines = iter([as_json(found)])
    elif format_ == "github":
        lines = as_github(found)
    elif format_ == "junit":
        lines = as_junit(found)
    else:
        lines = as_text(found, paint, verbose=verbose)
    write_output((line + "\n" for line in lines), output)
    return ExitCode.DIFFERENT if found.failed else ExitCode.DONE


def _compare(request: Request, *, verbose: bool) -> MetricsReport:
    options = request.options
    cluster = options.read(request.manifests)
    inputs = cluster.inputs
    report_notes(inputs.manifests.notes, inputs.manifests.assumed, verbose=verbose)
    found, warnings = compare_metrics(
        cluster,
        _stdin() if request.metrics == STDIN else request.metrics,
        node=options.node,
        label=request.label,
        any_release=options.kube_version is None,
        family=Family(options.ip_family) if options.ip_family else None,
    )
    for line in warning_lines(warnings):
        report(line)
    errors = any(one.severity == "error" for node in found.nodes for one in node.findings)
    if not found.compared and not errors:
        raise InputError(_problems(found))
    return found


def _stdin() -> Source:
    (source,) = read_sources([STDIN], sys.stdin.buffer.read)
    return source


def _problems(found: MetricsReport) -> Iterator[Problem]:
    """Give everything that was found, where nothing could be compared."""
    for one in found.findings:
        yield Problem(one.file, one.message, line=one.line or None)
    for node in found.nodes:
        for one in node.findings:
            yield Problem(
                one.file, one.message, line=one.line or None, subject=f"Node {shown(node.node)}"
            )
