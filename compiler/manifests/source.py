"""Where manifests come from: files, folders and standard input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import InputError, Problem

STDIN = "-"
SUFFIXES = (".yaml", ".yml", ".json")

# No cluster's dump is larger; a device may have no end.
MAX_SOURCE = 1 << 30

_RIGHT = "name a file, a folder or `-` for standard input"


@dataclass(frozen=True, slots=True)
class Source:
    """One text that was read whole: `name` is what messages call it."""

    name: str
    text: bytes


def read_sources(
    paths: Iterable[str | os.PathLike[str]], stdin: Callable[[], bytes]
) -> list[Source]:
    """Read every path: a file, a folder (its YAML and JSON files) or `-` for standard input.

    Raises `InputError` with one problem for each path that can't be read.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    for path in paths:
        name = os.fspath(path)
        if not name:  # a shell's unset variable; Python would take it for the current folder
            problems.append(Problem("''", "an empty path", _RIGHT))
            continue
        try:
            if name == STDIN:
                if any(source.name == "<stdin>" for source in sources):
                    problems.append(Problem("<stdin>", "named twice", "name `-` once"))
                    continue
                sources.append(Source("<stdin>", stdin()))
            else:
                sources.extend(_read_path(Path(name)))
        except OSError as error:
            problems.append(_unreadable(error, name))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return sources


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read one file. Raises `InputError` where it can't be read."""
    name = os.fspath(path)
    try:
        return Source(name, _read(Path(name)))
    except OSError as error:
        raise InputError(_unreadable(error, name)) from error


def _unreadable(error: OSError, name: str) -> Problem:
    return Problem(
        str(error.filename or name),
        f"can't be read: {(error.strerror or str(error)).lower()}",
        _RIGHT,
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.is_file() and path.stat().st_size <= MAX_SOURCE:
            return file.read()
        chunks: list[bytes] = []
        size = 0
        while chunk := file.read(1 << 20):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_SOURCE:
                message = f"more than {MAX_SOURCE >> 20} MiB"
                raise InputError(Problem(str(path), message, "smaller files"))
    return b"".join(chunks)


def _read_path(path: Path) -> Iterator[Source]:
    if not path.is_dir():
        yield Source(str(path), _read(path))
        return
    try:
        files = sorted(_manifest_files(path))
    except RecursionError as error:
        raise InputError(Problem(str(path), "folders nested too deep", "fewer")) from error
    if not files:
        raise InputError(
            Problem(
                str(path),
                "no manifests in this folder",
                f"a folder with {', '.join('*' + suffix for suffix in SUFFIXES)} files",
            )
        )
    for file in files:
        yield Source(file, _read(Path(file)))


def _manifest_files(folder: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            # What is no regular file, a pipe say, could keep the reader waiting for ever.
            if name.endswith(SUFFIXES) and Path(parent, name).is_file():
                yield str(Path(parent, name))
