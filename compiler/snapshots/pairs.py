"""One snapshot, as the base has it and as it is now: compiled on both sides and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from compiler.analysis.lint.rule import LintRule
from compiler.analysis.lint.run import Located
from compiler.errors import InputError, Problem
from compiler.family import IPV4, IPV6, Family
from compiler.fleet.all_nodes import natural
from compiler.kube_rules.service_port import Key
from compiler.manifests.source import Source
from compiler.snapshots.changes import TextDiff, Where, compare_texts
from compiler.snapshots.expand import Expanded, cluster_of, expand, sources_of
from compiler.snapshots.file import Definition
from compiler.snapshots.lint import new_findings
from compiler.snapshots.listing import read_list
from compiler.snapshots.places import FilePlace, places_of
from compiler.snapshots.schema import FILE
from compiler.snapshots.tree import Tree

# The text of each node's rules; the empty name stands for every node.
Texts = Mapping[str, str]
# Problems of one snapshot that are repeated in what was not looked at.
_REPEATED = 2


@dataclass(frozen=True)
class Pair:
    """A snapshot on both sides; None where a side does not have it. `names` are all snapshots'."""

    name: str
    old: Definition | None
    new: Definition | None
    old_tree: Tree
    new_tree: Tree
    old_directory: str
    new_directory: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Reviewed:
    """What comparing a snapshot gave.

    `missed` says what was not looked at, `notes` what a reader should know beside. `problems` are
    the new side's. `findings` are those of lint that the old side does not have.
    """

    was_compared: bool = False
    unchanged: bool = False
    differences: tuple[tuple[Where, TextDiff], ...] = ()
    compared: tuple[Where, ...] = ()
    missed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    places: Mapping[Key, FilePlace] = field(default_factory=dict)
    findings: tuple[Located, ...] = ()


def review_snapshot(
    pair: Pair, *, allow_commands: bool, rules: Sequence[type[LintRule]] = ()
) -> Reviewed:
    """Compare a snapshot of two states of a repository; what is wrong is in the result.

    `rules` are those of lint that both sides are looked at with.
    """
    if pair.new is None:
        return Reviewed(missed=(f"snapshot {pair.name} is gone: its Services were not compared",))
    commands = [one for one in (pair.old, pair.new) if one is not None and one.command]
    if commands and not allow_commands:
        return _of_kept_files(pair, linted=bool(rules))
    if not commands and _same_input(pair):
        return Reviewed(was_compared=True, unchanged=True)
    return _compiled(pair, expand(pair.new, pair.new_tree, allow_commands=allow_commands), rules)


def _compiled(pair: Pair, new: Expanded, rules: Sequence[type[LintRule]]) -> Reviewed:
    """Compile the old side and compare."""
    if new.problems:
        words = f"snapshot {pair.name} could not be compiled"
        return Reviewed(missed=(words,), problems=new.problems, warnings=new.warnings)
    if pair.old is None:
        words = f"snapshot {pair.name} is new: there is nothing to compare its Services with"
        return Reviewed(
            # without a file on the base all are new, which is reported once
            missed=(words,) if pair.old_directory else (),
            warnings=new.warnings,
            findings=new_findings(None, new, rules),
        )
    # whoever allowed the new side's command allowed this one
    old = expand(pair.old, pair.old_tree, allow_commands=True)
    if old.problems:
        more = len(old.problems) - _REPEATED
        shown = [str(one) for one in old.problems[:_REPEATED]] + [f"{more} more"] * (more > 0)
        words = f"snapshot {pair.name} could not be compiled on the base: {'; '.join(shown)}"
        return Reviewed(missed=(words,), warnings=new.warnings)
    return replace(_compared(pair, old, new), findings=new_findings(old, new, rules))


def _same_input(pair: Pair) -> bool:
    """Say whether both sides compile the same bytes in the same way: no packet differs then."""
    if pair.old is None or pair.new is None or _settings(pair.old) != _settings(pair.new):
        return False
    try:
        return _bytes(pair.old, pair.old_tree) == _bytes(pair.new, pair.new_tree)
    except InputError:
        return False


def _settings(definition: Definition) -> Definition:
    return replace(definition, file="", places={})


def _bytes(definition: Definition, tree: Tree) -> list[tuple[str, bytes]]:
    sources = [*sources_of(definition, tree), *cluster_of(definition, tree)]
    if definition.config is not None:
        sources.append(tree.read(definition.config))
    return [(source.name.removeprefix(tree.prefix), source.text) for source in sources]


def _compared(pair: Pair, old: Expanded, new: Expanded) -> Reviewed:
    sides = [_by_family(one) for one in (old, new)]
    found = _Comparison(pair)
    for family in Family:
        before, after = (side.get(family, {}) for side in sides)
        if after and not before:
            found.missed.append(
                f"snapshot {pair.name}: its {family.api_name} rules are new, with nothing to "
                "compare them with"
            )
        elif before and not after:
            found.missed.append(f"snapshot {pair.name}: it has no {family.api_name} rules any more")
        else:
            found.compare(family, before, after)
    found.notes += [f"snapshot {pair.name}: {note}" for note in new.all_notes]
    return found.result(new)


def _by_family(expanded: Expanded) -> dict[Family, dict[str, str]]:
    found: dict[Family, dict[str, str]] = {}
    for file in expanded.files:
        texts = found.setdefault(file.family, {})
        texts.update(dict.fromkeys(file.nodes or ("",), file.text))
    return found


class _Comparison:
    """Compares texts node by node; equal pairs of texts once."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.missed: list[str] = []
        self.notes: list[str] = []
        self.compared: list[Where] = []
        self.differences: list[tuple[Where, TextDiff]] = []
        self._known: dict[tuple[str, str], TextDiff | None] = {}

    def compare(self, family: Family, before: Texts, after: Texts) -> None:
        """Compare what the nodes of one family have."""
        for name in _nodes(before, after):
            old, new = before.get(name, before.get("")), after.get(name, after.get(""))
            where = Where(self.pair.name, family, (name,) if name else ())
            if old is None or new is None:
                what = "is new" if old is None else "is gone"
                self.missed.append(
                    f"snapshot {self.pair.name}: node {name} {what}, so that its "
                    f"{family.api_name} rules were not compared"
                )
                continue
            self._add(where, old, new)

    def _add(self, where: Where, old: str, new: str) -> None:
        if old == new:
            self.compared.append(where)
            return
        if (old, new) not in self._known:
            found: TextDiff | None = None
            with suppress(InputError):  # a file that is kept may have conflicts
                found = compare_texts(old, new, where.snapshot, where.family)
            self._known[old, new] = found
        known = self._known[old, new]
        if known is None:
            nodes = ", ".join(where.nodes) or "every node"
            self.missed.append(f"snapshot {where.snapshot}: the rules of {nodes} can't be read")
            return
        self.compared.append(where)
        self.differences.append((where, known))

    def result(self, new: Expanded | None) -> Reviewed:
        """Return all of it, with the places of the service ports that change."""
        keys = {port.key for _, found in self.differences for port in found.diff.ports}
        keys |= {one.new for _, found in self.differences for one in found.renamed}
        return Reviewed(
            was_compared=True,
            differences=tuple(self.differences),
            compared=tuple(self.compared),
            missed=tuple(self.missed),
            notes=tuple(self.notes),
            warnings=new.warnings if new else (),
            places=self._places(keys) if keys else {},
        )

    def _places(self, keys: set[Key]) -> dict[Key, FilePlace]:
        definition, tree = self.pair.new, self.pair.new_tree
        assert definition is not None  # noqa: S101  # compared
        found: dict[Key, FilePlace] = {}
        try:
            plain = replace(definition, command=())
            sources = [
                Source(one.name.removeprefix(tree.prefix), one.text)
                for one in sources_of(plain, tree)
            ]
            found = places_of(keys, sources)
        except InputError:
            pass  # what is wrong with them is reported elsewhere
        if definition.command:
            line, column = definition.places.get(("command",), (1, 1))
            found = {key: FilePlace(FILE, line, column) for key in keys} | found
        return found


def _nodes(before: Texts, after: Texts) -> list[str]:
    """Return the nodes of both sides; rules of every node alone stand for those of any."""
    names = {*before, *after}
    if names != {""}:
        names.discard("")
    return sorted(names, key=natural)


def _of_kept_files(pair: Pair, *, linted: bool) -> Reviewed:
    """Compare the files that are kept on both sides, for a snapshot whose command is not run.

    `linted` is whether lint looks at the other snapshots: it does not at this one, which is said.
    """
    found = _Comparison(pair)
    sides = [
        _kept_texts(pair, tree, directory)
        for tree, directory in (
            (pair.old_tree, pair.old_directory),
            (pair.new_tree, pair.new_directory),
        )
    ]
    why = f"snapshot {pair.name}: its command was not run (--allow-commands)"
    if pair.old is None or not all(sides):
        return Reviewed(missed=(f"{why}, and both sides do not have its files",))
    kept = f"the files in {pair.new_directory} were compared, which may be out of date"
    unseen = "; lint did not look at it" * linted
    found.missed.append(f"{why}; {kept}{unseen}")
    for family in Family:
        found.compare(family, *(side.get(family, {}) for side in sides))
    return found.result(None)


def _kept_texts(pair: Pair, tree: Tree, directory: str) -> dict[Family, dict[str, str]]:
    """Return the texts that are kept, by family and node."""
    found: dict[Family, dict[str, str]] = {}
    for name, nodes, family in _kept_files(pair, tree, directory):
        with suppress(InputError):
            text = tree.read(f"{directory}/{name}").text.decode("utf-8", "surrogateescape")
            found.setdefault(family, {}).update(dict.fromkeys(nodes or ("",), text))
    return found


def _kept_files(
    pair: Pair, tree: Tree, directory: str
) -> Iterator[tuple[str, tuple[str, ...], Family]]:
    """Give the files of a snapshot, with the nodes and the family that each is of."""
    if not directory or not (tree.root / directory).is_dir():
        return
    listed, _ = read_list(tree, directory)
    for path in tree.matching(f"{directory}/*.rules"):
        name = path.rpartition("/")[2]
        stem = name.removesuffix(".rules")
        if _owner(stem, pair.names) != pair.name:
            continue
        node = stem.removeprefix(pair.name).removeprefix(".")
        family = IPV4
        if node == "ipv6" or node.endswith(".ipv6"):
            node, family = node.removesuffix("ipv6").removesuffix("."), IPV6
        yield name, listed.get(name, (node,) if node else ()), family


def _owner(stem: str, names: Sequence[str]) -> str:
    """Return the snapshot that a file belongs to: the longest name that it begins with."""
    fitting = [name for name in names if stem == name or stem.startswith(f"{name}.")]
    return max(fitting, key=len, default="")
