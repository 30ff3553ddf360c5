"""Where manifests come from: files, folders and standard input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from compiler.errors import InputError, Problem
from compiler.manifests.convert import shorten

STDIN = "-"
SUFFIXES = (".yaml", ".yml", ".json")

# No cluster's dump is larger; a device may have no end.
MAX_SOURCE = 1 << 30

_HINT = "name a file, a folder or `-` for standard input"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Source:
    """One text that was read whole: `name` is what messages call it."""

    name: str
    text: bytes


def read_sources(
    paths: Iterable[str | os.PathLike[str]], stdin: Callable[[], bytes]
) -> list[Source]:
    """Read every path: a file, a folder (its YAML and JSON files) or `-` for standard input.

    Text that gzip compressed is decompressed. Raises `InputError` with one problem for each path
    that can't be read.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    for path in paths:
        name = os.fspath(path)
        if not name:  # a shell's unset variable; Python would take it for the current folder
            problems.append(Problem("''", "an empty path", _HINT))
            continue
        try:
            if name == STDIN:
                if any(source.name == "<stdin>" for source in sources):
                    problems.append(Problem("<stdin>", "named twice", "name `-` once"))
                    continue
                sources.append(Source("<stdin>", _decompressed("<stdin>", stdin())))
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
    """Read one file, decompressed. Raises `InputError` where it can't be read."""
    name = os.fspath(path)
    try:
        return Source(name, _read(Path(name)))
    except OSError as error:
        raise InputError(_unreadable(error, name)) from error


def _unreadable(error: OSError, name: str) -> Problem:
    return Problem(
        str(error.filename or name),
        f"can't be read: {(error.strerror or str(error)).lower()}",
        _HINT,
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.is_file() and path.stat().st_size <= MAX_SOURCE:
            return _decompressed(str(path), file.read())
        return _decompressed(str(path), _read_all(str(path), file))


def _read_all(name: str, file: BinaryIO) -> bytes:
    """Read to the end. Raises `InputError` where that is beyond `MAX_SOURCE`."""
    chunks: list[bytes] = []
    size = 0
    while chunk := file.read(1 << 20):
        size += len(chunk)
        if size > MAX_SOURCE:
            raise InputError(Problem(name, f"larger than {MAX_SOURCE >> 20} MiB", "split it"))
        chunks.append(chunk)
    return b"".join(chunks)


def _decompressed(name: str, text: bytes) -> bytes:
    """Return a text as it was before gzip, if it was gzip. Raises `InputError`."""
    if not text.startswith(_GZIP):
        return text
    import gzip
    import zlib

    try:
        with gzip.open(BytesIO(text)) as file:
            return _read_all(name, cast("BinaryIO", file))
    except (OSError, EOFError, zlib.error) as error:
        message = f"gzip data that can't be decompressed: {str(error).lower()}"
        raise InputError(Problem(name, message, "compress it again")) from error


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
    """Find a folder's manifests. Raises `InputError` with every name that leads to no file."""

    def fail(error: OSError) -> None:
        raise error

    problems = []
    for parent, _, names in os.walk(folder, onerror=fail):
        for name in names:
            path = Path(parent, name)
            if not name.endswith(SUFFIXES):
                continue
            if path.is_file():
                yield str(path)
            elif not path.exists():
                target = shorten(str(path.readlink())) if path.is_symlink() else "nothing"
                message = f"a symbolic link to {target}, which does not exist"
                problems.append(Problem(str(path), message, "remove or repair it"))
            else:
                # A pipe, say, could keep the reader waiting for ever.
                problems.append(Problem(str(path), "not a regular file", "move it elsewhere"))
    if problems:
        raise InputError(problems)
