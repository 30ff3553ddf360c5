"""`proxyrules delta`: the smallest text that turns one ruleset into another."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.help import Command, Section
from compiler.cli.options import CompileOptions, compile_options, flag, output_option
from compiler.cli.output import check_paths, report, write_output

if TYPE_CHECKING:
    from compiler.analysis.delta import Delta
    from compiler.netfilter.ruleset import Ruleset


@click.command(
    "delta",
    cls=Command,
    examples=[
        "iptables-save > now.save",
        "proxyrules delta now.save cluster.yaml --node worker-1 | iptables-restore --noflush",
    ],
)
@click.argument("old", metavar="OLD", type=click.Path(allow_dash=True))
@click.argument("new", metavar="NEW", type=click.Path(allow_dash=True))
@flag(
    "--like-kube-proxy",
    text="Also rewrite all top-level chains, and every chain of a service port if one of them "
    "changed, as kube-proxy's partial sync does.",
)
@compile_options
@output_option("Where to write the text.")
@flag("-q", "--quiet", section=Section.OUTPUT, text="Print warnings only, no summary.")
@flag(
    "-v",
    "--verbose",
    section=Section.OUTPUT,
    text="Print the summary even if standard error is not a terminal, and list what was "
    "compared as text.",
)
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
    """Print the text for iptables-restore --noflush that turns OLD into NEW.

    OLD and NEW are manifests or rules, as for diff. Only the chains that differ are written;
    chains that NEW does not have are emptied and deleted. Chains that are not kube-proxy's are
    not changed.
    """
    from compiler.analysis.delta import delta_rules
    from compiler.cli.rules_input import (
        gathered,
        load_sides,
        open_input,
        report_reading,
    )

    check_paths([old, new, *options.paths], output)
    sides = gathered(lambda: open_input([old]), lambda: open_input([new]))
    present, wanted = load_sides(sides, options)
    for side in (present, wanted):
        report_reading(side, verbose=verbose)
    delta = delta_rules(
        present.ruleset,
        wanted.ruleset,
        source=wanted.text.split("\n") if wanted.text else None,
        like_kube_proxy=like_kube_proxy,
    )
    written = write_output([delta.text], output)
    for chain in delta.kept:
        report(f"{chain} is emptied, not deleted: a rule outside kube-proxy's chains jumps to it")
    if written:
        _report_stale_udp(present.ruleset, wanted.ruleset)
    if written and not quiet and (verbose or sys.stderr.isatty()):
        report(_summary(delta, wanted.ruleset.lines))


def _report_stale_udp(old: Ruleset, new: Ruleset) -> None:
    """Name what kube-proxy would run after the rules: UDP flows keep to endpoints that are gone."""
    from compiler.analysis.stale_udp import stale_udp_commands

    for command in stale_udp_commands(old, new):
        report(f"then delete stale UDP entries: {shlex.join(command)}")


def _summary(delta: Delta, lines: int) -> str:
    if not delta.text:
        return "Nothing to do: OLD already has the rules of NEW."
    written = delta.text.count("\n")
    return (
        f"{written} lines instead of {lines}: {delta.written} chains written with "
        f"{delta.rules} rules, {delta.removed} chains removed"
    )
