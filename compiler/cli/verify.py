"""`proxyrules verify`: whether a node holds what it should."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from compiler.analysis.verify import verify_rules
from compiler.cli.colour import paint_for_stdout, plain
from compiler.cli.compile import paused_collector
from compiler.cli.options import CompileOptions, compile_options, manifests_argument
from compiler.cli.output import write_output
from compiler.cli.rules_input import (
    Rules,
    RulesInput,
    choose_family,
    load_rules,
    open_input,
    rules_text,
    tell_about,
)
from compiler.cli.verify_formats import Report, as_github, as_json, as_junit, as_text
from compiler.errors import InputError, Problem
from compiler.family import IPV4, IPV6, Family
from compiler.kube_rules.chains import is_kube_proxy_chain
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.parse import decode

EXIT_SAME = 0
EXIT_DIFFERENT = 1
# iptables-save waits for nobody: a node that takes longer is in trouble of another kind.
_TIMEOUT = 120


@click.command("verify")
@manifests_argument
@click.option(
    "--against",
    metavar="SAVE",
    type=click.Path(allow_dash=True),
    help="What the node holds: iptables-save or iptables -S output, or - for standard input.",
)
@click.option("--live", is_flag=True, help="Ask this machine's kernel, with iptables-save.")
@compile_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github", "junit"]),
    default="text",
    help="text for people, json for programs, github for annotations, junit for test reports.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="Where to write the answer."
)
@click.option("-v", "--verbose", is_flag=True, help="Show every finding.")
@paused_collector()
def verify_command(
    *,
    manifests: tuple[str, ...],
    against: str | None,
    live: bool,
    options: CompileOptions,
    format_: str,
    output: str | None,
    verbose: bool,
) -> None:
    """Check that a node holds the rules that its manifests give.

    Chains that are not kube-proxy's are left alone. Exits with 0 where all is as it should be (but
    for information), 1 where it is not, 2 where the input is wrong.
    """
    if (against is None) == (not live):
        raise click.UsageError("Give either --against SAVE or --live.")
    given = open_input(manifests)
    family: Family | None = _asked(options)
    dump = _live(family or IPV4) if live or against is None else _dump(against)
    if live and family is None and given.manifests:
        # which family the manifests are of is only known once they are compiled
        wanted = load_rules(given, options, None)
        if wanted.ruleset.family != IPV4:
            dump = _live(wanted.ruleset.family)
    else:
        family = choose_family((given, dump), options)
        wanted = load_rules(given, options, family)
    found = load_rules(dump, options, wanted.ruleset.family, like=wanted.ruleset)
    tell_about(wanted, verbose=verbose)
    report = _report(wanted, found, against)
    _write(report, format_, output, verbose=verbose)
    sys.exit(EXIT_DIFFERENT if report.failed else EXIT_SAME)


def _asked(options: CompileOptions) -> Family | None:
    return Family(options.ip_family) if options.ip_family else None


def _dump(path: str) -> RulesInput:
    dump = open_input([path])
    if dump.manifests:
        message = "neither iptables-save nor iptables -S output"
        hint = "a file that begins with a table or a -P, -N or -A line"
        raise InputError(Problem(dump.name, message, hint, line=1))
    return dump


def _live(family: Family) -> RulesInput:
    """Ask both backends of this machine for their rules. Raises InputError where none answers."""
    program = "ip6tables" if family == IPV6 else "iptables"
    named = [f"{program}-nft-save", f"{program}-legacy-save"]
    present = [name for name in named if shutil.which(name)] or [f"{program}-save"]
    texts = []
    for name in present:
        if shutil.which(name) is None:
            raise InputError(Problem(name, "not installed here", "--against SAVE"))
        done = subprocess.run([name], capture_output=True, timeout=_TIMEOUT, check=False)  # noqa: S603
        if done.returncode != 0:
            told = done.stderr.decode("utf-8", "replace").strip().splitlines()
            message = f"ended with {done.returncode}: {told[-1] if told else 'no message'}"
            raise InputError(Problem(name, message, "run as root on the node"))
        texts.append(decode(done.stdout))
    return rules_text(" and ".join(present), "".join(texts))


def _report(wanted: Rules, found: Rules, against: str | None) -> Report:
    findings = verify_rules(wanted.ruleset, found.ruleset, found.other_backend)
    chains = [
        chain
        for table, held in wanted.ruleset.tables.items()
        for name, chain in held.items()
        if is_kube_proxy_chain(table, name)
    ]
    path = against if against and against != "-" and Path(against).is_file() else ""
    return Report(
        findings,
        found.name,
        path,
        sum(map(len, chains)),
        len(chains),
        NodeRules(wanted.ruleset),
    )


def _write(report: Report, format_: str, output: str | None, *, verbose: bool) -> None:
    paint = paint_for_stdout() if output in (None, "-") else plain
    if format_ == "json":
        write_output([as_json(report)], output)
    elif format_ == "github":
        write_output(_ended(as_github(report)), output)
    elif format_ == "junit":
        write_output(_ended(as_junit(report)), output)
    else:
        write_output(_ended(as_text(report, paint, verbose=verbose)), output)


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line + "\n"
