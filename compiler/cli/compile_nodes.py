"""`compile --all-nodes`: the rules of every node, as a folder."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compiler.cli.collector import paused_collector
from compiler.cli.exit_codes import Failure
from compiler.cli.help import Section, option
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import CompileOptions, flag
from compiler.cli.output import folder_problem, report
from compiler.cli.output_options import OutputOptions
from compiler.errors import InputError, Problem

if TYPE_CHECKING:
    from compiler.fleet.all_nodes import AllNodes
    from compiler.fleet.nodes_folder import NodeFile
    from compiler.fleet.scheduler import Scheduler
    from compiler.manifests.reader import Manifests

F = TypeVar("F", bound=Callable[..., Any])

# Writing fewer bytes takes no longer than starting processes for it.
ALONE_BELOW = 200_000_000


@dataclass(frozen=True)
class NodesOptions:
    """`--all-nodes`, and the options that go with it alone."""

    all_nodes: bool = False
    one_file_per_node: bool = False
    jobs: int | None = None
    scheduler: str | None = None

    def scheduler_for(self, every: AllNodes) -> Scheduler:
        """Return who writes the texts. Other processes are started where there is much to write."""
        from compiler.fleet.scheduler import dask, processes

        if self.scheduler is not None:
            return dask(self.scheduler)
        is_little = len(every.groups) * sum(map(len, every.groups[0].chunks())) < ALONE_BELOW
        return processes(1 if self.jobs is None and is_little else self.jobs)


def nodes_options(command: F) -> F:
    """Give a command these options, as one argument `fleet` (a `NodesOptions`)."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        nodes = NodesOptions(**{one: kwargs.pop(one) for one in NodesOptions.__dataclass_fields__})
        if not nodes.all_nodes:
            for name, given in vars(nodes).items():
                if given:
                    raise click.UsageError(f"--{name.replace('_', '-')} needs --all-nodes")
        if nodes.jobs is not None and nodes.scheduler is not None:
            raise click.UsageError("--jobs and --scheduler can't be combined")
        return command(*args, fleet=nodes, **kwargs)

    decorated: Any = with_options
    for one in reversed(_DECLARED):
        decorated = one(decorated)
    result: F = decorated
    return result


_DECLARED: Sequence[Callable[[Any], Any]] = (
    flag(
        "--all-nodes",
        text="Compile every node: -o names a folder, for nodes.json and a file per distinct text.",
    ),
    flag(
        "--one-file-per-node",
        text="With --all-nodes: a file per node; equal ones are hard links.",
    ),
    option(
        "--jobs",
        metavar="NUMBER",
        type=click.IntRange(min=1),
        section=Section.OWN,
        help="With --all-nodes: processes that write; by default one per core.",
    ),
    option(
        "--scheduler",
        metavar="ADDRESS",
        section=Section.OWN,
        help="With --all-nodes: a Dask cluster (tcp://HOST:PORT) whose workers write.",
    ),
)


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
    from compiler.fleet.nodes_folder import check_folder

    check_folder(Path(os.path.realpath(folder)), shown=folder)
    with paused_collector():
        every = _compile(manifests, options, wanted, quiet=quiet)
        if wanted.check:
            _check(every, quiet=quiet)
        files = _write(every, folder, nodes)
    _report_left_behind(folder)
    for line in warning_lines(every.warnings):
        report(line)
    if not quiet:
        _report(every, files, verbose=verbose)
    return every


def _compile(
    manifests: tuple[str, ...], options: CompileOptions, wanted: OutputOptions, *, quiet: bool
) -> AllNodes:
    from compiler.fleet.all_nodes import compile_inputs_for_all

    completed: Manifests | None = None
    if options.from_workloads:
        found = options.complete(manifests)
        completed = found.manifests
        if not quiet:
            report_notes(found.notes, verbose=True)
    inputs = options.read(manifests if completed is None else completed).inputs
    return compile_inputs_for_all(
        inputs,
        nfacct=options.nfacct,
        random_fully=options.random_fully,
        standalone=wanted.standalone,
    )


def _write(every: AllNodes, folder: str, nodes: NodesOptions) -> tuple[NodeFile, ...]:
    from compiler.fleet.nodes_folder import write_nodes
    from compiler.fleet.scheduler import SchedulerError

    try:
        return write_nodes(
            every,
            folder,
            one_file_per_node=nodes.one_file_per_node,
            scheduler=nodes.scheduler_for(every),
        )
    except OSError as error:
        raise folder_problem(folder, error) from error
    except SchedulerError as error:
        raise Failure(error.subject, error.message, error.hint) from error


def _report_left_behind(folder: str) -> None:
    """Name the hidden folders of runs that were killed: nobody else would find them."""
    from compiler.fleet.nodes_folder import left_behind

    for path in left_behind(Path(os.path.realpath(folder))):
        words = "left by a run that was killed, or has not ended yet"
        report(f"{path}: {words}; remove it if no other run writes {folder}")


def _report(every: AllNodes, files: Iterable[NodeFile], *, verbose: bool) -> None:
    from compiler.cli.summary import report_skipped

    if verbose:
        report_skipped(every.inputs.manifests)
    if verbose or sys.stderr.isatty():
        report(summary(every, files))


def summary(every: AllNodes, files: Iterable[NodeFile]) -> str:
    """Sum up what was written in one line."""
    from compiler.cli.summary import count

    sizes = [file.size for file in files]
    family = every.inputs.family
    parts = [
        count(len(every.nodes), "node"),
        f"{count(len(sizes), 'distinct text')} of {sum(sizes):,} bytes",
        count(len(every.keys), f"{family.api_name} service port"),
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
