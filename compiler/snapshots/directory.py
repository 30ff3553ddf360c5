"""The files that are kept, compared with those that the snapshots give.

Which files are ours is in `.snapshots`, a list in the same folder: only what is listed there, and
is still rules as `compile` writes them, is ever removed or replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from compiler.errors import InputError, Problem
from compiler.family import IPV4, Family
from compiler.snapshots.changes import TextDiff, compare_texts
from compiler.snapshots.expand import Expanded, Rendered, expand, input_problems
from compiler.snapshots.file import Definition, SnapshotFile, read_file
from compiler.snapshots.schema import FILE
from compiler.snapshots.tree import Tree, find_root
from compiler.snapshots.work import Progress, done

LIST = ".snapshots"
LIST_HEAD = (
    "# The files that `proxyrules snapshot update` wrote here, and removes when their snapshot is\n"
    "# gone.\n"
)
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

    `text` is what it should have, None where it should not be there. `diff` is from what it has to
    what it should have, where both are rules that differ.
    """

    path: str
    state: State
    snapshot: str
    family: Family
    nodes: tuple[str, ...]
    text: str | None
    diff: TextDiff | None = None


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
    work = partial(
        _compiled, tree=tree, directory=found.directory, allow=allow_commands, compare=compare
    )
    results = done(work, chosen, workers=workers, progress=start_progress(len(chosen)))
    problems += dict.fromkeys(one for expanded, _ in results for one in expanded.problems)
    problems += _clashes([expanded for expanded, _ in results])
    listed = read_list(tree, found.directory)
    problems += _not_ours(tree, [f for _, files in results for f in files], listed)
    if problems:
        warnings = [one for expanded, _ in results for one in expanded.warnings]
        raise InputError(_in_order(problems), dict.fromkeys(warnings))
    return _report(tree, found, results, listed, whole=not names)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems: those of `proxyrules.yaml` first, by line."""
    return sorted(
        dict.fromkeys(problems),
        key=lambda p: (p.file != FILE, (p.line or 0, p.column or 0) if p.file == FILE else (0, 0)),
    )


def _compiled(
    definition: Definition, *, tree: Tree, directory: str, allow: bool, compare: bool
) -> tuple[Expanded, list[KeptFile]]:
    """Compile a snapshot, and compare it with its files."""
    expanded = expand(definition, tree, allow_commands=allow)
    known: Known | None = {} if compare else None
    return expanded, [_kept(file, tree, directory, known) for file in expanded.files]


Known = dict[tuple[bytes, str], tuple["State", TextDiff | None]]
"""Differences that were looked for: many nodes have the same rules."""


def _kept(file: Rendered, tree: Tree, directory: str, known: Known | None) -> KeptFile:
    path = f"{directory}/{file.name}"
    state, diff = State.CURRENT, None
    have = _bytes_of(tree.root / path)
    if have is None:
        state = State.MISSING
    elif have != file.text.encode("utf-8", "surrogateescape"):
        state = State.CHANGED
        if known is not None:
            pair = have, file.text
            if pair not in known:
                known[pair] = _difference(have, path, file)
            state, diff = known[pair]
    return KeptFile(path, state, file.snapshot, file.family, file.nodes, file.text, diff)


def _difference(have: bytes, path: str, file: Rendered) -> tuple[State, TextDiff | None]:
    old = have.decode("utf-8", "surrogateescape")
    try:
        found = compare_texts(old, file.text, path, file.family)
    except InputError:
        return State.UNREADABLE, None
    return (State.TEXT if found.same else State.CHANGED), found


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


def read_list(tree: Tree, directory: str) -> frozenset[str]:
    """Return the names of the files that `update` wrote."""
    text = _bytes_of(tree.root / directory / LIST) or b""
    lines = text.decode("utf-8", "replace").splitlines()
    return frozenset(
        line for line in lines if line and not line.startswith("#") and is_file_name(line)
    )


def is_file_name(name: str) -> bool:
    """Say whether a line of `.snapshots` is the name of a file that `update` may have written."""
    return name.endswith(".rules") and "/" not in name and not name.startswith(".")


def is_compiled(text: bytes | None) -> bool:
    """Say whether a text begins as those of `compile` do, and as no iptables-save does."""
    return text is not None and text.startswith(_COMPILED)


def _not_ours(tree: Tree, files: Sequence[KeptFile], listed: frozenset[str]) -> list[Problem]:
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
    listed: frozenset[str],
    *,
    whole: bool,
) -> SnapshotsReport:
    directory = found.directory
    files = [file for _, some in results for file in some]
    wanted = {file.path.rpartition("/")[2] for file in files}
    listing, unlisted, notes = None, [], []
    if whole:
        for name in sorted(listed - wanted):
            text = _bytes_of(tree.root / directory / name)
            if is_compiled(text):
                path = f"{directory}/{name}"
                files.append(KeptFile(path, State.GONE, "", IPV4, (), None))
            elif text is not None:
                notes.append(
                    f"{directory}/{name}: its snapshot is gone, but it is not as update wrote it; "
                    "remove it by hand"
                )
        unlisted = _unlisted(tree, directory, wanted | listed)
    # a snapshot that is not asked for keeps its files in the list
    names = wanted if whole else wanted | listed
    if names != listed:
        listing = LIST_HEAD + "".join(f"{name}\n" for name in sorted(names))
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
    for expanded, _ in results:
        yield from (f"{expanded.definition.subject}: {note}" for note in expanded.notes)
        for family in expanded.left_out:
            yield (
                f"{expanded.definition.subject}: its {family.api_name} service ports are left out "
                "(families)"
            )
