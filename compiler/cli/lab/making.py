"""What `lab up` and `lab apply` share: from manifests and options to the state of a lab."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

import click

from compiler.cli.help import Section
from compiler.cli.lab.common import family_names
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import CompileOptions, flag
from compiler.cli.output import report
from compiler.compilation import Compilation
from compiler.control_plane.complete import Completed
from compiler.family import IPV4, Family
from compiler.lab.run_directory import State
from compiler.lab.topology import Clients, NodeFacts, layout_of
from compiler.manifests.source import STDIN, Source, read_source
from compiler.netfilter.backend import Backend
from compiler.proxy.node import choose_node, local_node, node_name

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Verbosity:
    """How much is printed beside warnings and errors."""

    quiet: bool
    verbose: bool


def verbosity_options(command: F) -> F:
    """Add `-q` and `-v`."""
    text = "List all that was added to the manifests."
    decorated = flag("-v", "--verbose", section=Section.OUTPUT, text=text)(command)
    text = "Print warnings and errors only."
    return flag("-q", "--quiet", section=Section.OUTPUT, text=text)(decorated)


def compiled_state(
    name: str,
    backend: Backend,
    manifests: Sequence[str],
    *,
    options: CompileOptions,
    clients: Clients,
    verbosity: Verbosity,
) -> State:
    """Compile manifests for every family in use, and work out the lab that they need.

    Raises InputError for bad manifests, LabError for what no lab can have.
    """
    if options.config is not None and not isinstance(options.config, Source):
        if options.config == STDIN:
            message = "--config can't be standard input here, since it is read more than once"
            raise click.UsageError(message)
        options = replace(options, config=read_source(options.config))
    completed = _completed(manifests, options, verbosity)
    compilations = _by_family(completed, options)
    warnings = dict.fromkeys(one for each in compilations.values() for one in each.warnings)
    for line in warning_lines(tuple(warnings)):
        report(line)
    layout = layout_of(
        completed.objects,
        {family: one.plan for family, one in compilations.items()},
        _node_facts(compilations, options),
        clients,
    )
    made_with = {
        "options": asdict(options) | {"config": _kept(options.config)},
        "clients": clients.pods,
        "outside": clients.outside,
    }
    texts = {family: one.standalone for family, one in compilations.items()}
    return State(name=name, backend=backend, layout=layout, texts=texts, made_with=made_with)


def _completed(
    manifests: Sequence[str], options: CompileOptions, verbosity: Verbosity
) -> Completed:
    if STDIN in options.cluster:
        message = "--cluster can't be standard input here: `lab apply` reads it again; give a file"
        raise click.UsageError(message)
    completed = options.complete(manifests)
    if verbosity.verbose or not verbosity.quiet:
        notes, assumed = completed.notes, completed.assumed
        report_notes(notes, assumed, verbose=verbosity.verbose, how="-v lists them")
    return completed


def _by_family(completed: Completed, options: CompileOptions) -> dict[Family, Compilation]:
    """Compile for `--ip-family`, else for each family that has service ports."""
    if options.ip_family is not None:
        return {Family(options.ip_family): options.compile(completed.manifests)}
    read = completed.manifests
    compiled = {family: replace(options, ip_family=str(family)).compile(read) for family in Family}
    return {family: one for family, one in compiled.items() if one.plan.service_ports} or {
        IPV4: compiled[IPV4]
    }


def _node_facts(compilations: Mapping[Family, Compilation], options: CompileOptions) -> NodeFacts:
    """Find the node's name and its addresses of the families in use, kube-proxy's node IP first."""
    any_of = next(iter(compilations.values()))
    nodes, config = any_of.manifests.nodes, any_of.config
    name = choose_node(nodes, options.node, config)
    node = next((one for one in nodes if node_name(one) == name), None)
    addresses: list[str] = []
    for family in compilations:
        local = local_node(name, node, config, family, options.node_addresses)
        addresses += [one for one in (local.ip, *local.addresses) if one != family.loopback]
    return NodeFacts(name, tuple(dict.fromkeys(addresses)))


def _kept(config: str | Source | None) -> dict[str, str] | None:
    """Return the configuration's text, since its file may have changed by the next `apply`."""
    if not isinstance(config, Source):
        return None
    return {"name": config.name, "text": config.text.decode()}


def merged_options(kept: Mapping[str, Any], given: CompileOptions) -> CompileOptions:
    """Return the options that the lab was made with, overridden by those that are given."""
    default = CompileOptions()
    merged: dict[str, Any] = {}
    for name in (field.name for field in fields(CompileOptions)):
        value, before = getattr(given, name), kept.get(name, getattr(default, name))
        if name == "flags":
            merged[name] = before | {key: one for key, one in value.items() if one is not None}
        elif value != getattr(default, name):
            merged[name] = value
        elif name == "config" and before:
            merged[name] = Source(before["name"], before["text"].encode())
        else:
            merged[name] = tuple(before) if isinstance(before, list) else before
    return CompileOptions(**merged)


def print_result(state: State, what: str, verbosity: Verbosity) -> None:
    """Print one line about the lab that was made or changed."""
    if verbosity.quiet:
        return
    layout = state.layout
    endpoints = len({listener.member for listener in layout.listeners})
    services = len({target.service for target in layout.targets})
    click.echo(
        f"lab {state.name} {what}: {services} Service{'' if services == 1 else 's'}, "
        f"{endpoints} endpoint{'' if endpoints == 1 else 's'}, "
        f"iptables-{state.backend}, {family_names(layout.families)}"
    )
