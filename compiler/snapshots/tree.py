"""The files of a repository, or of a commit that was written to a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from pathlib import Path

from compiler.errors import InputError, Problem
from compiler.manifests.source import SUFFIXES, Source, read_source
from compiler.snapshots.schema import FILE

_WILD = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Tree:
    """A folder, and what messages put before the paths of its files (`main:`)."""

    root: Path
    prefix: str = ""

    def name(self, path: str) -> str:
        """Return what messages call a file."""
        return self.prefix + path

    def has(self, path: str) -> bool:
        """Say whether there is a file."""
        return (self.root / path).is_file()

    def read(self, path: str) -> Source:
        """Read a file. Raises `InputError` where that is not possible."""
        if problem := self.leaving(path):
            raise InputError(problem)
        try:
            return Source(self.name(path), read_source(self.root / path).text)
        except InputError as error:
            raise InputError(
                Problem(self.name(path), problem.message, problem.hint)
                for problem in error.problems
            ) from error

    def leaving(self, path: str) -> Problem | None:
        """Return the problem of a path that a symbolic link leads out of the folder."""
        real = Path(os.path.realpath(self.root / path))
        if real.is_relative_to(os.path.realpath(self.root)):
            return None
        message = f"a symbolic link that leads outside the folder of {FILE}"
        return Problem(self.name(path), message, "use a copy of the file")

    def matching(self, pattern: str) -> list[str]:
        """Return the paths that a pattern means, sorted.

        Wildcards match files alone, and no name that begins with a dot; a path without wildcards
        may be a folder, whose YAML and JSON files are meant, however deep.
        """
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        if not _WILD.search(pattern):
            path = "/".join(parts)
            if (self.root / path).is_dir():
                return sorted(self._manifests_below(path))
            return [path] if (self.root / path).is_file() else []
        return sorted(set(self._matching("", tuple(parts))))

    def _matching(self, folder: str, parts: tuple[str, ...]) -> Iterator[str]:
        first, rest = parts[0], parts[1:]
        if first == "**":
            yield from self._matching(folder, rest or ("*",))
            for name in self._folders(folder):
                yield from self._matching(_join(folder, name), parts)
            return
        for name, is_folder in self._entries(folder):
            if not _matches(name, first):
                continue
            path = _join(folder, name)
            if not rest and not is_folder:
                yield path
            elif rest and is_folder:
                yield from self._matching(path, rest)

    def _manifests_below(self, folder: str) -> Iterator[str]:
        for name, is_folder in self._entries(folder):
            path = _join(folder, name)
            if is_folder and not (self.root / path).is_symlink():
                yield from self._manifests_below(path)
            elif not is_folder and name.endswith(SUFFIXES):
                yield path

    def _folders(self, folder: str) -> Iterator[str]:
        """Give the folders that `**` descends to: no hidden ones, and no symbolic links."""
        for name, is_folder in self._entries(folder):
            path = self.root / folder / name
            if is_folder and not name.startswith(".") and not path.is_symlink():
                yield name

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        try:
            with os.scandir(self.root / folder) as entries:
                found = [(entry.name, entry.is_dir()) for entry in entries]
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            problem = Problem(self.name(folder), f"can't be read: {reason}")
            raise InputError(problem) from error
        return iter(sorted(found))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _matches(name: str, pattern: str) -> bool:
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return _compiled(pattern).match(name) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def literal_folder(pattern: str) -> str:
    """Return the path before a pattern's first wildcard: nothing outside it can match."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    for place, part in enumerate(parts):
        if _WILD.search(part):
            return "/".join(parts[:place])
    return "/".join(parts)


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` upwards, that has a `proxyrules.yaml`.

    Raises `InputError` where none has.
    """
    start = Path(os.path.abspath(start))  # noqa: PTH100  # as the user sees it, links included
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    message = "not found in this folder or one above it"
    raise InputError(Problem(FILE, message, "proxyrules snapshot init writes one"))
