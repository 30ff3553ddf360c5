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
from compiler.snapshots.tree import Tree

# A finding that is nothing but information would hide the others.
_REPORTED = ("error", "warning")


def new_findings(
    old: Expanded, old_tree: Tree, new: Expanded, new_tree: Tree, rules: Sequence[type[LintRule]]
) -> tuple[Located, ...]:
    """Return the warnings and errors of the new side that the old one does not have.

    They are told apart as by a baseline: by rule, object and field, and not by line. Files are
    named as in `new_tree`.
    """
    after = _report(new, new_tree, rules)
    worse = [one for one in after.findings if one.severity in _REPORTED]
    if not worse:
        return ()
    try:
        before = known(_report(old, old_tree, rules))
    except InputError:  # it could be compiled, so this is a field that lint alone reads
        before = Counter()
    return without_known(replace(after, findings=tuple(worse)), before).findings


def _report(side: Expanded, tree: Tree, rules: Sequence[type[LintRule]]) -> LintReport:
    """Run rules over the input of a snapshot. Raises `InputError`."""
    definition = side.definition
    options: LintOptions = {
        "config": None if side.config is None else _named(side.config, tree),
        "kube_version": definition.kube_version,
        "from_workloads": definition.from_workloads,
        "nodes": definition.make_nodes,
        "cluster": [_named(source, tree) for source in side.cluster],
    }
    sources = [_named(source, tree) for source in side.sources]
    return run_rules(lint_context(sources, **options), rules)


def _named(source: Source, tree: Tree) -> Source:
    return Source(source.name.removeprefix(tree.prefix), source.text)
