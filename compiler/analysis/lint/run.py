"""Running rules over an input: what they find, in order, with places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.rule import (
    NEEDS,
    DumpLine,
    Edit,
    Field,
    LintFinding,
    LintRule,
    Setting,
    Severity,
)
from compiler.analysis.lint.unseen import unseen
from compiler.manifests.workloads import Workload


@dataclass(frozen=True, slots=True)
class Located:
    """A finding with its place: `line` and `column` count from 1 and are 0 where there is none.

    `file` is empty for what no file has; `argument` then is the setting in question, if any.
    `text` is the line in question, empty without one.
    """

    rule: type[LintRule]
    severity: Severity
    message: str
    hint: str
    subject: str
    field: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    text: str = ""
    argument: str = ""
    fix: tuple[Edit, ...] = ()

    @property
    def object_field(self) -> str:
        """What identifies the place of a finding however lines move."""
        return self.field or self.argument

    @property
    def id(self) -> str:
        """The id of the rule."""
        return self.rule.id


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found, and how much was looked at.

    `rules` are those that were selected. `idle` are those among them that found nothing to look at,
    by id, with the input that they need, in words. `unchecked` has what the others could not look
    at: the id (empty where it is about all rules) and the reason. `suppressed` counts the findings
    that annotations left out, `known` those that a baseline did; `gone` are findings of the
    baseline that are no more.
    """

    findings: tuple[Located, ...]
    services: int
    nodes: int
    dumps: int
    rules: tuple[type[LintRule], ...]
    idle: Mapping[str, str] = field(default_factory=dict)
    unchecked: tuple[tuple[str, str], ...] = ()
    suppressed: int = 0
    known: int = 0
    gone: int = 0


def run_rules(context: Context, rules: Sequence[type[LintRule]]) -> LintReport:
    """Run rules and return their findings in the order of the files, each once.

    Findings that the annotation of their Service names are left out; rules about these annotations
    run last.
    """
    found: dict[tuple[object, ...], Located] = {}
    idle = {
        rule.id: " or ".join(NEEDS[need] for need in rule.needs)
        for rule in rules
        if not any(map(context.has, rule.needs))
    }
    reads_services = any("services" in rule.needs and rule.id not in idle for rule in rules)
    for rule in sorted(rules, key=lambda one: (one.id.startswith("PR0"), one.id)):
        if rule.id in idle:
            continue
        for finding in rule().check(context):
            if context.suppressions.covers(rule.id, finding.subject):
                continue
            one = locate(context, finding)
            # The same of both families, say.
            key = (one.id, one.message, one.subject, one.field, one.file, one.line, one.column)
            found.setdefault(key, one)
        context.finished.add(rule.id)
    general = [
        *(unseen(context) if reads_services else ()),
        *(problem.text() for problem in context.problems),
    ]
    unchecked = [*(("", reason) for reason in general), *context.unchecked]
    return LintReport(
        tuple(_in_order(context, found.values())),
        services=len(context.services),
        nodes=len(context.nodes),
        dumps=len({dump.name for dump in context.dumps}),
        rules=tuple(rules),
        idle=idle,
        unchecked=tuple(dict.fromkeys(unchecked)),
        suppressed=context.suppressions.suppressed,
    )


def _in_order(context: Context, found: Iterable[Located]) -> list[Located]:
    files = {source.name: place for place, source in enumerate(context.given.sources)}
    return sorted(
        found,
        key=lambda one: (files.get(one.file, len(files)), one.file, one.line, one.column, one.id),
    )


def locate(context: Context, finding: LintFinding) -> Located:
    """Look up where a finding is."""
    at = finding.at
    file, line, column, path, argument, text = "", 0, 0, "", "", ""
    if isinstance(at, Field):
        fields = context.fields
        place = (
            fields.find_at(at.object.place, at.object.subject, at.path)
            if isinstance(at.object, Workload)
            else fields.find(at.object, at.path)
        )
        file, line, column, path = place.file, place.line, place.column, place.field
        text = place.text
    elif isinstance(at, Setting):
        tell = context.written_config.tell if at.overridden else context.config.tell
        problem = tell(at.name, "", "")
        file, line, column = problem.file, problem.line or 0, problem.column or 0
        path, argument = problem.field, problem.argument
        text = context.config_line(file, line)
    elif isinstance(at, DumpLine):
        file, line = at.dump.name, at.line
        text = at.dump.line(line)
    return Located(
        finding.rule,
        finding.severity,
        finding.message,
        finding.hint,
        finding.subject,
        path,
        file,
        line,
        column,
        text,
        argument,
        finding.fix,
    )
