"""`proxyrules compile`: manifests in, kube-proxy's restore text out."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from compiler.api import Compilation
from compiler.cli.messages import warning_lines
from compiler.cli.options import CompileOptions, compile_options, manifests_argument
from compiler.cli.output import refuse_overwriting, say, write_output
from compiler.cli.standalone import OutputOptions, standalone_options
from compiler.cli.summary import RuleCounter, skipped_lines, summary_line, why_skipped
from compiler.manifests.reader import Progress

# Reading less than this is over before a progress bar could be looked at.
PROGRESS_ABOVE = 8 * 1024 * 1024

# The last compilation stays until the process ends: `cli.run` ends it without freeing anything.
_kept: list[Compilation] = []


@click.command("compile")
@manifests_argument
@compile_options
@standalone_options
@click.option("-o", "--output", metavar="FILE", type=click.Path(), help="Where to write the text.")
@click.option("-q", "--quiet", is_flag=True, help="Don't sum up what was done.")
@click.option("-v", "--verbose", is_flag=True, help="Also list what was skipped.")
def compile_command(
    manifests: tuple[str, ...],
    options: CompileOptions,
    standalone: OutputOptions,
    output: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the iptables-restore text that kube-proxy would write on one node.

    MANIFEST is a file, a folder (its YAML and JSON files) or - for standard input, with Services,
    EndpointSlices and Nodes as kubectl get -o yaml or -o json prints them.
    """
    config = options.config if isinstance(options.config, str) else None
    refuse_overwriting(output, [*manifests, config])
    completed = options.complete(manifests) if standalone.completes else None
    if completed is not None and not quiet:
        for note in completed.notes:
            say(f"control plane: {note}")
    if completed is not None and standalone.print_objects:
        write_output([completed.yaml], output)
        return
    counter = RuleCounter()
    with paused_collector():
        if completed is None:
            compilation = compile_with_progress(manifests, options)
        else:
            compilation = options.compile_completed(completed)
        chunks = standalone.chunks_of(compilation)
        if standalone.check:
            text = "".join(chunks)
            chunks = [text]
            looked = standalone.checked(compilation, text)
            if not quiet:
                say(looked)
        write_output(counter.through(chunks), output)
    _kept[:] = [compilation]
    for line in warning_lines(compilation.warnings):
        say(line)
    if not quiet:
        report(compilation, counter, verbose=verbose)


@contextmanager
def paused_collector() -> Iterator[None]:
    """Do without the garbage collector.

    A compile makes a million objects and no cycles: looking at all of them again and again, to
    find nothing, would take a fifth of its time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def compile_with_progress(manifests: tuple[str, ...], options: CompileOptions) -> Compilation:
    """Compile, with a progress bar where there is a terminal and much to read."""
    size = sum(_size(path) for path in manifests)
    with ExitStack() as stack:
        progress: Progress | None = None
        if size > PROGRESS_ABOVE and sys.stderr.isatty():
            bar = click.progressbar(length=size, label="Reading", file=sys.stderr)
            progress = stack.enter_context(bar).update
        return options.compile(manifests, progress)


def report(compilation: Compilation, counter: RuleCounter, *, verbose: bool) -> None:
    """Tell on a terminal, or with `-v`, what was done."""
    if verbose:
        for line in skipped_lines(compilation):
            say(f"skipped: {line}")
        for service in compilation.manifests.services:
            if reason := why_skipped(service):
                metadata = service.metadata
                namespace = (metadata.namespace if metadata else None) or "default"
                say(f"  Service {namespace}/{metadata.name if metadata else ''}: {reason}")
    if verbose or sys.stderr.isatty():
        say(summary_line(compilation, counter.rules))


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
