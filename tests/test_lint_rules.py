"""Every rule of `lint`: its documentation, its examples, its fixture and its goldens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from compiler.analysis.lint.documentation import SECTIONS, documentation
from compiler.analysis.lint.registry import GROUPS
from compiler.analysis.lint.rule import SEVERITIES, LintRule
from tests.lint_cases import (
    FIXTURE_CASES,
    RULES,
    LintFixture,
    example_arguments,
    rule_id,
    selection,
)
from tests.run import Runner

every_rule = pytest.mark.parametrize("rule", RULES, ids=rule_id)


def found(proxyrules: Runner, *arguments: str) -> list[dict[str, object]]:
    """Run lint and return its SARIF results."""
    result = proxyrules("lint", *arguments, "--format", "sarif")
    assert result.code in {0, 1}, result.err
    results: list[dict[str, object]] = json.loads(result.out)["runs"][0]["results"]
    return results


@every_rule
def test_documentation(rule: type[LintRule]) -> None:
    page = documentation(rule)
    assert re.fullmatch(r"PR\d{3}", rule.id)
    assert rule.id[:3] in GROUPS
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.name)
    assert rule.severity in SEVERITIES
    assert page.title.endswith(".")
    assert tuple(page.sections) == SECTIONS
    assert len(page.symptom) > 60  # a sentence that can be searched for


def test_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@every_rule
def test_bad_example(rule: type[LintRule], proxyrules: Runner, tmp_path: Path) -> None:
    """It gives one finding, of this rule."""
    arguments = example_arguments(rule, "Bad example", tmp_path)
    results = found(proxyrules, *arguments, "--select", selection(rule.id))
    assert [one["ruleId"] for one in results] == [rule.id]
    assert results[0]["message"]


@every_rule
def test_good_example(rule: type[LintRule], proxyrules: Runner, tmp_path: Path) -> None:
    """It gives no finding of this rule, and none of another that would fail a run."""
    arguments = example_arguments(rule, "Good example", tmp_path)
    results = found(proxyrules, *arguments)
    assert not [one for one in results if one["ruleId"] == rule.id or one["level"] != "note"]


def test_every_rule_has_a_fixture() -> None:
    assert {rule.id.lower() for rule in RULES} <= {case.name[:5] for case in FIXTURE_CASES}


@pytest.mark.parametrize("case", FIXTURE_CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(("format_", "ending"), [("text", "txt"), ("sarif", "sarif")])
def test_golden(
    case: LintFixture,
    format_: str,
    ending: str,
    proxyrules: Runner,
    monkeypatch: pytest.MonkeyPatch,
    golden: SnapshotAssertion,
) -> None:
    monkeypatch.chdir(case.folder)
    select = case.name[:5].upper()
    result = proxyrules("lint", *case.arguments, "--select", selection(select), "--format", format_)
    assert result.code in {0, 1}, result.err
    assert select in result.out
    assert result.out == golden(name=f"lint-{case.name}.{ending}")
