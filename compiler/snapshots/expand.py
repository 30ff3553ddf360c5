"""One snapshot compiled: the text of each file that belongs to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from compiler.cluster import Cluster
from compiler.compilation import (
    Compilation,
    Inputs,
    compile_inputs,
    complete_manifests,
    read_inputs,
)
from compiler.errors import ARGUMENT, InputError, Problem
from compiler.family import IPV6, Family
from compiler.fleet.all_nodes import AllNodes, compile_inputs_for_all, natural
from compiler.manifests.convert import shorten
from compiler.manifests.reader import Manifests
from compiler.manifests.source import Source
from compiler.proxy.own_settings import for_each_node
from compiler.snapshots.command import CommandError, run
from compiler.snapshots.file import Definition
from compiler.snapshots.schema import ALL, FILE, KINDS, NODE_NAME
from compiler.snapshots.tree import Tree

# The fields that arguments of the compiler come from.
_FIELDS = {
    "node": "nodes",
    "nodes": "nodes",
    "kube_version": "kubeVersion",
    "ip_family": "families",
    "config": "config",
    "complete_manifests()": "fromWorkloads",
}


@dataclass(frozen=True)
class Rendered:
    """The text of one file.

    `nodes` are those that it is of, none where the rules are the same on every node. `name` is the
    file's, in the folder of all of them.
    """

    snapshot: str
    family: Family
    nodes: tuple[str, ...]
    name: str
    text: str


@dataclass(frozen=True)
class Expanded:
    """What a snapshot gave: `files` is empty where there are `problems`.

    `left_out` are families that its Services have and that its `families` leave out. `sources`,
    `config` and `cluster` are what was read; their names begin with `prefix`.
    """

    definition: Definition
    files: tuple[Rendered, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[Family, ...] = ()
    sources: tuple[Source, ...] = ()
    config: Source | None = None
    cluster: tuple[Source, ...] = ()
    prefix: str = ""

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes, with one for each family that is left out."""
        left_out = (
            f"its {family.api_name} service ports are left out (families)"
            for family in self.left_out
        )
        return (*self.notes, *left_out)


def expand(definition: Definition, tree: Tree, *, allow_commands: bool) -> Expanded:
    """Compile a snapshot for its nodes and families; what is wrong with it is in the result."""
    if definition.command and not allow_commands:
        return Expanded(definition, problems=(_not_allowed(definition),))
    try:
        return _Expansion(definition, tree).run()
    except InputError as error:
        return Expanded(definition, problems=error.problems, warnings=error.warnings)


def _not_allowed(definition: Definition) -> Problem:
    message = f"commands are not run unless {ARGUMENT} is given"
    problem = definition.problem(("command",), message)
    hint = f"whoever can change {FILE} chooses what is run"
    return replace(problem, hint=hint, argument="allow_commands")


def sources_of(definition: Definition, tree: Tree) -> list[Source]:
    """Read the manifests of a snapshot, and run its command. Raises `InputError`."""
    sources, problems = _matching(definition, "manifests", tree)
    if definition.command and not problems:
        try:
            name = tree.name(f"<command of {definition.name}>")
            sources.append(Source(name, run(definition.command, tree.root)))
        except CommandError as error:
            problems.append(definition.problem(("command",), error.message, error.hint))
    if problems:
        raise InputError(problems)
    return sources


def cluster_of(definition: Definition, tree: Tree) -> list[Source]:
    """Read the facts of a real cluster that a snapshot names. Raises `InputError`."""
    sources, problems = _matching(definition, "cluster", tree)
    if problems:
        raise InputError(problems)
    return sources


def _matching(
    definition: Definition, field: Literal["manifests", "cluster"], tree: Tree
) -> tuple[list[Source], list[Problem]]:
    problems: list[Problem] = []
    sources: dict[str, Source] = {}
    for place, pattern in enumerate(getattr(definition, field)):
        if not pattern:  # reported where the file was read
            continue
        try:
            paths = tree.matching(pattern)
            if not paths:
                message = f"{shorten(pattern)} matches no file"
                problems.append(definition.problem((field, place), message))
            for path in paths:
                if path not in sources:
                    sources[path] = tree.read(path)
        except InputError as error:
            problems += error.problems
    return list(sources.values()), problems


def _config(definition: Definition, tree: Tree) -> tuple[Source | None, list[Problem]]:
    if definition.config is None:
        return None, []
    try:
        return tree.read(definition.config), []
    except InputError as error:
        message = f"{shorten(definition.config)}: {error.problems[0].message}"
        return None, [definition.problem(("config",), message)]


def input_problems(definition: Definition, tree: Tree) -> list[Problem]:
    """Return what is wrong with the files that a definition names; nothing is compiled or run."""
    files = [_matching(definition, field, tree)[1] for field in ("manifests", "cluster")]
    return [*files[0], *files[1], *_config(definition, tree)[1]]


class _Expansion:
    def __init__(self, definition: Definition, tree: Tree) -> None:
        self.definition, self.tree = definition, tree
        self.notes: tuple[str, ...] = ()
        self.warnings: dict[Problem, None] = {}
        self.others: set[Family] = set()
        self.sources: tuple[Source, ...] = ()
        self.config: Source | None = None
        self.cluster: tuple[Source, ...] = ()

    def run(self) -> Expanded:
        """Compile it. Raises `InputError`."""
        inputs = self._inputs()
        files = [
            file
            for family in self._families(inputs)
            for file in self._family(replace(inputs, family=family))
        ]
        return Expanded(
            self.definition,
            tuple(files),
            warnings=tuple(self.warnings),
            notes=self.notes,
            left_out=tuple(sorted(self.others - {file.family for file in files})),
            sources=self.sources,
            config=self.config,
            cluster=self.cluster,
            prefix=self.tree.prefix,
        )

    def _inputs(self) -> Inputs:
        definition, tree = self.definition, self.tree
        config, problems = _config(definition, tree)
        cluster, more = _matching(definition, "cluster", tree)
        problems += more
        sources: Sequence[Source] = ()
        try:
            sources = sources_of(definition, tree)
        except InputError as error:
            problems += error.problems
        if problems:
            raise InputError(problems)
        self.sources, self.config, self.cluster = tuple(sources), config, tuple(cluster)
        try:
            manifests: Sequence[Source] | Manifests = sources
            if definition.from_workloads:
                manifests = self._completed(sources, config, cluster)
            inputs = read_inputs(manifests, config=config, kube_version=definition.kube_version)
        except InputError as error:
            raise self._in_file(error) from error
        self._warn(inputs.manifests.warnings)
        return inputs

    def _completed(
        self, sources: Sequence[Source], config: Source | None, cluster: Sequence[Source]
    ) -> Manifests:
        """Add what the control plane would. Raises `InputError`."""
        completed = complete_manifests(
            sources, config=config, nodes=self.definition.make_nodes or 0, cluster=cluster
        )
        self.notes += completed.assumed
        return completed.manifests

    def _warn(self, warnings: Sequence[Problem]) -> None:
        self.warnings.update(dict.fromkeys(warnings))

    def _families(self, inputs: Inputs) -> Sequence[Family]:
        """Return the families that are wanted, else those that Services have."""
        if self.definition.families:
            return self.definition.families
        has = {family: bool(Cluster(replace(inputs, family=family)).keys) for family in Family}
        return [family for family in Family if has[family]] or [inputs.family]

    def _family(self, inputs: Inputs) -> list[Rendered]:
        """Compile for every node, and keep equal rules once where that is wanted."""
        groups: dict[tuple[str, str], list[str]] = {}
        try:
            for name, text in self._texts(inputs, self._nodes(Cluster(inputs))):
                node = name or inputs.config.hostname_override or ""
                apart = "" if self.definition.nodes == KINDS else node
                groups.setdefault((text, apart), []).append(node)
        except InputError as error:
            raise self._in_file(error) from error
        snapshot, family = self.definition.name, inputs.family
        return [
            Rendered(
                snapshot,
                family,
                tuple(filter(None, nodes)),
                file_name(snapshot, nodes[0], family),
                text,
            )
            for (text, _), nodes in groups.items()
        ]

    def _texts(
        self, inputs: Inputs, names: Sequence[str | None]
    ) -> Iterator[tuple[str | None, str]]:
        """Compile each of some nodes, those of the whole cluster at once."""
        if set(names) == set(Cluster(inputs).node_names):
            every = compile_inputs_for_all(inputs)
            self._noted(every, inputs.family)
            texts = {node: group.text for group in every.groups for node in group.nodes[:1]}
            for name in names:
                yield name, texts[every.group(name or "").nodes[0]]
            return
        if len(names) > 1:
            config, ignored = for_each_node(inputs.config, inputs.family)
            self._warn(ignored)
            inputs = replace(inputs, config=config)
        for name in names:
            compilation = compile_inputs(inputs, name)
            self._noted(compilation, inputs.family)
            yield name, compilation.text

    def _noted(self, compiled: Compilation | AllNodes, family: Family) -> None:
        self._warn(compiled.warnings)
        if compiled.other_family_service_ports:
            self.others.add(family.other)

    def _nodes(self, cluster: Cluster) -> list[str | None]:
        """Return the nodes in the order that decides which of equal ones names the file."""
        definition = self.definition
        if not isinstance(definition.nodes, str):
            known = cluster.node_names
            problems = [
                definition.problem(
                    ("nodes", place), f"no Node {shorten(name)} in the manifests", _listed(known)
                )
                for place, name in enumerate(definition.nodes)
                if known and name not in known
            ]
            if problems:
                raise InputError(problems)
            return list(definition.nodes)
        if definition.nodes == ALL and not cluster.node_names:
            message = "there is no Node in the manifests"
            raise InputError(
                definition.problem(("nodes",), message, "add Nodes, or write their names")
            )
        # hostnameOverride is one node's own: of several nodes each has its name.
        names: list[str | None] = [*cluster.node_names] or [*cluster.choose_nodes(())]
        override = cluster.inputs.config.hostname_override
        for name in (one or override for one in names):
            if name and not re.search(NODE_NAME, name):
                message = f"{shorten(name)} can't be part of the name of a file"
                raise InputError(definition.problem(("nodes",), message, "name the nodes"))
        return sorted(names, key=lambda name: natural(name or ""))

    def _in_file(self, error: InputError) -> InputError:
        """Return the error with the fields of the file in place of the compiler's arguments."""
        return InputError((self._placed(one) for one in error.problems), error.warnings)

    def _placed(self, problem: Problem) -> Problem:
        field = _FIELDS.get(problem.argument)
        if field is None:
            return problem
        message, hint = (text.replace(ARGUMENT, field) for text in (problem.message, problem.hint))
        if problem.file:
            return replace(problem, message=message, hint=hint, argument="")
        placed = self.definition.problem((field,), message, hint)
        # where the message begins with the field, it is there once
        return replace(placed, field="") if problem.message.startswith(ARGUMENT) else placed


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"nodes: {', '.join(names[:5])}{more}"


def file_name(snapshot: str, node: str, family: Family) -> str:
    """Return the name of a file; `node` is empty for rules that are the same on every node.

    IPv6 always has its word, so that a second family renames nothing.
    """
    words = [snapshot, *([node] if node else []), *(["ipv6"] if family is IPV6 else [])]
    return ".".join([*words, "rules"])
