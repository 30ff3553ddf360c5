"""The options that choose what of a matrix is wanted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from compiler.cli.help import Section, option
from compiler.cli.options import CompileOptions, flag
from compiler.errors import InputError, Problem

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Chosen:
    """Which Services and nodes are wanted; empty for all.

    `matrix` is whether a command that does something else is to make a matrix. `all_nodes` is
    whether every node is asked for: then the manifests must have Nodes. More nodes than
    `most_nodes` must be named or asked for.
    """

    services: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    matrix: bool = False
    all_nodes: bool = False
    most_nodes: int | None = None


def chosen_options(command: F) -> F:
    """Give a command `--service`, `--nodes` and `--all-nodes`, as one argument `chosen`."""
    return chosen_options_of("a matrix")(command)


def chosen_options_of(what: str) -> Callable[[F], F]:
    """Make `chosen_options` for a command that does not make a matrix, but `what`."""
    return functools.partial(_with_chosen, what=what)


def _with_chosen(command: F, what: str) -> F:
    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        names = kwargs.pop("nodes")
        nodes = tuple(name.strip() for name in names.split(",")) if names is not None else ()
        if "" in nodes:
            hint = "pass names, separated by commas"
            raise InputError(Problem.of_argument("nodes", "a node name is empty", hint))
        chosen = Chosen(
            kwargs.pop("service"),
            nodes,
            matrix=kwargs.pop("matrix", False),
            all_nodes=kwargs.pop("all_nodes"),
        )
        return command(*args, chosen=chosen, **kwargs)

    decorated: Any = with_options
    for one in (
        flag(
            "--all-nodes",
            section=Section.NODE,
            text="Every node of the manifests, which must have Nodes.",
        ),
        option(
            "--nodes",
            metavar="NAME,...|NUMBER",
            section=Section.NODE,
            help=f"The nodes of {what}; all Nodes of the manifests by default. With "
            "--from-workloads a number makes that many plain Nodes if there are none.",
        ),
        option(
            "--service",
            metavar="NS/NAME[:PORT]",
            multiple=True,
            help=f"Only this Service of {what}, or one of its ports; may be repeated.",
        ),
    ):
        decorated = one(decorated)
    result: F = decorated
    return result


def made_nodes(options: CompileOptions, chosen: Chosen) -> tuple[CompileOptions, Chosen]:
    """Read a number in `--nodes` as that of plain Nodes, where workloads are expanded."""
    if not options.from_workloads or len(chosen.nodes) != 1 or not chosen.nodes[0].isdecimal():
        return options, chosen
    number = int(chosen.nodes[0])
    if number < 1:
        raise click.BadParameter(f"{number} is not in the range x>=1.", param_hint="'--nodes'")
    return replace(options, nodes=number), replace(chosen, nodes=())
