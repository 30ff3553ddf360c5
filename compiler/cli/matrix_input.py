"""From the arguments of `matrix` to columns: one per node, or one per file of rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.matrix_options import Chosen
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import CompileOptions
from compiler.cli.output import report
from compiler.cli.rules_input import (
    Rules,
    RulesInput,
    choose_family,
    gathered,
    load_sides,
    open_input,
    report_reading,
)
from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.kube_rules.destinations import (
    NoSuchServiceError,
    ServicePorts,
    ServicePortsOf,
    find_service_port,
)
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Key

if TYPE_CHECKING:
    from compiler.analysis.node_view import Column
    from compiler.cluster import Cluster, NodeOfCluster


@dataclass(frozen=True)
class Side:
    """What is looked at: columns, and the service ports that are wanted (None for all).

    `left_out` says what of the input is not in the columns, in words. `ports` are all of its
    service ports, and `family` is that of all columns.
    """

    name: str
    columns: tuple[Column, ...]
    keys: tuple[Key, ...] | None
    ports: ServicePorts
    family: Family
    left_out: tuple[str, ...] = ()


def open_side(paths: Sequence[str]) -> tuple[RulesInput, ...]:
    """Open manifests as one input, or each file of rules as one.

    Raises `InputError` where there are both.
    """
    opened = gathered(*(partial(open_input, [path]) for path in paths))
    manifests = [one for one in opened if one.manifests]
    if not manifests:
        return opened
    for one in opened:
        if not one.manifests:
            message = f"is rules, but {manifests[0].name} is manifests"
            raise InputError(Problem(one.name, message, "give only rules, or only manifests"))
    name = ", ".join(one.name for one in opened)
    return (RulesInput(name, manifests=tuple(m for one in opened for m in one.manifests)),)


def load_side(
    inputs: Sequence[RulesInput],
    options: CompileOptions,
    chosen: Chosen,
    family: Family | None = None,
) -> Side:
    """Compile every node of manifests, or parse rules. Raises `InputError`.

    `family` is the one that is compared where the options name none.
    """
    if options.node is not None and chosen.nodes:
        raise click.UsageError("--node and --nodes can't be combined")
    if chosen.all_nodes and (options.node is not None or chosen.nodes):
        name = "--nodes" if chosen.nodes else "--node"
        raise click.UsageError(f"{name} can't be combined with --all-nodes")
    if inputs[0].manifests:
        return _of_manifests(inputs[0], options, chosen, family)
    if chosen.nodes or options.node is not None or chosen.all_nodes:
        name = "--nodes" if chosen.nodes else "--node" if options.node else "--all-nodes"
        raise click.UsageError(f"{name} is for manifests, but {inputs[0].name} is rules")
    return _of_rules(inputs, options, chosen, family)


def _of_manifests(
    side: RulesInput, options: CompileOptions, chosen: Chosen, family: Family | None
) -> Side:
    from compiler.analysis.node_view import Column

    cluster = replace(options, ip_family=options.ip_family or family).read(side.manifests)
    wanted = (options.node,) if options.node is not None else chosen.nodes
    problems: list[Problem] = []
    names: tuple[str | None, ...] = ()
    keys: tuple[Key, ...] | None = None
    try:
        if chosen.all_nodes:
            wanted = cluster.all_nodes()
        named = "nodes" if options.node is None else "node"
        names = cluster.choose_nodes(wanted, argument=named)
        _check_number(names, wanted, side, chosen.most_nodes)
    except InputError as error:
        problems += error.problems
    try:
        keys = chosen_keys([cluster], chosen)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    if len(names) > 1 and options.node_addresses:
        raise click.UsageError("--node-address is for one node; choose it with --node")
    cluster = _for_each_node(cluster, several=len(names) > 1, every=chosen.all_nodes)
    some = cluster if keys is None else cluster.only(keys)
    nodes = gathered(*(partial(some.node, name) for name in names))
    _report(cluster, nodes)
    left_out = _left_out(side, cluster) if options.ip_family is None else ()
    columns = tuple(
        Column(one.name or "any node", one.ruleset, one.addresses, one.pod_cidr) for one in nodes
    )
    return Side(side.name, columns, keys, cluster, cluster.inputs.family, left_out)


def _for_each_node(cluster: Cluster, *, several: bool, every: bool) -> Cluster:
    """Report and leave out what of the configuration is one node's own."""
    from compiler.proxy.own_settings import for_each_node

    if not (several or every):
        return cluster
    inputs = cluster.inputs
    config, ignored = for_each_node(inputs.config, inputs.family, several=several)
    for line in warning_lines(ignored):
        report(line)
    return replace(cluster, inputs=replace(inputs, config=config))


def _left_out(side: RulesInput, cluster: Cluster) -> tuple[str, ...]:
    """Report and return what there is of the other IP family."""
    from compiler.proxy.service_port import count_service_ports

    other = cluster.inputs.family.other
    others = count_service_ports(cluster.inputs.manifests.services, other)
    if not others:
        return ()
    words = f"{side.name}: {others} {other.api_name} service port{'s'[: others > 1]}"
    report(f"{words} left out; --ip-family {other.value} reads them")
    return (words,)


def _check_number(
    names: Sequence[str | None], wanted: Sequence[str], side: RulesInput, most: int | None
) -> None:
    if most is not None and len(names) > most and not wanted:
        listed = ", ".join(str(name) for name in names[:3])
        hint = f"choose some with --nodes or --node: {listed}, ..."
        raise InputError(Problem(side.name, f"{len(names)} Nodes are too many for one page", hint))


def _report(cluster: Cluster, nodes: Sequence[NodeOfCluster]) -> None:
    read = cluster.inputs.manifests
    report_notes(read.notes, read.assumed, verbose=False)
    warnings = dict.fromkeys(w for one in nodes for w in one.compilation.warnings)
    for line in warning_lines(tuple(warnings)):
        report(line)


def _of_rules(
    inputs: Sequence[RulesInput],
    options: CompileOptions,
    chosen: Chosen,
    family: Family | None,
) -> Side:
    from compiler.analysis.node_view import Column

    if len(inputs) > 1 and options.node_addresses:
        raise click.UsageError("--node-address is for one node; give one file of rules")
    shown = choose_family(inputs, options)
    # where the rules show no family, or another one as well, the other side's is meant
    if family is not None and shown != family:
        options = replace(options, ip_family=family)
    loaded = load_sides(inputs, options)
    rules = [NodeRules(one.ruleset) for one in loaded]
    problems = [
        Problem(one.name, "no service ports in these rules", "are they of a node with kube-proxy?")
        for one, read in zip(loaded, rules, strict=True)
        if not read.keys
    ]
    if problems:
        raise InputError(problems)
    for one in loaded:
        report_reading(one, verbose=False)
    columns = tuple(
        Column(name, one.ruleset, options.node_addresses)
        for name, one in zip(_file_names(loaded), loaded, strict=True)
    )
    left_out = tuple(dict.fromkeys(words for one in loaded for words in one.not_compared))
    return Side(
        ", ".join(one.name for one in loaded),
        columns,
        chosen_keys(rules, chosen),
        ServicePortsOf(rules),
        loaded[0].ruleset.family,
        left_out,
    )


def _file_names(loaded: Sequence[Rules]) -> list[str]:
    """Name each file of rules: without its folder, where that tells them apart."""
    short = [Path(one.name).name for one in loaded]
    return short if len(set(short)) == len(short) else [one.name for one in loaded]


def chosen_keys(sides: Sequence[ServicePorts], chosen: Chosen) -> tuple[Key, ...] | None:
    """Find the service ports that are wanted, None for all.

    Raises `InputError` for names that are none on any side.
    """
    if not chosen.services:
        return None
    ports = ServicePortsOf(sides)
    return tuple(
        dict.fromkeys(
            key
            for found in gathered(*(partial(_find, ports, name) for name in chosen.services))
            for key in found
        )
    )


def _find(ports: ServicePorts, name: str) -> tuple[Key, ...]:
    try:
        return find_service_port(ports, name)
    except NoSuchServiceError as error:
        raise InputError(Problem("--service", str(error), error.hint)) from error
