"""`proxyrules lint`: what is legal in manifests and rules, and will surprise in production."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import paint_for_stdout, plain
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command
from compiler.cli.lint_levels import DEFAULT_LEVEL, fails
from compiler.cli.lint_options import LintOptions, lint_options
from compiler.cli.messages import warning_lines
from compiler.cli.options import CompileOptions, compile_options_with, format_option, output_option
from compiler.cli.output import check_paths, report, write_output

if TYPE_CHECKING:
    from compiler.analysis.lint.context import Context
    from compiler.analysis.lint.dump import NodeDump
    from compiler.analysis.lint.rule import LintRule
    from compiler.analysis.lint.run import LintReport
    from compiler.cli.lint_settings import Settings
    from compiler.manifests.source import Source


@click.command(
    "lint",
    cls=Command,
    examples=[
        "kubectl get svc,endpointslices,nodes -A -o yaml | proxyrules lint - -c kube-proxy.yaml",
        "proxyrules lint cluster.yaml node.save --select PR1,PR203 --format sarif",
        "proxyrules lint --explain PR101",
    ],
)
@click.argument(
    "paths", metavar="MANIFEST... [RULES...]", nargs=-1, type=click.Path(allow_dash=True)
)
@lint_options
@compile_options_with("Look at one IP family only.")
@format_option(
    "text for people, json for programs, github for annotations, junit for test reports, sarif for "
    "code scanning, gitlab for code quality.",
    "text",
    "json",
    "github",
    "junit",
    "sarif",
    "gitlab",
)
@output_option("Where to write the findings.")
@paused_collector()
def lint_command(
    *,
    paths: tuple[str, ...],
    options: CompileOptions,
    wanted: LintOptions,
    format_: str,
    output: str | None,
) -> None:
    """Find what is legal in manifests and rules, and will surprise in production.

    MANIFEST is a file, a folder or - as for compile; Pods and workloads among them are looked at
    too. RULES is a node's dump. All nodes are looked at unless --node names one.
    """
    from compiler.analysis.lint.run import run_rules

    if wanted.explain is not None or wanted.list_:
        _print_rules(wanted, output)
        return
    _check_usage(paths, wanted, format_)
    check_paths([*paths, *options.paths], output)
    settings = _settings(wanted)
    rules = _rules(settings)
    context = read_context(paths, options, wanted)
    for line in warning_lines(context.warnings):
        report(line)
    found = _without_baseline(run_rules(context, rules), wanted, settings)
    if found is None:
        return
    shown = ""
    if wanted.fix or wanted.diff:
        found, shown = _fix(context, found, write=wanted.fix)
    level = settings.fail_level or DEFAULT_LEVEL
    chunks = (
        _text(found, wanted, shown, output)
        if format_ == "text"
        else _for_programs(found, context, format_, level)
    )
    write_output(chunks, output)
    failed = any(fails(one.severity, level) for one in found.findings)
    sys.exit(ExitCode.DIFFERENT if failed else ExitCode.DONE)


def _check_usage(paths: tuple[str, ...], wanted: LintOptions, format_: str) -> None:
    if not paths:
        raise click.UsageError("Missing argument 'MANIFEST... [RULES...]'.")
    if wanted.baseline is not None and wanted.write_baseline is not None:
        raise click.UsageError("--baseline and --write-baseline can't be combined")
    if format_ != "text" and (wanted.fix or wanted.diff or wanted.statistics):
        raise click.UsageError("--fix, --diff and --statistics are for --format text")


def _settings(wanted: LintOptions) -> Settings:
    """Return what the options say, and where they say nothing what the folder's file does."""
    from compiler.cli.lint_settings import read_settings, split_rules

    settings = read_settings(Path.cwd())
    given = {
        "select": split_rules(wanted.select),
        "ignore": split_rules(wanted.ignore),
        "fail_level": wanted.fail_level,
        "baseline": wanted.baseline,
    }
    return replace(settings, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]


def _rules(settings: Settings) -> list[type[LintRule]]:
    from compiler.analysis.lint.selection import selected

    return selected(settings.select or (), settings.ignore or ())


def _print_rules(wanted: LintOptions, output: str | None) -> None:
    from compiler.cli.lint_list import explain, list_lines

    if wanted.explain is not None:
        write_output([explain(wanted.explain)], output)
        return
    paint = paint_for_stdout() if output in (None, "-") else plain
    write_output(_ended(list_lines(_rules(_settings(wanted)), paint)), output)


def read_context(paths: tuple[str, ...], options: CompileOptions, wanted: LintOptions) -> Context:
    """Read manifests and dumps, recognized by their content. Raises `InputError`."""
    from compiler.analysis.lint.dump import log_dumps, node_dumps
    from compiler.cli.rules_input import gathered, open_input
    from compiler.lint_input import lint_context

    sides = gathered(*(partial(open_input, [path]) for path in paths))
    manifests: list[str | Source] = []
    dumps: list[NodeDump] = []
    for side in sides:
        manifests += side.manifests
        dumps += node_dumps(side.name, side.dumps)
        dumps += log_dumps(side.name, side.log) if side.log else []
    return lint_context(
        manifests,
        dumps,
        config=options.config,
        flags=options.flags,
        node=options.node,
        kube_version=options.kube_version,
        ip_family=options.ip_family,
        nfacct=options.nfacct,
        random_fully=options.random_fully,
        node_addresses=options.node_addresses,
        check_fields=options.check_fields,
        from_workloads=options.from_workloads,
        nodes=options.nodes,
        cluster=options.cluster,
        workers=2,
        clients=wanted.clients,
        upgrade_to=wanted.upgrade_to,
    )


def _without_baseline(
    found: LintReport, wanted: LintOptions, settings: Settings
) -> LintReport | None:
    """Leave out what the baseline has; None where the baseline was to be written."""
    from compiler.analysis.lint.baseline import as_baseline, read_baseline, without_known
    from compiler.cli.lint_formats import counted
    from compiler.manifests.source import read_source

    if wanted.write_baseline is not None:
        write_output([as_baseline(found)], wanted.write_baseline)
        report(f"{counted(len(found.findings), 'finding')} written to {wanted.write_baseline}")
        return None
    if settings.baseline is None:
        return found
    return without_known(found, read_baseline(read_source(settings.baseline)))


def _fix(context: Context, found: LintReport, *, write: bool) -> tuple[LintReport, str]:
    """Make the fixes; return what is left to report, and the difference."""
    from compiler.analysis.lint.fix import fixes_of
    from compiler.cli.lint_formats import counted

    fixes = fixes_of(context, found)
    for name, reason in fixes.failed:
        report(f"{name}: not corrected: {reason}")
    if not write:
        return found, fixes.diff
    for name, text in fixes.texts.items():
        write_output([text], name)
    fixed = {id(one) for one in fixes.fixed}
    report(f"{counted(len(fixed), 'finding')} corrected")
    left = tuple(one for one in found.findings if id(one) not in fixed)
    return replace(found, findings=left), fixes.diff


def _text(found: LintReport, wanted: LintOptions, diff: str, output: str | None) -> Iterable[str]:
    from compiler.cli.lint_formats import as_text
    from compiler.cli.lint_list import statistics_lines

    paint = paint_for_stdout() if output in (None, "-") else plain
    if wanted.statistics:
        return [diff, *_ended(statistics_lines(found, paint))]
    return [diff, *_ended(as_text(found, paint))]


def _for_programs(found: LintReport, context: Context, format_: str, level: str) -> Iterable[str]:
    from compiler.analysis.lint.unchecked import unchecked_lines
    from compiler.cli.lint_machine import as_github, as_gitlab, as_json, as_junit
    from compiler.cli.lint_sarif import as_sarif

    if format_ == "github":
        return _ended(as_github(found))
    if format_ == "junit":
        return _ended(as_junit(found, level))
    if format_ == "gitlab":
        for line in unchecked_lines(found):  # a report has findings alone
            report(f"not checked: {line}")
        names = [source.name for source in context.given.sources]
        return [as_gitlab(found, [*names, *(dump.name for dump in context.dumps)])]
    return [as_sarif(found) if format_ == "sarif" else as_json(found, level)]


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
