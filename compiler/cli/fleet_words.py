"""The words for what dumps of a fleet show, the same in every format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from compiler.analysis.findings import Finding
from compiler.cli.messages import option_name
from compiler.errors import Problem
from compiler.fleet.report import FleetFinding, FleetReport
from compiler.fleet.results import DumpResult, State

NO_DUMP = "no dump"
# States as they are counted, where the word alone would not do.
_COUNTED = {
    State.UNKNOWN: "of unknown nodes",
    State.NO_KUBE_PROXY: "without kube-proxy",
    State.FOREIGN: "with foreign rules",
}
# Nodes that are listed where there are many.
_LISTED = 8


class Row(NamedTuple):
    """One line of the table of nodes; `state` is in words, `kind` the state alone."""

    node: str
    kind: str
    state: str
    dump: str
    result: DumpResult | None


def rows(report: FleetReport) -> list[Row]:
    """Return the table: the nodes in byte order, those without a dump among them."""
    found = [
        Row(one.node or "-", str(one.state), state_in_words(one), one.name, one)
        for one in report.results
    ]
    found += [Row(node, NO_DUMP, NO_DUMP, "", None) for node in report.without_dump]
    return sorted(found, key=lambda row: (row.node, row.dump))


def state_in_words(result: DumpResult) -> str:
    """Say what a dump shows: `stale by 3 endpoints`, `drifted: 2 errors`."""
    stale = [
        counted(count, word)
        for count, word in (
            (result.stale_services, "service port"),
            (result.stale_endpoints, "endpoint"),
        )
        if count
    ]
    words = f"stale by {' and '.join(stale)}" if stale else ""
    if result.state in (State.DRIFTED, State.FOREIGN):
        own = f"{result.state}: {counted(result.errors, 'error')}"
        return f"{own}; {words}" if words else own
    if result.state is State.STALE:
        return words
    unchecked = result.count(["not-checked"])
    if result.state is State.CLEAN and unchecked:
        return f"clean; {counted(unchecked, 'part')} not checked"
    return str(result.state)


def counted(count: int, word: str) -> str:
    """Write a number of things: `1 node`, `2,000 nodes`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def nodes_in_words(nodes: Sequence[str], *, all_of_them: bool = False) -> str:
    """Write nodes with their number: `3 nodes: a, b, c`."""
    listed = nodes if all_of_them or len(nodes) <= _LISTED + 1 else nodes[:_LISTED]
    more = len(nodes) - len(listed)
    return f"{counted(len(nodes), 'node')}: {', '.join(listed)}" + (
        f" and {more:,} more" if more else ""
    )


def kind_in_words(finding: Finding) -> str:
    """Write a kind of finding in words; the hyphen of kube-proxy is part of its name."""
    return finding.kind.replace("-", " ").replace("kube proxy", "kube-proxy")


def groups(findings: Sequence[FleetFinding]) -> Iterator[tuple[str, list[FleetFinding]]]:
    """Give findings by service port, the nodes' own first: they are about all traffic."""
    by_service: dict[str, list[FleetFinding]] = {"": []}
    for one in findings:
        by_service.setdefault(one.finding.service, []).append(one)
    for service, some in by_service.items():
        if some:
            yield service or "whole nodes", some


def problem_in_words(problem: Problem) -> str:
    """Write a problem in the words of the command line."""
    return problem.text(option_name)


def summary(report: FleetReport) -> str:
    """Count the dumps by what they show."""
    parts = [f"{count:,} {_COUNTED.get(state, state)}" for state, count in report.states.items()]
    if report.without_dump:
        parts.append(f"{counted(len(report.without_dump), 'node')} without a dump")
    checked = report.checked
    rules = sum(result.rules for result in checked)
    head = f"{counted(len(report.results), 'dump')}: {', '.join(parts)}"
    return f"{head}; {counted(rules, 'rule')} checked."
