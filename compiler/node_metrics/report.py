"""What was found of the metrics of nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

KINDS = {
    "rule-count": "error",
    "no-local-endpoints": "error",
    "sync-overdue": "error",
    "other-mode": "error",
    "restore-failures": "warning",
    "clock": "warning",
    "other-release": "warning",
    "missing-metric": "warning",
    "no-metrics": "warning",
    "unknown-node": "warning",
    "unreadable": "warning",
    "duplicate": "warning",
    "not-a-number": "warning",
    "pending-changes": "information",
    "no-nodes": "information",
    "no-time": "information",
}
"""Kinds of findings, and how severe they are."""


class State(StrEnum):
    """What the metrics of a node show."""

    AS_PREDICTED = "as predicted"
    STALE = "stale"
    SUSPECT = "suspect"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class MetricFinding:
    """One finding; `file` and `line` are where its number is, empty and 0 where that is nowhere."""

    kind: str
    message: str
    file: str = ""
    line: int = 0

    @property
    def severity(self) -> str:
        """`error`, `warning` or `information`."""
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class RuleNumbers:
    """One number of a node: what it reports, and what it should, by family where that is not one.

    `family` is empty where kube-proxy (before 1.33) reports one number for both.
    """

    family: str
    table: str
    found: int
    predicted: tuple[int, ...]

    @property
    def agrees(self) -> bool:
        """Whether it is one of those predicted."""
        return self.found in self.predicted


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What was found of one node. `synced` is how many seconds ago rules were last synced."""

    node: str
    numbers: tuple[RuleNumbers, ...] = ()
    findings: tuple[MetricFinding, ...] = ()
    synced: float | None = None

    @property
    def state(self) -> State:
        """What the findings say together."""
        severities = {finding.severity for finding in self.findings}
        if "error" in severities:
            return State.STALE
        if not self.numbers:
            return State.NOT_COMPARED
        return State.SUSPECT if "warning" in severities else State.AS_PREDICTED


@dataclass(frozen=True)
class MetricsReport:
    """What was found of all nodes, in the order of their names.

    `findings` are those of no single node. `mixed` counts the nodes that report one number for
    both families, `hint` is what a common difference of most nodes may come from, `not_read` are
    files whose name is no node's.
    """

    nodes: tuple[NodeReport, ...]
    findings: tuple[MetricFinding, ...] = ()
    mixed: int = 0
    hint: str = ""
    not_read: tuple[str, ...] = ()

    @cached_property
    def states(self) -> Counter[State]:
        """How many nodes are in each state."""
        return Counter(node.state for node in self.nodes)

    @property
    def failed(self) -> bool:
        """Whether anything was found, or some node was not compared."""
        return self.states[State.AS_PREDICTED] < len(self.nodes) or any(
            finding.severity != "information" for finding in self.findings
        )

    @property
    def compared(self) -> int:
        """How many nodes have numbers that were compared."""
        return sum(bool(node.numbers) for node in self.nodes)
