"""What checking all dumps of a fleet gave: by node, and each finding once with its nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

from compiler.analysis.findings import Finding
from compiler.errors import ARGUMENT, Problem
from compiler.family import Family
from compiler.fleet.results import DumpResult, State

# Dumps further from the middle one than this may show the cluster at another time.
APART = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FleetFinding:
    """A finding and where it is: the nodes, in byte order, and one of the dumps that show it."""

    finding: Finding
    nodes: tuple[str, ...]
    dump: str


@dataclass(frozen=True)
class FleetReport:
    """The result of a fleet.

    `results` are those of all dumps, by node and name; `without_dump` the nodes that have none.
    `problems` are of what was given: dumps that can't be checked, files that are not read. They are
    no results, but nothing is well where there are any. `notes` are worth knowing: clocks apart,
    nodes with several dumps. `others` counts files that are no dumps.
    """

    name: str
    family: Family
    results: tuple[DumpResult, ...]
    without_dump: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    others: int

    @property
    def checked(self) -> tuple[DumpResult, ...]:
        """The results of the dumps that were compared with rules."""
        return tuple(result for result in self.results if not result.problem)

    @property
    def failed(self) -> bool:
        """Whether any node has faults, or was not looked at."""
        faulty = any(result.state is not State.CLEAN for result in self.checked)
        return faulty or bool(self.problems or self.without_dump)

    @cached_property
    def states(self) -> Counter[State]:
        """How many dumps show what, the worst first."""
        counts = Counter(result.state for result in self.results)
        return Counter({state: counts[state] for state in State if counts[state]})

    @cached_property
    def findings(self) -> tuple[FleetFinding, ...]:
        """Each finding once, errors first, then by how many nodes have it."""
        nodes: dict[Finding, dict[str, None]] = {}
        dumps: dict[Finding, str] = {}
        first: dict[Finding, Finding] = {}
        for result in self.results:
            for finding in result.findings:
                key = replace(finding, line=0)
                nodes.setdefault(key, {})[result.node] = None
                dumps.setdefault(key, result.name)
                first.setdefault(key, finding)
        found = [FleetFinding(first[key], tuple(some), dumps[key]) for key, some in nodes.items()]
        found.sort(key=lambda one: (one.finding.severity != "error", -len(one.nodes)))
        return tuple(found)

    @property
    def not_listed(self) -> int:
        """How many findings are not in `findings`: dumps that differ in everything."""
        return sum(result.not_listed for result in self.results)


def make_report(
    name: str,
    family: Family,
    results: Sequence[DumpResult],
    *,
    nodes: Sequence[str],
    problems: Sequence[Problem],
    others: int,
    other_family_service_ports: int = 0,
    more_notes: Sequence[Problem] = (),
) -> FleetReport:
    """Put the results of a fleet together; `nodes` are the cluster's, as far as they are known.

    `other_family_service_ports` are those of the manifests that nobody asked to leave out,
    `more_notes` what is worth knowing of the configuration.
    """
    others += sum(not result.is_dump for result in results)
    dumps = sorted((one for one in results if one.is_dump), key=lambda one: (one.node, one.name))
    shown = {one.node for one in dumps if not one.left_out}
    unread = [
        Problem(one.name, one.problem, one.hint, line=one.line or None)
        for one in dumps
        if one.problem and not one.left_out
    ]
    return FleetReport(
        name,
        family,
        tuple(dumps),
        tuple(sorted(node for node in nodes if node not in shown)),
        (*unread, *problems),
        (
            *_several(dumps),
            *_apart(dumps),
            *_left_out(dumps, family, other_family_service_ports),
            *more_notes,
        ),
        others,
    )


def _several(dumps: Sequence[DumpResult]) -> Iterator[Problem]:
    """Report nodes with several dumps: which of them is the newest is not decided."""
    by_node: dict[str, list[str]] = {}
    for dump in dumps:
        if not dump.left_out and dump.node:
            by_node.setdefault(dump.node, []).append(dump.name)
    for node, names in by_node.items():
        if len(names) > 1:
            message = f"the node has {len(names)} dumps, all of which count: {', '.join(names)}"
            yield Problem("", message, "leave only the newest one", subject=f"Node {node}")


def _apart(dumps: Sequence[DumpResult]) -> Iterator[Problem]:
    """Report dumps whose time is far from that of the others."""
    times = sorted(dump.generated for dump in dumps if dump.generated)
    if not times:
        return
    middle = times[len(times) // 2]
    for dump in dumps:
        if dump.generated and abs(dump.generated - middle) > APART:
            distance = _in_words(abs(dump.generated - middle))
            side = "before" if dump.generated < middle else "after"
            message = f"made {dump.generated:%Y-%m-%d %H:%M}, {distance} {side} the middle dump"
            hint = "it may show another state of the cluster; or the node's clock or zone differs"
            yield Problem(dump.name, message, hint)


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h"


def _left_out(dumps: Sequence[DumpResult], family: Family, ports: int) -> Iterator[Problem]:
    """Report what there is of the other IP family."""
    other = family.other
    hint = f"{ARGUMENT} {other.value} checks them"
    count = sum(dump.left_out for dump in dumps)
    if count:
        have = "1 dump has" if count == 1 else f"{count} dumps have"
        message = f"{have} only {other.api_name} rules, which were not checked"
        yield Problem("", message, hint, argument="ip_family")
    if ports:
        words = "1 service port" if ports == 1 else f"{ports:,} service ports"
        message = f"the manifests have {words} of {other.api_name}, which were not checked"
        yield Problem("", message, hint, argument="ip_family")
