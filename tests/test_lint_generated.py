"""Every rule of `lint` on generated clusters: it reports what an independent check finds."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import pytest

from compiler.analysis.lint.rule import LintRule
from compiler.manifests.source import Source
from compiler.questions import lint
from tests.generated_clusters import Cluster, clusters, subject
from tests.lint_cases import RULES, rule_id
from tests.lint_checks import checks


@cache
def found(number: int) -> dict[str, set[str]]:
    """Return the subjects of the findings in a cluster, by rule."""
    cluster = clusters()[number]
    rules = [
        Source(f"node-{place}.save", dump.text.encode()) for place, dump in enumerate(cluster.dumps)
    ]
    report = lint(cluster.sources, rules, config=cluster.config_source, **cluster.options)
    subjects = defaultdict(set)
    for one in report.findings:
        subjects[one.id].add(one.subject)
    return subjects


def test_every_rule_has_a_check() -> None:
    assert set(checks()) == {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_no_finding_is_false_or_missing(rule: type[LintRule]) -> None:
    check = checks()[rule.id]
    reported = 0
    for number, cluster in enumerate(clusters()):
        expected = check(cluster) - ignored(cluster, rule.id)
        assert found(number).get(rule.id, set()) == expected, describe(cluster)
        reported += bool(expected)
    # A condition that no cluster has, or every one, was not tried.
    assert 0 < reported < len(clusters())


def ignored(cluster: Cluster, rule: str) -> set[str]:
    """Return the Services that ignore a rule, and their ports."""
    ignoring = [
        service
        for service in cluster.of("Service")
        if rule in service["metadata"].get("annotations", {}).get("proxyrules.dev/ignore", "")
    ]
    ports = [
        f"{subject(service)}:{port['name']}"
        for service in ignoring
        for port in service["spec"]["ports"]
        if "name" in port
    ]
    return {*map(subject, ignoring), *ports}


def describe(cluster: Cluster) -> str:
    return f"cluster {cluster.seed} ({cluster.options}, config {cluster.config})"
