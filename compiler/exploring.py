"""Documents of `explore`: what a page shows of one or two sides, each of one node or several."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from compiler.analysis.causes import Causes
from compiler.analysis.diff import RulesDiff, diff_rules
from compiler.analysis.diff_words import change_lines
from compiler.analysis.explore.document import Document, Exploration, Finding, Side
from compiler.analysis.explore.knowledge import Knowledge
from compiler.analysis.lint.run import LintReport, run_rules
from compiler.analysis.lint.selection import selected
from compiler.analysis.lint.unchecked import unchecked_lines
from compiler.analysis.names import names_of, slices_of
from compiler.analysis.node_view import Column
from compiler.analysis.rule_names import names_in
from compiler.cluster import Cluster
from compiler.compilation import Inputs, open_config, open_sources, read_inputs
from compiler.control_plane.pod_names import pods_of_services
from compiler.errors import Spelling, as_in_python
from compiler.kube_rules.service_port import Key
from compiler.lint_input import LintOptions, lint_context
from compiler.manifests.origins import Origins
from compiler.manifests.source import Source
from compiler.netfilter.ruleset import Ruleset

# Pods' names are not looked for in larger files: reading all of their objects takes seconds.
NAMES_WITHIN = 8 * 1024 * 1024
_SERVICE = re.compile(r"(?:Service|service port) ([^\s:]+/[^\s:]+)")


def side_of_manifests(
    name: str, columns: Sequence[Column], inputs: Inputs, sources: Sequence[Source]
) -> Side:
    """Return a side whose rules were compiled from manifests, which were read from `sources`."""
    manifests = inputs.manifests
    slices = slices_of(manifests.endpoint_slices)
    small = [one for one in manifests.texts or sources if len(one.text) <= NAMES_WITHIN]
    knowledge = Knowledge(
        names_of(manifests),
        Causes(Origins(manifests, sources), inputs.config, slices),
        pods_of_services(small),
        slices,
    )
    return Side(name, columns, knowledge, str(inputs.release))


def side_of_rules(name: str, columns: Sequence[Column]) -> Side:
    """Return a side of which nothing is known but rules."""
    text = "\n".join(line for column in columns for line in _lines(column.ruleset))
    return Side(name, columns, Knowledge(names_in(text)))


def _lines(ruleset: Ruleset) -> Iterator[str]:
    for table in ruleset.tables.values():
        for name, chain in table.items():
            yield from (f"-A {name} {text}" for text in chain.texts())


def make_exploration(
    sides: Sequence[Side],
    inputs: Sequence[str],
    *,
    report: LintReport | None = None,
    keys: Sequence[Key] | None = None,
    not_looked: Sequence[str] = (),
    spelling: Spelling = as_in_python,
) -> Exploration:
    """Put one side, or an old and a new one, together; `keys` are all service ports by default.

    `report` is what lint finds on the new side, None where it did not look. `spelling` gives the
    name that readers know an argument by, which is the place of a finding that is in no file.
    """
    words = list(not_looked)
    changes: Mapping[Key, tuple[str, tuple[str, ...]]] = {}
    if len(sides) > 1:
        changes, more = _changes(*sides)
        words += more
    if report is None:
        words.append("lint: not run")
    else:
        words += [f"lint: {line}" for line in unchecked_lines(report)]
    return Exploration(
        title=_title(sides),
        inputs=inputs,
        sides=sides,
        program=f"proxyrules {version('proxyrules')}",
        wanted=keys,
        findings=_findings(report, spelling),
        changes=changes,
        not_looked=words,
    )


def _title(sides: Sequence[Side]) -> str:
    names = " → ".join(side.name for side in sides)
    nodes = list(dict.fromkeys(column.name for side in sides for column in side.columns))
    if len(nodes) > 1:
        return f"{names}, {len(nodes)} nodes"
    # a file of rules is one node's
    return names if nodes[0] in names else f"{names} on {nodes[0]}"


def _findings(report: LintReport | None, spelling: Spelling) -> list[Finding]:
    found = []
    for one in report.findings if report is not None else ():
        service = _SERVICE.match(one.subject)
        argument = spelling(one.argument) if one.argument else ""
        place = f"{one.file}:{one.line}:{one.column}" if one.line else one.file or argument
        name = service[1] if service else ""
        found.append(Finding(one.id, one.severity, name, one.message, one.hint, place))
    return found


def _changes(old: Side, new: Side) -> tuple[dict[Key, tuple[str, tuple[str, ...]]], list[str]]:
    """Compare the nodes that both sides have, as `diff` does; say what else it reports."""
    pairs = paired(old, new)
    found: dict[Key, dict[str, tuple[str, list[str]]]] = {}
    rest: dict[str, None] = {}
    for before, after in pairs:
        diff = diff_rules(before.ruleset, after.ruleset)
        for port in diff.ports:
            lines = [line for _, line in change_lines(port.changes)]
            found.setdefault(port.key, {})[after.name] = port.change, lines
        rest |= dict.fromkeys(_rest(diff, after.name if len(pairs) > 1 else ""))
    mine, theirs = ({column.name for column in side.columns} for side in (old, new))
    if len(pairs) < max(len(mine), len(theirs)):
        rest |= dict.fromkeys(f"not compared: node {name}" for name in sorted(mine ^ theirs))
    return {key: _together(nodes, len(pairs)) for key, nodes in found.items()}, list(rest)


def paired(old: Side, new: Side) -> list[tuple[Column, Column]]:
    """Return the nodes that both sides have, by name; one of each side is the same one."""
    if len(old.columns) == len(new.columns) == 1:
        return [(old.columns[0], new.columns[0])]
    after = {column.name: column for column in new.columns}
    return [(one, after[one.name]) for one in old.columns if one.name in after]


def _together(
    nodes: Mapping[str, tuple[str, list[str]]], count: int
) -> tuple[str, tuple[str, ...]]:
    """Put the changes of a service port on several nodes together, each line once."""
    kinds = {kind for kind, _ in nodes.values()}
    at: dict[str, list[str]] = {}
    for name, (_, lines) in nodes.items():
        for line in lines:
            at.setdefault(line, []).append(name)
    shown = tuple(
        line if len(names) == count else f"{line}  ({', '.join(names)})"
        for line, names in at.items()
    )
    everywhere = len(kinds) == 1 and len(nodes) == count
    return next(iter(kinds)) if everywhere else "changed", shown


def _rest(diff: RulesDiff, node: str) -> Iterator[str]:
    """Say what changes besides service ports, and what is not compared."""
    where = f"{node}: " if node else ""
    yield from (f"{where}the whole node: {line}" for _, line in change_lines(diff.node))
    outside = change_lines(diff.outside)
    yield from (f"{where}outside kube-proxy's chains: {line}" for _, line in outside)
    yield from (f"{where}may differ: {words}" for words in diff.may_differ)
    yield from (f"{where}not compared: {words}" for words in diff.not_compared)


def explore(  # all but the first by name
    manifests: Sequence[str | os.PathLike[str] | Source],
    *,
    nodes: Sequence[str] = (),
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    kube_version: str | None = None,
    ip_family: str | None = None,
    node_addresses: Sequence[str] = (),
) -> Document:
    """Return the document of manifests: every answer about their Services, computed ahead.

    `nodes` are those that are looked at, all that have a Node by default; the other arguments are
    `compile_rules`' own. The values are those of JSON; `details` has one for each service port,
    which are made while they are read, once. Raises `InputError`.
    """
    sources, settings = open_sources(manifests), open_config(config)
    options: LintOptions = {
        "config": settings,
        "flags": flags,
        "kube_version": kube_version,
        "node_addresses": node_addresses,
    }
    if ip_family is not None:
        options["ip_family"] = ip_family
    inputs = read_inputs(
        sources,
        config=settings,
        flags=flags,
        kube_version=kube_version,
        ip_family=ip_family,
        node_addresses=node_addresses,
    )
    cluster = Cluster(inputs, tuple(node_addresses))
    found = [cluster.node(name) for name in cluster.choose_nodes(nodes)]
    columns = [
        Column(one.name or "any node", one.ruleset, one.addresses, one.pod_cidr) for one in found
    ]
    names = [source.name for source in sources]
    side = side_of_manifests(", ".join(names), columns, inputs, sources)
    report = run_rules(lint_context(sources, **options), selected((), ()))
    return make_exploration([side], names, report=report).document()
