"""The metrics of nodes against those that the manifests predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from compiler.errors import Problem
from compiler.family import Family
from compiler.node_metrics.names import LOOKBACK_SECONDS, NO_LOCAL_ENDPOINTS, RULES
from compiler.node_metrics.nodes import KnownNodes, Metrics
from compiler.node_metrics.predict import Predictions
from compiler.node_metrics.report import MetricFinding, MetricsReport, NodeReport, RuleNumbers
from compiler.node_metrics.sample import Sample
from compiler.node_metrics.sync import seconds_since_sync, sync_findings
from compiler.node_metrics.values import Values, words
from compiler.proxy.iptables_counts import RuleCounts
from compiler.proxy.release import NEWEST, Release, parse_version

_TABLES = ("filter", "nat")
_POLICIES = ("internal", "external")

# As many nodes that differ by the same numbers have one cause, which is not theirs.
_COMMON_CAUSE_NODES = 3

NO_METRICS = "no metrics of this node"


class Comparison:
    """Compares nodes one after the other.

    `release` is the one that all nodes are taken to run, None for each node's own; `nfacct` is
    whether all nodes have nfacct counters, also those that don't show them.
    """

    def __init__(
        self,
        predictions: Predictions,
        known: KnownNodes,
        *,
        release: Release | None = None,
        nfacct: bool = False,
    ) -> None:
        self._predictions, self._known = predictions, known
        self._release, self._nfacct = release, nfacct
        self._mixed = 0

    def run(self, metrics: Metrics, wanted: Sequence[str]) -> MetricsReport:
        """Compare all metrics; `wanted` are the nodes that should have some.

        Raises `InputError` where the manifests lack what the numbers depend on.
        """
        families = self._predictions.families
        values = [Values(one, families) for one in metrics.nodes.values()]
        # Where no time of reading is known, it is not before the newest time that nodes report.
        newest = max((one.newest for one in values), default=0.0) or None
        reports = [self._node(one, newest) for one in values]
        self._predictions.check()
        missing = [name for name in wanted if name not in metrics.nodes]
        reports += [
            NodeReport(name, findings=(MetricFinding("no-metrics", NO_METRICS),))
            for name in missing
        ]
        findings = [_of_problem(problem) for problem in metrics.problems]
        if values and newest and all(one.read_at is None for one in values):
            message = "nothing says when the metrics were read; their newest time was taken for it"
            findings.append(MetricFinding("no-time", message))
        if not wanted:
            message = "the manifests have no Nodes, so nodes without metrics can't be named"
            findings.append(MetricFinding("no-nodes", message))
        return MetricsReport(
            tuple(sorted(reports, key=lambda report: report.node)),
            tuple(findings),
            self._mixed,
            _common_cause(reports),
            tuple(metrics.not_read),
        )

    def _node(self, values: Values, newest: float | None) -> NodeReport:
        if self._known.names and values.node not in self._known.meant:
            message = "no Node of this name in the manifests"
            unknown = MetricFinding("unknown-node", message, values.file)
            return NodeReport(values.node, findings=(unknown, *values.findings))
        now, slack = values.read_at, values.slack
        if now is None:
            # Nodes are read one after the other.
            now, slack = newest, LOOKBACK_SECONDS
        release, findings = self._release_of(values)
        numbers = tuple(self._numbers(values, release, findings))
        findings += sync_findings(values, now, slack)
        everything = (*findings, *values.findings)
        # The newest time of all nodes decides what is overdue; how old a sync is, it can't say.
        synced = seconds_since_sync(values, values.read_at)
        return NodeReport(values.node, numbers, everything, synced)

    def _release_of(self, values: Values) -> tuple[Release, list[MetricFinding]]:
        """Return the release that a node is planned for."""
        usual = self._release or Release(NEWEST)
        try:
            own = parse_version(values.release) if values.release else usual
        except ValueError as error:
            message = str(error).partition(";")[0]
            return usual, [
                MetricFinding("other-release", f"{message}; compared as {usual}", values.file)
            ]
        if self._release is None or own == self._release:
            return own, []
        message = f"kube-proxy is {values.release}, but the numbers are those of {usual}"
        return usual, [MetricFinding("other-release", message, values.file)]

    def _numbers(
        self, values: Values, release: Release, findings: list[MetricFinding]
    ) -> Iterator[RuleNumbers]:
        """Give a node's numbers of rules, and add what differs to the findings."""
        if values.other_mode:
            message = f"kube-proxy is in {values.other_mode} mode, not in iptables mode"
            findings.append(MetricFinding("other-mode", message, values.file))
            return
        labelled = [one for one in values.families(RULES) if one is not None]
        if not labelled and None in values.families(RULES):
            self._mixed += 1
            predicted = [self._predict(values, one, release) for one in self._predictions.families]
            yield from _compared(values, None, predicted, findings)
            return
        for family in self._predictions.families:
            if family in labelled:
                predicted = [self._predict(values, family, release)]
                yield from _compared(values, family, predicted, findings)
            elif not labelled or self._predictions.has_service_ports(family, release):
                if not labelled and family is not self._predictions.families[0]:
                    continue
                key = RULES, family if labelled else None, ""
                findings.append(MetricFinding("missing-metric", f"no {words(key)}", values.file))

    def _predict(self, values: Values, family: Family, release: Release) -> RuleCounts:
        nfacct = self._nfacct or values.has_nfacct
        return self._predictions.counts(values.node, family, release, nfacct=nfacct)


def _compared(
    values: Values,
    family: Family | None,
    predicted: Sequence[RuleCounts],
    findings: list[MetricFinding],
) -> Iterator[RuleNumbers]:
    """Compare the numbers of one family, or of both (`family` is None) with those of either."""
    # Both tables are set by the same sync, so both have to be the same family's.
    pair = [values.get(RULES, family, table) for table in _TABLES]
    fitting = [one for one in predicted if _fits(pair, (one.filter, one.nat))]
    differ = False
    for table, sample in zip(_TABLES, pair, strict=True):
        if sample is None:
            message = f"no {words((RULES, family, table))}"
            findings.append(MetricFinding("missing-metric", message, values.file))
            continue
        expected = tuple(dict.fromkeys(getattr(one, table) for one in fitting or predicted))
        name = family.api_name if family else ""
        numbers = RuleNumbers(name, table, int(sample.value), expected)
        yield numbers
        if not numbers.agrees:
            differ = True
            message = _rules_differ(numbers, predicted)
            findings.append(MetricFinding("rule-count", message, sample.file, sample.line or 0))
    if not fitting and not differ:
        findings += _of_both_families(pair)
    findings += _without_local_endpoints(values, family, predicted)


def _of_both_families(pair: Sequence[Sample | None]) -> Iterator[MetricFinding]:
    filter_, nat = pair
    if filter_ and nat:
        message = (
            f"filter has {filter_.value:,.0f} rules and nat has {nat.value:,.0f}: "
            "no IP family has both"
        )
        yield MetricFinding("rule-count", message, nat.file, nat.line or 0)


def _without_local_endpoints(
    values: Values, family: Family | None, predicted: Sequence[RuleCounts]
) -> Iterator[MetricFinding]:
    for policy in _POLICIES:
        sample = values.get(NO_LOCAL_ENDPOINTS, family, policy)
        allowed = {getattr(one, f"no_local_{policy}") for one in predicted}
        if sample and sample.value not in allowed:
            message = (
                f"{_prefix(family)}{sample.value:,.0f} service ports without a local endpoint for "
                f"{policy} traffic, predicted {' or '.join(map(str, sorted(allowed)))}"
            )
            yield MetricFinding("no-local-endpoints", message, sample.file, sample.line or 0)


def _fits(pair: Sequence[Sample | None], numbers: tuple[int, int]) -> bool:
    return all(
        sample is None or sample.value == number
        for sample, number in zip(pair, numbers, strict=True)
    )


def _rules_differ(numbers: RuleNumbers, predicted: Sequence[RuleCounts]) -> str:
    found, expected = numbers.found, " or ".join(f"{one:,}" for one in numbers.predicted)
    message = f"{numbers.table} has {found:,} rules, predicted {expected}"
    if numbers.family:
        message = f"{numbers.family}: {message}"
        difference = found - numbers.predicted[0]
        message += f" ({abs(difference):,} {'more' if difference > 0 else 'fewer'})"
        counts = predicted[0]
        if numbers.table == "nat" and difference == counts.localhost_counted > 0:
            message += "; as many as with nfacct counters"
    return message


def _prefix(family: Family | None) -> str:
    return f"{family.api_name}: " if family else ""


def _of_problem(problem: Problem) -> MetricFinding:
    where = f"{problem.field}: " if problem.field else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    message = f"{where}{problem.message}{hint}"
    return MetricFinding("unreadable", message, problem.file, problem.line or 0)


def _common_cause(reports: Sequence[NodeReport]) -> str:
    """Say what it may mean that most nodes differ by the same numbers."""
    compared = [report for report in reports if report.numbers]
    differences = Counter(
        tuple(number.found - number.predicted[0] for number in report.numbers)
        for report in compared
    )
    if not differences:
        return ""
    ((difference, count),) = differences.most_common(1)
    if not any(difference) or count < _COMMON_CAUSE_NODES or 2 * count <= len(compared):
        return ""
    return (
        f"{count:,} of {len(compared):,} nodes differ alike: the manifests or kube-proxy's "
        "configuration may not be those of this cluster"
    )
