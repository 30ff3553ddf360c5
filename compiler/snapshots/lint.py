"""What `lint` finds on one side of a snapshot and did not find on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from compiler.analysis.lint.baseline import known, without_known
from compiler.analysis.lint.rule import LintRule
from compiler.analysis.lint.run import LintReport, Located, run_rules
from compiler.errors import InputError
from compiler.lint_input import LintOptions, lint_context
from compiler.manifests.source import Source
from compiler.snapshots.expand import Expanded

# A finding that is nothing but information would hide the others.
_REPORTED = ("error", "warning")


def new_findings(
    old: Expanded | None, new: Expanded, rules: Sequence[type[LintRule]]
) -> tuple[Located, ...]:
    """Return the warnings and errors of the new side that the old one, if any, does not have.

    They are told apart as by a baseline: by rule, object and field, and not by line.
    """
    if not rules:
        return ()
    after = _report(new, rules)
    worse = [one for one in after.findings if one.severity in _REPORTED]
    if not worse or old is None:
        return tuple(worse)
    try:
        before = known(_report(old, rules))
    except InputError:  # it could be compiled, so this is a field that lint alone reads
        before = Counter()
    return without_known(replace(after, findings=tuple(worse)), before).findings


def _report(side: Expanded, rules: Sequence[type[LintRule]]) -> LintReport:
    """Run rules over the input of a snapshot. Raises `InputError`."""
    definition = side.definition
    options: LintOptions = {
        "config": side.config and _named(side.config, side),
        "kube_version": definition.kube_version,
        "from_workloads": definition.from_workloads,
        "nodes": definition.make_nodes,
        "cluster": [_named(source, side) for source in side.cluster],
    }
    sources = [_named(source, side) for source in side.sources]
    return run_rules(lint_context(sources, **options), rules)


def _named(source: Source, side: Expanded) -> Source:
    """Name a file as a reader does, without the revision that it is of."""
    return Source(source.name.removeprefix(side.prefix), source.text)
