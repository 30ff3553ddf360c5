"""`proxyrules lab up`: from manifests to a lab."""

from __future__ import annotations

from collections.abc import Iterable

import click

from compiler.cli.help import Command
from compiler.cli.lab.common import name_option
from compiler.cli.lab.making import Verbosity, compiled_state, print_result, verbosity_options
from compiler.cli.options import CompileOptions, compile_options_with, manifests_argument
from compiler.errors import InputError, Problem
from compiler.lab import lifecycle
from compiler.lab.errors import OutsideAddressError
from compiler.lab.run_directory import check_name
from compiler.lab.topology import Clients, outside_problem
from compiler.manifests.address import canonical
from compiler.netfilter.backend import Backend

OUTSIDE = "--outside"

EXAMPLES = (
    "proxyrules lab up manifests/ --node worker-1",
    "kubectl get services,endpointslices,nodes -A -o json | proxyrules lab up -",
)


@click.command(cls=Command, examples=EXAMPLES)
@manifests_argument
@click.option(
    "--backend",
    type=click.Choice([backend.value for backend in Backend]),
    default=Backend.NFT.value,
    show_default=True,
    help="The iptables that loads the rules.",
)
@click.option(
    "--clients",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Number of Pods to add to the node that serve nothing: client-1, client-2, ...",
)
@click.option(
    OUTSIDE,
    metavar="IP",
    multiple=True,
    help="Address of an additional client outside the cluster, besides outside-1; may be repeated.",
)
@name_option
@verbosity_options
@compile_options_with(
    "Only this IP family; by default every family that the Services have.", implied=True
)
def up(
    *,
    manifests: tuple[str, ...],
    backend: str,
    clients: int,
    outside: tuple[str, ...],
    name: str,
    quiet: bool,
    verbose: bool,
    options: CompileOptions,
) -> None:
    """Create a lab from MANIFEST and load its rules.

    The lab is a node, a network namespace per endpoint, and clients.

    All options of `compile` about the node and kube-proxy can be used. --standalone and
    --from-workloads are implied: the jumps from the built-in chains are loaded too, and what the
    control plane would add is added: Pods of workloads, addresses, EndpointSlices.
    """
    check_name(name)
    lifecycle.require_rights()
    _check_outside(outside)
    verbosity = Verbosity(quiet, verbose)
    try:
        state = compiled_state(
            name,
            Backend(backend),
            manifests,
            options=options,
            clients=Clients(clients, tuple(map(canonical, outside))),
            verbosity=verbosity,
        )
    except OutsideAddressError as error:
        raise InputError(_outside_problem(error.address, error.reason)) from error
    lifecycle.up(state)
    print_result(state, "is up", verbosity)


def _check_outside(addresses: Iterable[str]) -> None:
    """Raise InputError with every address that no lab can have as a client's."""
    reasons = ((address, outside_problem(address)) for address in addresses)
    if problems := [_outside_problem(address, reason) for address, reason in reasons if reason]:
        raise InputError(problems)


def _outside_problem(address: str, reason: str) -> Problem:
    return Problem(
        OUTSIDE, f'"{address}" {reason}', "use an address of its own, such as 203.0.113.7"
    )
