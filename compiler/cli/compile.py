"""`proxyrules compile`: manifests in, kube-proxy's restore text out."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from compiler.api import Compilation
from compiler.cli.options import CompileOptions, compile_options, manifests_argument
from compiler.cli.output import say, write_output
from compiler.cli.summary import count_rules, skipped_lines, summary_line, why_skipped
from compiler.manifests.reader import Progress

# Reading less than this is over before a progress bar could be looked at.
PROGRESS_ABOVE = 8 * 1024 * 1024


@click.command("compile")
@manifests_argument
@compile_options
@click.option("-o", "--output", metavar="FILE", type=click.Path(), help="Where to write the text.")
@click.option("-q", "--quiet", is_flag=True, help="Don't sum up what was done.")
@click.option("-v", "--verbose", is_flag=True, help="Also list what was skipped.")
def compile_command(
    manifests: tuple[str, ...],
    options: CompileOptions,
    output: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the iptables-restore text that kube-proxy would write on one node.

    MANIFEST is a file, a folder (its YAML and JSON files) or - for standard input, with Services,
    EndpointSlices and Nodes as kubectl get -o yaml or -o json prints them.
    """
    compilation = compile_with_progress(manifests, options)
    text = compilation.text
    write_output([text], output)
    if not quiet:
        report(compilation, text, verbose=verbose)


def compile_with_progress(manifests: tuple[str, ...], options: CompileOptions) -> Compilation:
    """Compile, with a progress bar where there is a terminal and much to read."""
    size = sum(_size(path) for path in manifests)
    with ExitStack() as stack:
        progress: Progress | None = None
        if size > PROGRESS_ABOVE and sys.stderr.isatty():
            bar = click.progressbar(length=size, label="Reading", file=sys.stderr)
            progress = stack.enter_context(bar).update
        return options.compile(manifests, progress)


def report(compilation: Compilation, text: str, *, verbose: bool) -> None:
    """Tell warnings, and on a terminal (or with `-v`) what was done."""
    for warning in compilation.warnings:
        say(f"warning: {warning}")
    if verbose:
        for line in skipped_lines(compilation):
            say(f"skipped: {line}")
        for service in compilation.manifests.services:
            if reason := why_skipped(service):
                metadata = service.metadata
                namespace = (metadata.namespace if metadata else None) or "default"
                say(f"  Service {namespace}/{metadata.name if metadata else ''}: {reason}")
    if verbose or sys.stderr.isatty():
        say(summary_line(compilation, count_rules(text)))


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
