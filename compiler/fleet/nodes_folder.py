"""The rules of all nodes as a folder: a file for each distinct text, and `nodes.json`, the index.

The folder appears whole or not at all: it is written beside its place and renamed. One that is
there is replaced only if it holds nothing but what its own index lists. Replacing takes two
renames, since Python has no call for Linux' exchange of two names: a process that is killed between
them leaves no folder at its place, and both of them beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import InputError, Problem
from compiler.fleet.all_nodes import AllNodes, EqualNodes
from compiler.fleet.scheduler import Lost, Scheduler, SchedulerError, processes, run
from compiler.manifests.convert import shorten

INDEX = "nodes.json"
FORMAT = "proxyrules nodes 1"
SUFFIX = ".rules"
# What a folder is called, hidden beside its place, until it is finished, and once it is replaced.
_UNFINISHED, _REPLACED = "unfinished", "replaced"


@dataclass(frozen=True)
class NodeFile:
    """A distinct text of a folder: its size in bytes, and the nodes that have it."""

    name: str
    size: int
    nodes: tuple[str, ...]


def write_nodes(
    every: AllNodes,
    folder: str | os.PathLike[str],
    *,
    one_file_per_node: bool = False,
    scheduler: Scheduler | None = None,
) -> tuple[NodeFile, ...]:
    """Write the rules of all nodes to a folder, and return its distinct texts.

    Each is named after the first node that has it (`worker-1.rules`), so that two folders of the
    same cluster can be compared file by file. With `one_file_per_node` the other nodes' files are
    there too, as hard links where the file system has such. `scheduler` says who writes the
    texts, by default this process; its workers must see the folder at the same path.

    Raises `InputError` where the folder holds anything else, `OSError` where it can't be written,
    and `SchedulerError`.
    """
    target = Path(os.path.realpath(folder))
    check_folder(target, shown=os.fspath(folder))
    with _beside(target) as unfinished:
        files = _write_texts(every.groups, unfinished, scheduler or processes(1))
        if one_file_per_node:
            for file in files:
                for node in file.nodes[1:]:
                    _link(unfinished / file.name, unfinished / f"{node}{SUFFIX}")
        index = json.dumps(_index(every, files, one_file_per_node=one_file_per_node), indent=1)
        Path(unfinished, INDEX).write_text(f"{index}\n", encoding="utf-8")
        _replace(unfinished, target)
    return files


def check_folder(folder: Path, *, shown: str) -> None:
    """Check that nothing is lost where a folder is replaced. Raises `InputError`."""
    if not shown:  # a shell's unset variable; Python would take it for the current folder
        raise InputError(Problem("''", "an empty path", "name a folder"))
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(Problem(shown, "is not a folder", "choose a new one"))
    listed = _listed(folder)
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in listed or (path.is_dir() and not path.is_symlink())
    )
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        message = f"has files that {INDEX} does not list: {shorten(others[0])}{more}"
        hint = "choose a new folder, or one that compile --all-nodes wrote"
        raise InputError(Problem(shown, message, hint))


def left_behind(folder: Path) -> list[Path]:
    """Find what runs for a folder left beside it that were killed, or have not ended yet.

    `.NAME.unfinished-…` is a folder that was being written, `.NAME.replaced-…` has the one that was
    being replaced.
    """
    prefixes = tuple(_hidden(folder, kind) for kind in (_UNFINISHED, _REPLACED))
    return sorted(path for path in folder.parent.iterdir() if path.name.startswith(prefixes))


def _hidden(folder: Path, kind: str) -> str:
    return f".{folder.name}.{kind}-"


def _listed(folder: Path) -> set[str]:
    """Return the names that an index of ours lists, and its own; empty if there is none."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        if index["format"] != FORMAT:
            return set()
        return {INDEX, *index["files"], *(node["file"] for node in index["nodes"].values())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _index(
    every: AllNodes, files: Sequence[NodeFile], *, one_file_per_node: bool
) -> dict[str, object]:
    by_node = {node: file for file in files for node in file.nodes}
    return {
        "format": FORMAT,
        "kubeVersion": str(every.inputs.release),
        "ipFamily": every.inputs.family.value,
        "standalone": every.standalone,
        "servicePorts": len(every.keys),
        "nodes": {
            node: {"file": f"{node}{SUFFIX}" if one_file_per_node else file.name}
            for node, file in ((node, by_node[node]) for node in every.nodes)
        },
        "files": {file.name: {"bytes": file.size, "nodes": file.nodes} for file in files},
    }


@dataclass(frozen=True)
class _Work:
    """What a worker needs to write any of the texts."""

    groups: Sequence[EqualNodes]
    folder: str


def _write_texts(
    groups: Sequence[EqualNodes], folder: Path, scheduler: Scheduler
) -> tuple[NodeFile, ...]:
    files = []
    work = _Work(groups, str(folder))
    for place, result in enumerate(run(_write_text, work, range(len(groups)), scheduler)):
        if isinstance(result, Lost):
            name = groups[place].nodes[0]
            raise SchedulerError(f"the rules of {name}", f"were not written: {result}")
        if not _is_here(folder / result.name, result.size):
            message = "was written by a worker, and is not here"
            hint = "choose a folder that all workers share, at the same path"
            raise SchedulerError(str(folder / result.name), message, hint)
        files.append(result)
    return tuple(files)


def _is_here(file: Path, size: int) -> bool:
    try:
        return file.stat().st_size == size
    except FileNotFoundError:
        return False


def _write_text(work: _Work, place: int) -> NodeFile:
    group = work.groups[place]
    name, size = f"{group.nodes[0]}{SUFFIX}", 0
    with Path(work.folder, name).open("wb") as file:
        for chunk in group.chunks():
            size += len(chunk)
            file.write(chunk)
    return NodeFile(name, size, group.nodes)


def _link(file: Path, other: Path) -> None:
    try:
        other.hardlink_to(file)
    except OSError:  # FAT, some network shares, too many links
        shutil.copyfile(file, other)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Make a folder that is renamed to `target` when it is finished, and is gone otherwise."""
    unfinished = Path(tempfile.mkdtemp(prefix=_hidden(target, _UNFINISHED), dir=target.parent))
    try:
        # mkdtemp's folders are private; a result is as readable as any new folder, or as before.
        unfinished.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o777 & ~_umask())
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _replace(unfinished: Path, target: Path) -> None:
    if not target.exists():
        unfinished.rename(target)
        return
    prefix = _hidden(target, _REPLACED)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as aside:
        old = target.rename(Path(aside, "old"))
        try:
            unfinished.rename(target)
        except BaseException:
            old.rename(target)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
