"""`compile --all-nodes`: the rules of every node, as a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import CompileOptions
from compiler.cli.output import folder_problem, report
from compiler.cli.output_options import OutputOptions
from compiler.errors import InputError, Problem

if TYPE_CHECKING:
    from compiler.fleet.all_nodes import AllNodes
    from compiler.fleet.nodes_folder import NodeFile
    from compiler.manifests.reader import Manifests


@dataclass(frozen=True)
class NodesOptions:
    """The options of `compile` that go with `--all-nodes`."""

    one_file_per_node: bool = False


def check_usage(options: CompileOptions, wanted: OutputOptions, output: str | None) -> str:
    """Return the folder; raises `UsageError` for options that mean one node or one text."""
    for name, given in (
        ("--node", options.node is not None),
        ("--node-address", options.node_addresses),
        ("--cleanup", wanted.cleanup),
        ("--print-objects", wanted.print_objects),
    ):
        if given:
            raise click.UsageError(f"{name} can't be combined with --all-nodes")
    if output is None or output == "-":
        raise click.UsageError("--all-nodes writes a folder; give one with -o DIR")
    return output


def compile_nodes(
    manifests: tuple[str, ...],
    options: CompileOptions,
    wanted: OutputOptions,
    output: str | None,
    nodes: NodesOptions,
    *,
    quiet: bool,
    verbose: bool,
) -> AllNodes:
    """Compile the rules of every node and write them to a folder. Raises `InputError`."""
    folder = check_usage(options, wanted, output)
    _check_place([*manifests, *options.paths], folder)
    from compiler.fleet.all_nodes import compile_inputs_for_all
    from compiler.fleet.nodes_folder import check_folder, write_nodes

    check_folder(Path(os.path.realpath(folder)), shown=folder)
    with paused_collector():
        completed: Manifests | None = None
        if options.from_workloads:
            found = options.complete(manifests)
            completed = found.manifests
            if not quiet:
                report_notes(found.notes, verbose=True)
        cluster = options.read(manifests if completed is None else completed)
        every = compile_inputs_for_all(
            cluster.inputs,
            nfacct=options.nfacct,
            random_fully=options.random_fully,
            standalone=wanted.standalone,
        )
        if wanted.check:
            _check(every, quiet=quiet)
        try:
            files = write_nodes(every, folder, one_file_per_node=nodes.one_file_per_node)
        except OSError as error:
            raise folder_problem(folder, error) from error
    for line in warning_lines(every.warnings):
        report(line)
    if not quiet and (verbose or sys.stderr.isatty()):
        report(summary(every, files))
    return every


def summary(every: AllNodes, files: Iterable[NodeFile]) -> str:
    """Sum up what was written in one line."""
    from compiler.cli.summary import count

    sizes = [file.size for file in files]
    family = every.inputs.family
    parts = [
        count(len(every.nodes), "node"),
        f"{count(len(sizes), 'distinct text')} of {sum(sizes):,} bytes",
        count(every.service_ports, f"{family.api_name} service port"),
    ]
    if others := every.other_family_service_ports:
        parts.append(f"{count(others, f'{family.other.api_name} service port')} left out")
    if every.warnings:
        parts.append(count(len(every.warnings), "warning"))
    return "; ".join(parts)


def _check_place(inputs: Iterable[str], folder: str) -> None:
    """Reject a folder inside one that is read: its index would be read the next time."""
    target = Path(os.path.realpath(folder))
    for name in inputs:
        source = Path(os.path.realpath(name))
        if name and name != "-" and source.is_dir() and source in (target, *target.parents):
            hint = "choose another folder"
            raise InputError(Problem(folder, f"is in {name}, whose files are read", hint))


def _check(every: AllNodes, *, quiet: bool) -> None:
    """Have iptables-restore test each distinct text before anything is written."""
    from compiler.cli.check import check_text

    passed = ""
    for group in every.groups:
        passed = check_text(group.text, every.inputs.family, name=f"node {group.nodes[0]}")
    if not quiet and passed:
        report(f"{passed} ({len(every.groups)} texts)")
