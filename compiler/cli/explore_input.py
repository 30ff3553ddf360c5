"""From the arguments of `explore` to what its document is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from compiler.analysis.explore.document import Exploration
from compiler.analysis.explore.document import Side as ExploredSide
from compiler.analysis.lint.dump import NodeDump, log_dumps, node_dumps
from compiler.analysis.lint.run import LintReport, run_rules
from compiler.analysis.lint.selection import selected
from compiler.cli.matrix_input import Side, chosen_keys, load_side, open_side
from compiler.cli.matrix_options import Chosen
from compiler.cli.messages import option_name
from compiler.cli.options import CompileOptions
from compiler.cli.output import report
from compiler.cli.rules_input import RulesInput, choose_family, gathered
from compiler.cli.summary import skipped_lines
from compiler.cluster import Cluster
from compiler.compilation import open_config
from compiler.errors import InputError, Problem
from compiler.exploring import (
    NAMES_WITHIN,
    make_exploration,
    side_of_manifests,
    side_of_rules,
)
from compiler.lint_input import lint_context
from compiler.manifests.source import Source, read_sources

# A page of more nodes takes minutes to make, and nobody looks at all of them.
MOST_NODES = 10


def read_exploration(paths: Sequence[str], options: CompileOptions, chosen: Chosen) -> Exploration:
    """Read one side, or an old and a new one. Raises `InputError`."""
    opened = gathered(*(partial(open_side, [path]) for path in paths))
    rules = [one for side in opened for one in side if not one.manifests]
    family = choose_family(rules, options)
    options = replace(options.with_cluster_read(), config=open_config(options.config))
    every = replace(chosen, services=(), most_nodes=MOST_NODES)
    mixed = len({bool(side[0].manifests) for side in opened}) > 1
    loaded: list[Side] = []
    for side in opened:
        # the node that is named is that of the manifests
        bare = mixed and not side[0].manifests
        mine = (replace(options, node=None), Chosen()) if bare else (options, every)
        loaded.append(load_side(side, *mine, family))
        family = loaded[0].family
    _check_ports(loaded)
    keys = chosen_keys([one.ports for one in loaded], chosen)
    sides = [_explored(side, one) for side, one in zip(opened, loaded, strict=True)]
    not_looked = list(dict.fromkeys(words for one in loaded for words in _not_shown(one)))
    if len(loaded) > 1:
        not_looked.append(f"lint: findings are those of {loaded[-1].name} alone")
    return make_exploration(
        sides,
        [one.name for side in opened for one in side],
        report=_linted(opened[-1], options),
        keys=keys,
        not_looked=not_looked,
        spelling=option_name,
    )


def _check_ports(sides: Sequence[Side]) -> None:
    """Check that there is something to show."""
    empty = [side for side in sides if not side.ports.keys]
    if len(sides) == 1 and empty:
        raise InputError(
            Problem(empty[0].name, "no service ports", "give manifests with a Service")
        )
    if empty:
        hint = "two paths are OLD and NEW; several files of one side go into a folder"
        raise InputError(Problem(side.name, "no service ports", hint) for side in empty)


def _not_shown(side: Side) -> Iterator[str]:
    """Say what of the input is not on the page."""
    yield from side.left_out
    if isinstance(side.ports, Cluster):
        for line in skipped_lines(side.ports.inputs.manifests):
            yield f"not shown: {line}: kube-proxy has no rules for them"


def _explored(opened: Sequence[RulesInput], side: Side) -> ExploredSide:
    if not isinstance(side.ports, Cluster):
        return side_of_rules(side.name, side.columns)
    inputs = side.ports.inputs
    sources = _sources(opened[0])
    if any(len(one.text) > NAMES_WITHIN for one in inputs.manifests.texts or sources):
        mebibytes = NAMES_WITHIN // 1024 // 1024
        report(f"names of Pods are not read from files of more than {mebibytes} MiB")
    return side_of_manifests(side.name, side.columns, inputs, sources)


def _sources(opened: RulesInput) -> list[Source]:
    """Return the texts of manifests."""
    return [
        source
        for one in opened.manifests
        for source in ([one] if isinstance(one, Source) else read_sources([one], bytes))
    ]


def _linted(opened: Sequence[RulesInput], options: CompileOptions) -> LintReport:
    """Let lint look at a side with all of its rules."""
    manifests: list[str | Source] = []
    dumps: list[NodeDump] = []
    for one in opened:
        manifests += one.manifests
        dumps += node_dumps(one.name, one.dumps)
        dumps += log_dumps(one.name, one.log) if one.log else []
    context = lint_context(
        manifests,
        dumps,
        config=options.config,
        flags=options.flags,
        node=options.node if manifests else None,
        kube_version=options.kube_version,
        ip_family=options.ip_family,
        nfacct=options.nfacct,
        random_fully=options.random_fully,
        node_addresses=options.node_addresses,
        check_fields=options.check_fields,
        from_workloads=options.from_workloads,
        nodes=options.nodes,
        cluster=options.cluster,
        workers=2,
    )
    return run_rules(context, selected((), ()))
