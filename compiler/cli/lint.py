"""`proxyrules lint`: what is legal in manifests and rules, and will surprise in production."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from compiler.cli.collector import paused_collector
from compiler.cli.colour import paint_for_stdout, plain
from compiler.cli.exit_codes import ExitCode
from compiler.cli.help import Command, option
from compiler.cli.messages import warning_lines
from compiler.cli.options import CompileOptions, compile_options_with, format_option, output_option
from compiler.cli.output import check_paths, report, write_output

if TYPE_CHECKING:
    from compiler.analysis.lint.context import Context
    from compiler.analysis.lint.dump import NodeDump
    from compiler.manifests.source import Source


@click.command(
    "lint",
    cls=Command,
    examples=[
        "kubectl get svc,endpointslices,nodes -A -o yaml | proxyrules lint - -c kube-proxy.yaml",
        "proxyrules lint cluster.yaml node.save --select PR1,PR203 --format sarif",
    ],
)
@click.argument(
    "paths", metavar="MANIFEST... [RULES...]", nargs=-1, type=click.Path(allow_dash=True)
)
@option("--select", metavar="RULES", multiple=True, help="Ids or beginnings of ids (PR1).")
@option("--ignore", metavar="RULES", multiple=True, help="Rules to leave out.")
@option(
    "--clients",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many clients a Service has at one time.",
)
@option("--upgrade-to", metavar="X.Y", help="The Kubernetes version that PR7 compares with.")
@compile_options_with("Look at one IP family only.")
@format_option("text for people, sarif for code scanning.", "text", "sarif")
@output_option("Where to write the findings.")
@paused_collector()
def lint_command(
    *,
    paths: tuple[str, ...],
    options: CompileOptions,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    clients: int | None,
    upgrade_to: str | None,
    format_: str,
    output: str | None,
) -> None:
    """Find what is legal in manifests and rules, and will surprise in production.

    MANIFEST is a file, a folder or - as for compile; Pods and workloads among them are looked at
    too. RULES is a node's dump. All nodes are looked at unless --node names one.
    """
    from compiler.analysis.lint.run import run_rules
    from compiler.analysis.lint.selection import selected
    from compiler.cli.lint_formats import as_text
    from compiler.cli.lint_sarif import as_sarif

    check_paths([*paths, options.config_path], output)
    context = read_context(paths, options, clients=clients, upgrade_to=upgrade_to)
    for line in warning_lines([*context.config.warnings, *context.manifests.warnings]):
        report(line)
    rules = selected(select, ignore)
    found = run_rules(context, rules)
    if format_ == "sarif":
        write_output([as_sarif(found, rules)], output)
    else:
        paint = paint_for_stdout() if output in (None, "-") else plain
        write_output((line + "\n" for line in as_text(found, paint)), output)
    failed = any(one.severity != "info" for one in found.findings)
    sys.exit(ExitCode.DIFFERENT if failed else ExitCode.DONE)


def read_context(
    paths: tuple[str, ...],
    options: CompileOptions,
    *,
    clients: int | None = None,
    upgrade_to: str | None = None,
) -> Context:
    """Read manifests and dumps, told apart by what is in them. Raises `InputError`."""
    from compiler.analysis.lint.dump import node_dumps
    from compiler.cli.rules_input import gathered, open_input
    from compiler.questions import lint_context

    sides = gathered(*((lambda path=path: open_input([path])) for path in paths))
    manifests: list[str | Source] = []
    dumps: list[NodeDump] = []
    for side in sides:
        manifests += side.manifests
        dumps += node_dumps(side.name, side.dumps)
    return lint_context(
        manifests,
        dumps,
        config=options.config,
        flags=options.flags,
        node=options.node,
        kube_version=options.kube_version,
        ip_family=options.ip_family,
        nfacct=options.nfacct,
        random_fully=options.random_fully,
        node_addresses=options.node_addresses,
        check_fields=options.check_fields,
        workers=2,
        clients=clients,
        upgrade_to=upgrade_to,
    )
