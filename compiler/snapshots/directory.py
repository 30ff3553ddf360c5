"""The files that are kept, compared with those that the snapshots give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from compiler.errors import InputError, Problem
from compiler.family import IPV4, Family
from compiler.snapshots.changes import TextDiff, compare_texts
from compiler.snapshots.expand import Expanded, Rendered, expand, input_problems
from compiler.snapshots.file import Definition, SnapshotFile, read_file
from compiler.snapshots.listing import Listed, file_of, list_text, read_list
from compiler.snapshots.schema import FILE
from compiler.snapshots.tree import Tree, find_root
from compiler.snapshots.work import Progress, done

# How every text of `compile` begins, and no iptables-save does.
_COMPILED = b"*filter\n:KUBE-"


class State(StrEnum):
    """What is wrong with a file, in the words of a report."""

    CURRENT = "up to date"
    CHANGED = "traffic changes"
    TEXT = "differs in text only"
    UNREADABLE = "not readable as rules"
    MISSING = "missing"
    GONE = "its snapshot is gone"


@dataclass(frozen=True)
class KeptFile:
    """A file of the folder: `path` is from the root of the snapshots.

    `text` is what it should have, None where it should not be there. `diffs` are from the rules
    that are kept of some of its nodes, in this file or another one, to those that they should have.
    """

    path: str
    state: State
    snapshot: str
    family: Family
    nodes: tuple[str, ...]
    text: str | None
    diffs: tuple[tuple[tuple[str, ...], TextDiff], ...] = ()


@dataclass(frozen=True)
class SnapshotsReport:
    """All files of the snapshots asked for.

    `listing` is what `.snapshots` should have, None where it does. `unlisted` are rules in the
    folder that belong to no snapshot and were not written by `update`.
    """

    root: Path
    directory: str
    files: tuple[KeptFile, ...]
    listing: str | None
    unlisted: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[Problem, ...]

    @property
    def stale(self) -> tuple[KeptFile, ...]:
        """The files that are not what they should be."""
        return tuple(file for file in self.files if file.state is not State.CURRENT)

    @property
    def current(self) -> bool:
        """Whether nothing has to be written or removed."""
        return not self.stale and self.listing is None


def report_on(
    start: Path,
    names: Sequence[str] = (),
    *,
    allow_commands: bool = False,
    compare: bool = True,
    workers: int = 1,
    start_progress: Callable[[int], Progress | None] = lambda _: None,
) -> SnapshotsReport:
    """Compile the snapshots of the nearest `proxyrules.yaml` and compare them with their files.

    `names` are the snapshots that are wanted, all without any. `start_progress` is called with the
    number of snapshots, and what it returns as each is compiled. Without `compare` no `diff` is
    made, and a file that differs is `CHANGED`. Raises `InputError` with every problem of the file
    and of the manifests.
    """
    tree = Tree(find_root(start))
    found = read_file(tree.read(FILE))
    problems = list(found.problems)
    if problem := tree.leaving(found.directory):
        problems.append(problem)
    elif (tree.root / found.directory).exists() and not (tree.root / found.directory).is_dir():
        problems.append(Problem(found.directory, "is not a folder", "choose another directory"))
    for definition in found.partial:
        problems += input_problems(definition, tree)
    chosen = found.named(names) if not (problems and names) else found.definitions
    listed, _ = read_list(tree, found.directory)
    work = partial(
        _compiled,
        kept=_Kept(tree, found.directory, listed, compare=compare),
        allow=allow_commands,
    )
    results = done(work, chosen, workers=workers, progress=start_progress(len(chosen)))
    problems += dict.fromkeys(one for expanded, _ in results for one in expanded.problems)
    problems += _clashes([expanded for expanded, _ in results])
    problems += _not_ours(tree, [f for _, files in results for f in files], listed)
    if problems:
        warnings = [one for expanded, _ in results for one in expanded.warnings]
        raise InputError(_in_order(problems), dict.fromkeys(warnings))
    return _report(tree, found, results, whole=not names)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems: those of `proxyrules.yaml` first, by line."""
    return sorted(
        dict.fromkeys(problems),
        key=lambda p: (p.file != FILE, (p.line or 0, p.column or 0) if p.file == FILE else (0, 0)),
    )


def _compiled(
    definition: Definition, *, kept: _Kept, allow: bool
) -> tuple[Expanded, list[KeptFile]]:
    """Compile a snapshot, and compare it with its files."""
    expanded = expand(definition, kept.tree, allow_commands=allow)
    return expanded, [kept.file(one) for one in expanded.files]


class _Kept:
    """Compares texts with the files that are kept; equal pairs of texts once."""

    def __init__(self, tree: Tree, directory: str, listed: Listed, *, compare: bool) -> None:
        self.tree = tree
        self._directory, self._listed, self._compare = directory, listed, compare
        self._known: dict[tuple[bytes, str], TextDiff | None] = {}

    def file(self, file: Rendered) -> KeptFile:
        """Compare a text with the file that should have it, and its nodes with what they had."""
        path = f"{self._directory}/{file.name}"
        have = _bytes_of(self.tree.root / path)
        state, diffs = State.CURRENT, []
        if have is None:
            state = State.MISSING
        elif have != file.text.encode("utf-8", "surrogateescape"):
            state = State.CHANGED
        if self._compare and state is not State.CURRENT:
            diffs = list(self._diffs(file))
            if state is State.CHANGED and not diffs:
                state = State.UNREADABLE
            elif state is State.CHANGED and all(diff.same for _, diff in diffs):
                state = State.TEXT
        return KeptFile(
            path, state, file.snapshot, file.family, file.nodes, file.text, tuple(diffs)
        )

    def _diffs(self, file: Rendered) -> Iterator[tuple[tuple[str, ...], TextDiff]]:
        """Compare what the nodes of a file had before, in whichever files."""
        before: dict[str, list[str]] = {}
        for node in file.nodes or ("",):
            name = file_of(node, file.snapshot, file.family, self._listed) or file.name
            before.setdefault(name, []).append(node)
        for name, nodes in before.items():
            have = _bytes_of(self.tree.root / self._directory / name)
            if have is None or have == file.text.encode("utf-8", "surrogateescape"):
                continue
            pair = have, file.text
            if pair not in self._known:
                self._known[pair] = _difference(*pair, file)
            found = self._known[pair]
            if found is not None:
                yield tuple(filter(None, nodes)), found


def _difference(have: bytes, text: str, file: Rendered) -> TextDiff | None:
    try:
        return compare_texts(have.decode("utf-8", "surrogateescape"), text, file.name, file.family)
    except InputError:
        return None


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(Problem(str(path), f"can't be read: {reason}")) from error


def _clashes(results: Sequence[Expanded]) -> list[Problem]:
    """Report files that two snapshots would write."""
    problems = []
    first: dict[str, Definition] = {}
    for expanded in results:
        for file in expanded.files:
            other = first.setdefault(file.name, expanded.definition)
            if other is not expanded.definition:
                message = f"its file {file.name} is also a file of {other.subject}"
                problems.append(expanded.definition.problem(("name",), message, "rename one"))
    return problems


def is_compiled(text: bytes | None) -> bool:
    """Say whether a text begins as those of `compile` do, and as no iptables-save does."""
    return text is not None and text.startswith(_COMPILED)


def _not_ours(tree: Tree, files: Sequence[KeptFile], listed: Listed) -> list[Problem]:
    """Report files that are in the way: not written by `update`, and no rules of `compile`."""
    problems = []
    for file in files:
        name = file.path.rpartition("/")[2]
        path = tree.root / file.path
        if path.is_symlink():
            problems.append(Problem(file.path, "is a symbolic link", "remove it"))
        if file.state in (State.CURRENT, State.MISSING) or name in listed:
            continue
        if not is_compiled(_bytes_of(path)):
            message = "is in the way: proxyrules snapshot update did not write it"
            problems.append(Problem(file.path, message, "move it elsewhere"))
    return problems


def _report(
    tree: Tree,
    found: SnapshotFile,
    results: Sequence[tuple[Expanded, list[KeptFile]]],
    *,
    whole: bool,
) -> SnapshotsReport:
    directory = found.directory
    files = [file for _, some in results for file in some]
    wanted = {file.path.rpartition("/")[2]: file.nodes for file in files}
    listed, clear = read_list(tree, directory)
    unlisted, notes = [], []
    if whole:
        for name in sorted(listed.keys() - wanted):
            text = _bytes_of(tree.root / directory / name)
            if is_compiled(text):
                path = f"{directory}/{name}"
                files.append(KeptFile(path, State.GONE, "", IPV4, (), None))
            elif text is not None:
                notes.append(
                    f"{directory}/{name}: its snapshot is gone, but it is not as update wrote it; "
                    "remove it by hand"
                )
        unlisted = _unlisted(tree, directory, wanted.keys() | listed.keys())
    # a snapshot that is not asked for keeps its files in the list
    names = wanted if whole else {**listed, **wanted}
    listing = None if names == listed and clear else list_text(names)
    return SnapshotsReport(
        tree.root,
        directory,
        tuple(files),
        listing,
        tuple(unlisted),
        tuple(dict.fromkeys(_notes(results))) + tuple(notes),
        tuple(dict.fromkeys(one for expanded, _ in results for one in expanded.warnings)),
    )


def _unlisted(tree: Tree, directory: str, known: Iterable[str]) -> list[str]:
    folder = tree.root / directory
    if not folder.is_dir():
        return []
    names = {path.name for path in folder.iterdir() if path.suffix == ".rules"} - set(known)
    return [f"{directory}/{name}" for name in sorted(names)]


def _notes(results: Sequence[tuple[Expanded, list[KeptFile]]]) -> Iterable[str]:
    """Give the notes on snapshots, equal ones once."""
    found: dict[str, list[str]] = {}
    for expanded, _ in results:
        for note in expanded.all_notes:
            found.setdefault(note, []).append(expanded.definition.name)
    for note, names in found.items():
        more = f" and {len(names) - 3} more" if len(names) > 4 else ""
        listed = ", ".join(names[:3] if more else names)
        yield f"snapshot{'s' if len(names) > 1 else ''} {listed}{more}: {note}"
