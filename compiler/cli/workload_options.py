"""The options about the control plane's part: workloads, plain Nodes, facts of a real cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from compiler.cli.help import Section, option
from compiler.cli.output import report


def workload_options(*, nodes: bool, implied: bool) -> list[Callable[[Any], Any]]:
    """Return the options; `nodes` and `implied` are those of `compile_options_with`."""
    options = []
    if not implied:
        text = "Add what the control plane would: Pods of workloads, addresses, EndpointSlices."
        options += [
            option("--from-workloads", is_flag=True, section=Section.INPUT, help=text),
            option("--from-pods", is_flag=True, hidden=True),
        ]
    if nodes:
        text = "Make this many plain Nodes if there are none"
        text += "." if implied else " (with --from-workloads)."
        number = click.IntRange(min=1)
        options.append(
            option("--nodes", metavar="NUMBER", type=number, section=Section.INPUT, help=text)
        )
    cluster = option(
        "--cluster",
        metavar="PATH",
        multiple=True,
        type=click.Path(allow_dash=True),
        section=Section.INPUT,
        help="Nodes of a real cluster, and Services for their cluster IPs and node ports; may be "
        "repeated.",
    )
    return [*options, cluster]


def taken(given: dict[str, Any], *, counted: bool, implied: bool) -> dict[str, Any]:
    """Take these options from the arguments of a command, as fields of `CompileOptions`.

    With `counted`, `--nodes` is a number. Raises UsageError for options without effect.
    """
    wanted = given.pop("from_workloads", False) or implied
    if given.pop("from_pods", False):
        report("--from-pods is now --from-workloads")
        wanted = True
    # `compile --print-objects` prints them with the control plane's part.
    wanted = wanted or getattr(given.get("wanted"), "print_objects", False)
    nodes: int = (given.pop("nodes") or 0) if counted else 0
    cluster: tuple[str, ...] = given.pop("cluster")
    if not wanted and (nodes or cluster):
        name = "--nodes" if nodes else "--cluster"
        raise click.UsageError(f"{name} is for --from-workloads")
    return {"from_workloads": wanted, "nodes": nodes, "cluster": cluster}
