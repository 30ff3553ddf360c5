"""`lint --list`, `--explain` and `--statistics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from compiler.analysis.lint.documentation import documentation, page
from compiler.analysis.lint.registry import GROUPS, all_rules
from compiler.analysis.lint.rule import LintRule
from compiler.analysis.lint.run import LintReport
from compiler.cli.colour import Paint
from compiler.cli.lint_formats import closing_lines
from compiler.errors import InputError, Problem


def list_lines(rules: Sequence[type[LintRule]], paint: Paint) -> Iterator[str]:
    """List rules by group: id, severity, name and first sentence."""
    width = max((len(rule.name) for rule in rules), default=0)
    for prefix, group in GROUPS.items():
        some = [rule for rule in rules if rule.id.startswith(prefix)]
        if some:
            yield paint(f"{group} ({prefix}xx)", "bold")
        for rule in some:
            title = documentation(rule).title
            yield f"  {rule.id}  {rule.severity:<7}  {rule.name:<{width}}  {title}"


def explain(name: str) -> str:
    """Return the page of a rule, by its id or name. Raises `InputError`."""
    from compiler.analysis.lint.selection import find_rule, unknown

    if rule := find_rule(name):
        return page(rule)
    message, hint = unknown(name) or (f"{name} is more than one rule", "give the whole id")
    raise InputError(Problem.of_argument("explain", message, hint))


def statistics_lines(report: LintReport, paint: Paint) -> Iterator[str]:
    """Give how many findings each rule has, most first, and what was looked at."""
    counts = Counter(one.id for one in report.findings)
    rules = all_rules()
    width = len(str(max(counts.values(), default=0)))
    for rule_id, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        rule = rules[rule_id]
        yield f"{count:>{width}}  {rule_id}  {rule.severity:<7}  {rule.name}"
    yield from closing_lines(report, paint)
