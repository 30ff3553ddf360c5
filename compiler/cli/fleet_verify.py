"""`proxyrules verify --fleet`: the dumps of many nodes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from compiler.cli.colour import paint_for_stdout, plain
from compiler.cli.exit_codes import ExitCode, Failure
from compiler.cli.fleet_options import FleetOptions, make_scheduler
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.output import check_paths, report, write_output

if TYPE_CHECKING:
    from compiler.cli.options import CompileOptions
    from compiler.fleet.report import FleetReport
    from compiler.fleet.verify import Progress


def verify_fleet_command(
    manifests: tuple[str, ...],
    fleet: FleetOptions,
    options: CompileOptions,
    format_: str,
    output: str | None,
    *,
    verbose: bool,
) -> None:
    """Check the dumps, write the report, and exit."""
    _check(fleet, options, format_)
    check_paths([*manifests, *options.paths], output)
    found = _checked(manifests, fleet, options, verbose=verbose)
    _write(found, format_, output, verbose=verbose)
    sys.exit(ExitCode.DIFFERENT if found.failed else ExitCode.DONE)


def _check(fleet: FleetOptions, options: CompileOptions, format_: str) -> None:
    if fleet.fleet is None:
        raise click.UsageError("--resume, --jobs and --scheduler are for --fleet")
    if format_ == "github":
        raise click.UsageError("--format github is not possible with --fleet: use junit or json")
    if fleet.jobs is not None and fleet.scheduler is not None:
        raise click.UsageError("--jobs and --scheduler can't be combined")
    for value, name in ((options.node, "--node"), (options.node_addresses, "--node-address")):
        if value:
            raise click.UsageError(f"{name} is for one node, --fleet is for all")


def _checked(
    manifests: tuple[str, ...], fleet: FleetOptions, options: CompileOptions, *, verbose: bool
) -> FleetReport:
    from compiler.fleet.scheduler import SchedulerError
    from compiler.fleet.verify import verify_fleet

    assert fleet.fleet is not None  # noqa: S101 - checked
    cluster = options.read(manifests)
    read = cluster.inputs.manifests
    report_notes(read.notes, read.assumed, verbose=verbose)
    for line in warning_lines([*cluster.inputs.config.warnings, *read.warnings]):
        report(line)
    try:
        with _progress() as progress:
            return verify_fleet(
                cluster.inputs,
                fleet.fleet,
                ip_family=options.ip_family,
                nfacct=options.nfacct,
                random_fully=options.random_fully,
                scheduler=make_scheduler(fleet.jobs, fleet.scheduler),
                resume=fleet.resume,
                progress=progress,
            )
    except SchedulerError as error:
        raise Failure(error.subject, error.message, error.hint) from error


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Yield what draws a progress bar with an estimate, where there is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bars: list[Any] = []

    def advance(done: int, total: int | None) -> None:
        if not bars:
            bar: Any = click.progressbar(length=total, label="Checking", file=sys.stderr)
            bars.append(bar)
            bar.__enter__()
        bars[0].update(done)

    try:
        yield advance
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)


def _write(found: FleetReport, format_: str, output: str | None, *, verbose: bool) -> None:
    from compiler.cli.fleet_formats import as_json, as_junit, as_text
    from compiler.cli.fleet_html import as_html

    if format_ == "json":
        write_output([as_json(found)], output)
    elif format_ == "junit":
        write_output(_ended(as_junit(found)), output)
    elif format_ == "html":
        write_output(_ended(as_html(found)), output)
    else:
        paint = paint_for_stdout() if output in (None, "-") else plain
        write_output(_ended(as_text(found, paint, verbose=verbose)), output)


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
