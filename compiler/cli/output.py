"""Writing results: to standard output, or whole or not at all to a file."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from compiler.errors import InputError, Problem

# Text goes out in pieces of about this many characters, so that a large result is never held twice.
BUFFER = 1 << 20


def write_output(pieces: Iterable[str], path: str | None) -> None:
    """Write text to standard output, or to `path` once all of it is there.

    Raises `InputError` where the path can't be written.
    """
    if path is None or path == "-":
        _write_stdout(pieces)
        return
    target = Path(path)
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            # /dev/null, a pipe
            with target.open("w", encoding="utf-8", errors="surrogateescape") as device:
                device.writelines(pieces)
        else:
            _replace(target, pieces)
    except OSError as error:
        wrong = f"can't be written: {(error.strerror or str(error)).lower()}"
        raise InputError(Problem(path, wrong, "a file in a folder that is there")) from error


def _write_stdout(pieces: Iterable[str]) -> None:
    # The binary layer: text written whole, without a second look at every character.
    sys.stdout.flush()
    stream = sys.stdout.buffer
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= BUFFER:
            stream.write("".join(waiting).encode("utf-8", "surrogateescape"))
            waiting, size = [], 0
    stream.write("".join(waiting).encode("utf-8", "surrogateescape"))
    stream.flush()


def _replace(target: Path, pieces: Iterable[str]) -> None:
    target = target.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(pieces)
        # mkstemp lets nobody else read; a result is as readable as any new file, or as before.
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        unfinished.chmod(mode)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def say(text: str) -> None:
    """Write a line to standard error; what can't be shown there is escaped."""
    click.echo(text, err=True)
