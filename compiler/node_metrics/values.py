"""The numbers of one node: each series once, and each a number."""

from __future__ import annotations

import math
from collections.abc import Collection

from compiler.family import Family
from compiler.node_metrics.names import (
    BUILD,
    LAST_QUEUED,
    LAST_SYNC,
    LOCALHOST_PACKETS,
    NO_LOCAL_ENDPOINTS,
    NUMBERS,
    OTHER_MODES,
    RULES,
)
from compiler.node_metrics.nodes import NodeMetrics
from compiler.node_metrics.report import MetricFinding
from compiler.node_metrics.sample import Sample

_FAMILIES: dict[str, Family | None] = {"": None, **{one.api_name: one for one in Family}}
# The label that tells a metric's series apart, beside the family.
_DETAILS = {RULES: "table", NO_LOCAL_ENDPOINTS: "traffic_policy"}

Key = tuple[str, Family | None, str]
"""A metric, its family (None for both), and its table or traffic policy, if it has one."""


class Values:
    """The values of a node, of some families and of both together.

    What is not a number, or is there twice, is in `findings`.
    """

    def __init__(self, metrics: NodeMetrics, families: Collection[Family]) -> None:
        self._families = families
        self.node, self.file = metrics.node, metrics.file
        self.samples: dict[Key, Sample] = {}
        self.findings = [
            MetricFinding("unreadable", f"{problem.message}{_hint(problem.hint)}", problem.file,
                          problem.line or 0)
            for problem in metrics.problems
        ]  # fmt: skip
        self.release = ""
        self.has_nfacct = False
        self.other_mode = ""
        self.read_at = metrics.collected
        self.slack = metrics.slack
        for sample in metrics.samples:
            self._take(sample)

    def _take(self, sample: Sample) -> None:
        if sample.at is not None and (self.read_at is None or sample.at > self.read_at):
            self.read_at = sample.at
        if sample.name == BUILD:
            self.release = sample.labels.get("git_version", "")
        elif sample.name == LOCALHOST_PACKETS:
            self.has_nfacct = True
        elif sample.name in OTHER_MODES:
            self.other_mode = OTHER_MODES[sample.name]
        elif sample.name in NUMBERS:
            self._take_number(sample)

    def _take_number(self, sample: Sample) -> None:
        labelled = sample.labels.get("ip_family", "")
        detail = sample.labels.get(_DETAILS.get(sample.name, ""), "")
        if labelled not in _FAMILIES:
            self._find("not-a-number", f"ip_family is {labelled!r}, not IPv4 or IPv6", sample)
            return
        family = _FAMILIES[labelled]
        if family is not None and family not in self._families:
            return
        key = sample.name, family, detail
        if not math.isfinite(sample.value) or sample.value < 0:
            self._find("not-a-number", f"{words(key)} is {sample.value:g}", sample)
        elif (first := self.samples.get(key)) is None:
            self.samples[key] = sample
        elif first.value != sample.value:
            place = f" in line {first.line}" if first.line else " before"
            values = f"{sample.value:,.0f} here, {first.value:,.0f}{place}"
            self._find("duplicate", f"{words(key)} is there twice: {values}", sample)

    def _find(self, kind: str, message: str, sample: Sample) -> None:
        self.findings.append(MetricFinding(kind, message, sample.file, sample.line or 0))

    def get(self, name: str, family: Family | None, detail: str = "") -> Sample | None:
        """Return a metric's sample."""
        return self.samples.get((name, family, detail))

    def families(self, name: str) -> tuple[Family | None, ...]:
        """Return the families that a metric has, None for a series without the label."""
        return tuple(dict.fromkeys(family for key, family, _ in self.samples if key == name))

    @property
    def newest(self) -> float:
        """The newest time that the node itself reports; 0 without any."""
        times = (s.value for (name, _, _), s in self.samples.items()
                 if name in (LAST_SYNC, LAST_QUEUED))  # fmt: skip
        return max(times, default=0.0)


def _hint(hint: str) -> str:
    return f"; {hint}" if hint else ""


def words(key: Key) -> str:
    """Write a series as Prometheus does, without the labels that tell nodes apart."""
    name, family, detail = key
    labels = [f'{_DETAILS[name]}="{detail}"'] if detail else []
    labels += [f'ip_family="{family.api_name}"'] if family else []
    return f"{name}{{{','.join(labels)}}}" if labels else name
