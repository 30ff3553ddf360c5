"""`proxyrules lab apply`: from a lab to another."""

from __future__ import annotations

import shlex

import click

from compiler.analysis.delta import delta_rules
from compiler.cli.help import Command
from compiler.cli.lab.common import name_option, the_lab
from compiler.cli.lab.making import (
    Verbosity,
    compiled_state,
    merged_options,
    print_result,
    verbosity_options,
)
from compiler.cli.options import CompileOptions, compile_options_with, manifests_argument
from compiler.cli.output import report
from compiler.family import Family
from compiler.lab import lifecycle
from compiler.lab.errors import LabError
from compiler.lab.rules import jumps, reload_text
from compiler.lab.topology import Clients
from compiler.netfilter.parse import parse_rules

EXAMPLES = ("proxyrules lab apply manifests/",)


@click.command(cls=Command, examples=EXAMPLES)
@manifests_argument
@name_option
@verbosity_options
@compile_options_with("Only this IP family; by default as in `lab up`.", implied=True)
def apply(
    *,
    manifests: tuple[str, ...],
    name: str,
    quiet: bool,
    verbose: bool,
    options: CompileOptions,
) -> None:
    """Compile changed manifests and load the difference into the lab.

    Options that are not given are those of `lab up`. Connections and affinity of remaining
    endpoints are kept. As kube-proxy does, `apply` deletes the connection tracking entries of UDP
    Services that lead to removed endpoints or to none; -v lists the commands.
    """
    old = the_lab(name)
    kept = old.made_with
    verbosity = Verbosity(quiet, verbose)
    new = compiled_state(
        name,
        old.backend,
        manifests,
        options=merged_options(kept["options"], options),
        clients=Clients(kept["clients"], tuple(kept["outside"])),
        verbosity=verbosity,
    )
    if set(new.texts) != set(old.texts):
        raise LabError("the IP families would change; use `proxyrules lab down`, then `lab up`")
    loads = {
        family: _difference(old.texts[family], text, family) for family, text in new.texts.items()
    }
    for command in lifecycle.change(old, new, loads):
        if verbose:
            report(f"stale UDP entries: {shlex.join(command)}")
    print_result(new, "has changed", verbosity)


def _difference(old: str, new: str, family: Family) -> str:
    """Return the text for `--noflush` that takes the kernel from one standalone text to another.

    Only the chains that differ; but where the jumps from the built-in chains differ too, which a
    delta leaves alone, all of it.
    """
    if jumps(old) != jumps(new):
        return reload_text(old, new)
    before, after = (parse_rules(text, family=family) for text in (old, new))
    return delta_rules(before, after, source=new.split("\n")).text
