"""`proxyrules diff --all-nodes`: each change once, with its nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from compiler.analysis.diff_words import Change
from compiler.cli.changes_json import changes_value
from compiler.cli.changes_text import change_lines, summary_line
from compiler.cli.changes_words import where_words
from compiler.cli.colour import Paint, shown
from compiler.cli.diff_formats import code
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import CompileOptions
from compiler.cli.output import report
from compiler.cli.rules_input import gathered, open_input
from compiler.cli.summary import count
from compiler.snapshots.changes import Changes, Placed
from compiler.snapshots.nodes_diff import NodesDiff, diff_nodes

if TYPE_CHECKING:
    from compiler.cli.rules_input import RulesInput
    from compiler.cluster import Cluster

FORMATS = ("text", "json", "markdown")


def nodes_diff(
    old: str, new: str, options: CompileOptions, versions: tuple[str | None, str | None]
) -> NodesDiff:
    """Read both sides and compare the rules of all nodes; `versions` are those of OLD and NEW.

    Raises `InputError`.
    """
    if options.node is not None or options.node_addresses:
        name = "--node" if options.node is not None else "--node-address"
        raise click.UsageError(f"{name} can't be combined with --all-nodes")
    sides = gathered(lambda: open_input([old]), lambda: open_input([new]))
    for side in sides:
        if not side.manifests:
            raise click.UsageError(f"--all-nodes is for manifests, but {side.name} is rules")
    options = options.with_cluster_read()
    first, second = (replace(options, kube_version=one or options.kube_version) for one in versions)
    before = first.read(sides[0].manifests)
    family = before.inputs.family
    after = replace(second, ip_family=family.value).read(sides[1].manifests)
    found = diff_nodes(before, after)
    for line in warning_lines(found.warnings):
        report(line)
    left_out = [
        words
        for side, cluster, others in zip(
            sides, (before, after), found.other_family_service_ports, strict=True
        )
        for words in _reported(side, cluster, options, others)
    ]
    words = tuple(Placed(Change(one, "", None, None), ()) for one in dict.fromkeys(left_out))
    changes = replace(found.changes, not_compared=(*found.changes.not_compared, *words))
    return replace(found, changes=changes)


def _reported(
    side: RulesInput, cluster: Cluster, options: CompileOptions, others: int
) -> Iterator[str]:
    """Report what a reader must know of how a side was read; give what was left out.

    `others` is how many service ports it has in the other IP family.
    """
    read = cluster.inputs.manifests
    report_notes(read.notes, read.assumed, verbose=False)
    other = cluster.inputs.family.other
    if others and options.ip_family is None:
        words = f"{side.name}: {count(others, f'{other.api_name} service port')}"
        report(f"{words} left out; --ip-family {other.value} reads them")
        yield words


def formatted(diff: NodesDiff, format_: str, paint: Paint) -> Iterable[str]:
    """Return the text in chunks. Raises `UsageError` for a format that is of one node's rules."""
    if format_ not in FORMATS:
        raise click.UsageError(f"--all-nodes has no format {format_}; use {', '.join(FORMATS)}")
    if format_ == "json":
        return [_json(diff)]
    lines = _markdown(diff) if format_ == "markdown" else _text(diff, paint)
    return (line + "\n" for line in lines)


def summary(diff: NodesDiff) -> str:
    """Sum a difference up: what changes, and on how many nodes."""
    changes = diff.changes
    line = summary_line(changes)
    compared = count(len(diff.compared), "node")
    if changes.same:
        partial = changes.not_compared or diff.added or diff.removed
        where = f"in what was compared on {compared}" if partial else f"on {compared}"
        return line.replace("for traffic", f"for traffic {where}", 1)
    places = [one.where for one in changes.ports]
    places += [one.where for one in (*changes.node, *changes.may_differ)]
    nodes = {node for some in places for where in some for node in where.nodes}
    return f"{line.removesuffix('.')}, on {len(nodes)} of {compared}."


def _one_sided(diff: NodesDiff) -> Iterator[str]:
    for names, verb in ((diff.added, "new"), (diff.removed, "gone")):
        for name in names:
            yield f"node {name} is {verb}: its rules were not compared"


def _text(diff: NodesDiff, paint: Paint) -> Iterator[str]:
    yield from change_lines(diff.changes, paint)
    yield from (paint(shown(words), "yellow") for words in _one_sided(diff))
    yield summary(diff)


def _json(diff: NodesDiff) -> str:
    value = changes_value(diff.changes)
    value["same"] = diff.same
    value["nodes"] = {
        "compared": list(diff.compared),
        "withOtherRules": list(diff.differing),
        "added": list(diff.added),
        "removed": list(diff.removed),
    }
    return json.dumps(value, indent=2) + "\n"


def _markdown(diff: NodesDiff) -> Iterator[str]:
    yield "### What changes for traffic, on all nodes"
    yield ""
    yield summary(diff)
    changes = diff.changes
    rows = list(_rows(changes))
    if rows:
        yield ""
        yield "| Service port | What | Before | After | Nodes |"
        yield "|---|---|---|---|---|"
    last = ""
    for name, placed in rows:
        change = placed.change
        what = f"{change.what} {code(change.item)}" if change.item else change.what
        cell = name if name.startswith("*") else code(name)
        nodes = shown(where_words(placed.where, changes)).replace("|", "\\|")
        values = [code(one) for one in (change.before, change.after)]
        yield f"| {' | '.join([cell if name != last else '', what, *values, nodes])} |"
        last = name
    words = [*_one_sided(diff), *_words(changes)]
    if words:
        yield ""
        yield from (f"- {shown(one)}" for one in words)


def _rows(changes: Changes) -> Iterator[tuple[str, Placed]]:
    for port in changes.ports:
        for placed in port.changes or (Placed(Change(port.kind, "", None, None), port.where),):
            yield str(port.key), placed
    for placed in changes.node:
        yield "*node*", placed


def _words(changes: Changes) -> Iterator[str]:
    for label, some in (("May differ", changes.may_differ), ("Not compared", changes.not_compared)):
        for placed in some:
            where = where_words(placed.where, changes) if placed.where else ""
            yield f"{label}: {code(placed.change.what)}" + (f" ({where})" if where else "")
    for one in changes.renamed:
        where = where_words(one.where, changes)
        yield f"{code(str(one.old))} is now {code(str(one.new))} ({where})"
