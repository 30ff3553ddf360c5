"""`proxyrules delta`: the smallest text that turns one ruleset into another."""

from __future__ import annotations

import sys

import click

from compiler.analysis.delta import Delta, delta_rules
from compiler.cli.compile import paused_collector
from compiler.cli.options import CompileOptions, compile_options
from compiler.cli.output import say, write_output
from compiler.cli.rules_input import choose_family, load_rules, open_input, tell_about


@click.command("delta")
@click.argument("old", metavar="OLD", type=click.Path(allow_dash=True))
@click.argument("new", metavar="NEW", type=click.Path(allow_dash=True))
@compile_options
@click.option(
    "--like-kube-proxy",
    is_flag=True,
    help="Repeat all top-level chains, and all chains of a service port, as kube-proxy does.",
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(), help="Where to write the text.")
@click.option("-q", "--quiet", is_flag=True, help="Don't sum up what the text does.")
@click.option("-v", "--verbose", is_flag=True, help="Sum up, and tell what was compared as text.")
@paused_collector()
def delta_command(
    *,
    old: str,
    new: str,
    options: CompileOptions,
    like_kube_proxy: bool,
    output: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the text for iptables-restore --noflush that turns OLD into NEW.

    OLD and NEW are manifests or rules, as for diff. Only the chains that differ are written;
    chains that NEW does not have are emptied and deleted. Chains that are not kube-proxy's are
    left alone.
    """
    sides = (open_input([old]), open_input([new]))
    family = choose_family(sides, options)
    # NEW first: where nothing else says the family, what is wanted decides it
    wanted = load_rules(sides[1], options, family)
    chosen = family or wanted.ruleset.family
    present = load_rules(sides[0], options, chosen, like=wanted.ruleset)
    for side in (present, wanted):
        if not quiet:
            tell_about(side, verbose=verbose)
    delta = delta_rules(
        present.ruleset,
        wanted.ruleset,
        source=wanted.text.split("\n") if wanted.text else None,
        like_kube_proxy=like_kube_proxy,
    )
    write_output([delta.text], output)
    for chain in delta.kept:
        say(f"{chain} is emptied and stays: a rule outside kube-proxy's chains jumps to it")
    if not quiet and (verbose or sys.stderr.isatty()):
        say(_summary(delta, wanted.ruleset.lines))


def _summary(delta: Delta, lines: int) -> str:
    if not delta.text:
        return "Nothing to do: OLD holds what NEW gives."
    told = delta.text.count("\n")
    return (
        f"{told} lines instead of {lines}: {delta.written} chains written with {delta.rules} rules,"
        f" {delta.removed} chains removed"
    )
