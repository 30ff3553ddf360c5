"""From the arguments of `who` to what its questions are answered from."""

from __future__ import annotations

from functools import partial

from compiler.analysis.who import Known
from compiler.cli.messages import option_name, report_notes, warning_lines
from compiler.cli.options import CompileOptions
from compiler.cli.output import report
from compiler.cli.rules_input import RulesInput, load_rules
from compiler.errors import InputError
from compiler.kube_rules.log import last_restore_input
from compiler.manifests.reader import read_manifests
from compiler.manifests.source import Source, read_sources
from compiler.netfilter.ruleset import Ruleset
from compiler.questions import known_from_manifests, known_from_rules


def known_of_manifests(
    side: RulesInput, options: CompileOptions, *, names_only: bool = False
) -> Known:
    """Read manifests, and compile them for the node unless names are enough.

    Where the rules depend on the node and none is named, names are found all the same. Raises
    `InputError`.
    """
    sources = [
        source
        for item in side.manifests
        for source in ([item] if isinstance(item, Source) else read_sources([item], bytes))
    ]
    if options.from_workloads:
        objects = options.complete(sources).manifests
        report_notes(objects.notes, objects.assumed, verbose=False)
    else:
        objects = read_manifests(sources, check_all=options.check_fields, workers=2)
    compilation, warnings = None, objects.warnings
    try:
        if not names_only:
            compilation = options.compile(objects)
            warnings = compilation.warnings
    except InputError as error:
        if options.node or any(problem.argument != "node" for problem in error.problems):
            raise
        reason = error.problems[0].text(option_name)
        report(f"which chains a node has is not known: {reason}")
    for line in warning_lines(warnings):
        report(line)
    return known_from_manifests(sources, objects, compilation, node=options.node)


def known_of_rules(side: RulesInput, options: CompileOptions) -> Known:
    """Read the names that rules show. Raises `InputError`."""
    texts = [dump.text for dump in side.dumps]
    if side.log:
        texts = [last_restore_input(side.log) or ""]
    return known_from_rules("\n".join(texts), side.name, partial(_parsed, side, options))


def _parsed(side: RulesInput, options: CompileOptions) -> Ruleset:
    return load_rules(side, options, None).ruleset
