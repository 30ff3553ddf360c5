"""`proxyrules compile`: manifests in, kube-proxy's restore text out."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.help import Command, Section
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import (
    CompileOptions,
    compile_options,
    flag,
    manifests_argument,
    output_option,
)
from compiler.cli.output import check_paths, report, write_output
from compiler.cli.output_options import OutputOptions, output_options

if TYPE_CHECKING:
    from compiler.cli.summary import RuleCounter
    from compiler.compilation import Compilation
    from compiler.control_plane.complete import Completed
    from compiler.manifests.reader import Progress

# Reading fewer bytes is over before a progress bar could be looked at.
PROGRESS_ABOVE = 8 * 1024 * 1024


@click.command(
    "compile",
    cls=Command,
    examples=[
        "kubectl get svc,endpointslices,nodes -A -o yaml | proxyrules compile - --node worker-1",
        "proxyrules compile app.yaml --from-workloads --standalone --check -o app.rules",
    ],
)
@manifests_argument
@output_options
@compile_options
@output_option("Where to write the text.")
@flag("-q", "--quiet", section=Section.OUTPUT, text="Print warnings only, no summary.")
@flag("-v", "--verbose", section=Section.OUTPUT, text="Also list what was skipped.")
def compile_command(
    manifests: tuple[str, ...],
    options: CompileOptions,
    wanted: OutputOptions,
    output: str | None,
    quiet: bool,
    verbose: bool,
) -> Compilation | None:
    """Compile manifests into the iptables-restore text that kube-proxy would write on one node.

    MANIFEST is a file, a folder (its YAML and JSON files) or - for standard input, with Services,
    EndpointSlices and Nodes as kubectl get -o yaml or -o json prints them.
    """
    # Returned, so that what was compiled lives until the process ends: freeing it takes time.
    check_paths([*manifests, *options.paths], output)
    completed = None
    if options.from_workloads:
        with paused_collector():
            completed = options.complete(manifests)
        if not quiet:
            report_notes(completed.notes, verbose=True)
    if completed is not None and wanted.print_objects:
        for line in warning_lines(completed.warnings):
            report(line)
        write_output([completed.yaml], output)
        return None
    from compiler.cli.summary import RuleCounter

    counter = RuleCounter()
    with paused_collector():
        compilation = _compile(manifests, completed, options)
        chunks = wanted.chunks_of(compilation)
        if wanted.check:
            chunks = [_checked("".join(chunks), compilation, quiet=quiet)]
        # Counting the rules of a large cluster takes a twentieth of the time of its compile.
        summarizes = not quiet and (verbose or sys.stderr.isatty())
        written = write_output(counter.through(chunks) if summarizes else chunks, output)
    for line in warning_lines(compilation.warnings):
        report(line)
    if written and not quiet:
        report_compilation(compilation, counter, verbose=verbose)
    return compilation


def _compile(
    manifests: tuple[str, ...], completed: Completed | None, options: CompileOptions
) -> Compilation:
    if completed is None:
        return compile_with_progress(manifests, options)
    return options.compile(completed.manifests)


def _checked(text: str, compilation: Compilation, *, quiet: bool) -> str:
    """Return a text that iptables-restore accepts; `check_text` says what happens otherwise."""
    from compiler.cli.check import check_text

    passed = check_text(text, compilation.plan.family)
    if not quiet:
        report(passed)
    return text


def compile_with_progress(manifests: tuple[str, ...], options: CompileOptions) -> Compilation:
    """Compile, with a progress bar if there is a terminal and much to read."""
    size = sum(_size(path) for path in manifests)
    with ExitStack() as stack:
        progress: Progress | None = None
        if size > PROGRESS_ABOVE and sys.stderr.isatty():
            bar = click.progressbar(length=size, label="Reading", file=sys.stderr)
            progress = stack.enter_context(bar).update
        return options.compile(manifests, progress)


def report_compilation(compilation: Compilation, counter: RuleCounter, *, verbose: bool) -> None:
    """Report on a terminal, or with `-v`, what was done."""
    from compiler.cli.summary import skipped_lines, summary_line, why_skipped

    if verbose:
        for line in skipped_lines(compilation.manifests):
            report(f"skipped: {line}")
        for service in compilation.manifests.services:
            if reason := why_skipped(service):
                metadata = service.metadata
                namespace = (metadata.namespace if metadata else None) or "default"
                report(f"  Service {namespace}/{metadata.name if metadata else ''}: {reason}")
    if verbose or sys.stderr.isatty():
        report(summary_line(compilation, counter.rules))


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
