"""What a branch does to traffic: every snapshot, as the base has it and as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from compiler.analysis.lint.rule import LintRule
from compiler.analysis.lint.run import Located
from compiler.errors import InputError, Problem
from compiler.kube_rules.service_port import Key
from compiler.manifests.source import Source
from compiler.snapshots.changes import Changes, merge
from compiler.snapshots.file import SnapshotFile, read_file
from compiler.snapshots.git import Commit, Repository
from compiler.snapshots.pairs import Pair, Reviewed, review_snapshot
from compiler.snapshots.places import FilePlace
from compiler.snapshots.schema import FILE
from compiler.snapshots.tree import Tree, find_root, literal_folder
from compiler.snapshots.unread import unread
from compiler.snapshots.work import Progress, done

T = TypeVar("T")


@dataclass(frozen=True)
class Review:
    """What changes for traffic between two states of a repository.

    `base` is the merge base, and not the newest commit of the branch if that has `base_moved_on`.
    `head` is None for the work tree, of which `uncommitted` files are not as the last commit has
    them. `snapshots` counts those compared, `unchanged` those of them whose input is the same.
    `not_looked_at` says what the comparison does not cover. `problems` are those of the new side: a
    snapshot that has any was not compared. Files of `places`, and `file`, which is
    `proxyrules.yaml`, are from the root of the repository. `findings` are the warnings and errors
    of lint that the base does not have.
    """

    base: Commit
    base_moved_on: bool
    head: Commit | None
    uncommitted: int
    snapshots: int
    unchanged: int
    changes: Changes
    not_looked_at: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    places: dict[Key, FilePlace] = field(default_factory=dict)
    file: str = FILE
    findings: tuple[Located, ...] = ()

    @property
    def same(self) -> bool:
        """Whether no packet is treated differently, and everything was compared."""
        return self.changes.same and not self.not_looked_at and not self.changes.not_compared


def review(
    start: Path,
    base: str,
    head: str | None = None,
    *,
    allow_commands: bool = False,
    workers: int = 1,
    start_progress: Callable[[int], Progress | None] = lambda _: None,
    rules: Sequence[type[LintRule]] = (),
) -> Review:
    """Compare the snapshots of two states of the repository that `start` is in.

    `base` is a revision: its merge base with `head` (by default the last commit) is compared with
    `head`, by default the work tree as it is. `start_progress` is called with the number of
    snapshots, and what it returns as each is compared. `rules` are those of lint that both sides
    are looked at with. Raises `InputError`, and `GitError` where git is not there.
    """
    root = find_root(start)
    repository = Repository.of(root)
    ours = repository.commit(head or "HEAD", "head")
    theirs = repository.commit(base, "base")
    common = repository.merge_base(theirs, ours)
    with ExitStack() as stack:
        sides = _Sides(repository, stack, allow_commands=allow_commands)
        old = sides.of(common, f"{base}:")
        new = sides.work_tree(root) if head is None else sides.of(ours, f"{head}:")
        pairs = list(_pairs(old, new))
        work = partial(review_snapshot, allow_commands=allow_commands, rules=tuple(rules))
        results = done(work, pairs, workers=workers, progress=start_progress(len(pairs)))
        missed = [*old.problems, *_unread(repository, common, None if head is None else ours, new)]
    return _result(
        Review(
            common,
            common.sha != theirs.sha,
            None if head is None else ours,
            repository.changed_files(),
            0,
            0,
            Changes(),
            tuple(missed),
            (),
        ),
        results,
        repository.inside,
    )


def _unread(repository: Repository, base: Commit, head: Commit | None, new: _Side) -> list[str]:
    return [] if new.file is None else list(unread(repository, base, head, new.tree, new.file))


@dataclass
class _Side:
    """A state of the repository; `file` is None where it has no usable `proxyrules.yaml`."""

    tree: Tree
    file: SnapshotFile | None
    problems: list[str]


class _Sides:
    def __init__(self, repository: Repository, stack: ExitStack, *, allow_commands: bool) -> None:
        self._repository, self._stack, self._allowed = repository, stack, allow_commands

    def work_tree(self, root: Path) -> _Side:
        tree = Tree(root)
        return _Side(tree, read_file(tree.read(FILE)), [])

    def of(self, commit: Commit, prefix: str) -> _Side:
        """Write the files of a commit that its snapshots may need to a temporary folder."""
        text = self._repository.read(commit, FILE)
        if text is None:
            words = f"{prefix}{FILE} is not there, so no snapshot could be compared"
            return _Side(Tree(Path(), prefix), None, [words])
        name = f"{prefix}{FILE}"
        try:
            file = read_file(Source(name, text))
        except InputError as error:
            words = f"{error.problems[0]}, so no snapshot could be compared"
            return _Side(Tree(Path(), prefix), None, [words])
        folder = self._stack.enter_context(self._repository.files(commit, self._below(file)))
        problems = [str(problem) for problem in file.problems]
        return _Side(Tree(folder, prefix), file, problems)

    def _below(self, file: SnapshotFile) -> list[str] | None:
        """Return the paths that may be read, None for all: a command may read any."""
        paths = [FILE, file.directory]
        for definition in file.definitions:
            if definition.command and self._allowed:
                return None
            paths += map(literal_folder, (*definition.manifests, *definition.cluster))
            paths += [definition.config] if definition.config else []
        return None if "" in paths else paths


def _pairs(old: _Side, new: _Side) -> Iterator[Pair]:
    """Pair the definitions of both sides by name. Raises `InputError` without a usable new side."""
    if new.file is None:
        raise InputError(Problem(f"{new.tree.prefix}{FILE}", "not found in this revision"))
    if new.file.problems:
        raise InputError(new.file.problems)
    definitions = (old.file.definitions if old.file else (), new.file.definitions)
    before, after = ({one.name: one for one in some} for some in definitions)
    names = tuple(before | after)
    for name in names:
        yield Pair(
            name,
            before.get(name),
            after.get(name),
            old.tree,
            new.tree,
            old.file.directory if old.file else "",
            new.file.directory,
            names,
        )


def _result(start: Review, results: Sequence[Reviewed], inside: str) -> Review:
    changes = merge(
        [one for result in results for one in result.differences],
        [where for result in results for where in result.compared],
        len(results),
    )
    places: dict[Key, FilePlace] = {}
    for result in results:
        for key, place in result.places.items():
            file = f"{inside}/{place.file}" if inside else place.file
            places.setdefault(key, replace(place, file=file))
    return replace(
        start,
        snapshots=sum(one.was_compared for one in results),
        unchanged=sum(one.unchanged for one in results),
        changes=changes,
        not_looked_at=_unique((*start.not_looked_at, *(w for one in results for w in one.missed))),
        notes=_unique(note for one in results for note in one.notes),
        problems=_unique(problem for one in results for problem in one.problems),
        warnings=_unique(warning for one in results for warning in one.warnings),
        places=places,
        file=f"{inside}/{FILE}" if inside else FILE,
        findings=_findings(results, inside),
    )


def _findings(results: Sequence[Reviewed], inside: str) -> tuple[Located, ...]:
    """Return what lint found, once where several snapshots have the same manifest."""
    found: dict[tuple[object, ...], Located] = {}
    for one in (one for result in results for one in result.findings):
        key = (one.id, one.subject, one.field, one.file, one.line, one.column)
        file = f"{inside}/{one.file}" if inside and one.file else one.file
        found.setdefault(key, replace(one, file=file))
    return tuple(found.values())


def _unique(some: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(some))
