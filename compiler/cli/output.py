"""Writing results: to standard output, or whole or not at all to a file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from compiler.errors import InputError, Problem


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
            with target.open("wb") as device:  # /dev/null, a pipe
                device.writelines(map(_encoded, pieces))
        else:
            _replace(target, pieces)
    except OSError as error:
        wrong = f"can't be written: {(error.strerror or str(error)).lower()}"
        raise InputError(Problem(path, wrong, "a file in a folder that is there")) from error


def _encoded(piece: str) -> bytes:
    # Rules read from a node may hold bytes that are no UTF-8; they go out as they came in.
    return piece.encode("utf-8", "surrogateescape")


def _write_stdout(pieces: Iterable[str]) -> None:
    # The binary layer: text written whole, without a second look at every character.
    sys.stdout.flush()
    sys.stdout.buffer.writelines(map(_encoded, pieces))
    sys.stdout.buffer.flush()


def _replace(target: Path, pieces: Iterable[str]) -> None:
    import tempfile

    target = target.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(map(_encoded, pieces))
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
