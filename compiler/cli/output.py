"""Writing results: to standard output, or whole or not at all to a file."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from compiler.errors import InputError, Problem
from compiler.manifests.source import SUFFIXES

_BAD_PATH = {
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def refuse_overwriting(output: str | None, inputs: Iterable[str | None]) -> None:
    """Raise `InputError` where the output is one of the inputs, or in a folder that is read."""
    if output is None or output == "-" or not Path(output).exists():
        return
    target = Path(os.path.realpath(output))
    for name in inputs:
        if not name or name == "-" or not Path(name).exists():
            continue
        source = Path(os.path.realpath(name))
        if target == source or (source in target.parents and target.suffix in SUFFIXES):
            raise InputError(Problem(output, "it is read as well", "another file"))


def write_output(chunks: Iterable[str], path: str | None) -> None:
    """Write text to standard output, or to `path` once all of it is there.

    Raises `InputError` where the path can't be written.
    """
    if path is None or path == "-":
        _write_stdout(chunks)
        return
    target = Path(path)
    try:
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            with target.open("wb") as device:  # /dev/null, a pipe
                device.writelines(map(_encoded, chunks))
        else:
            _replace(target, chunks)
    except OSError as error:
        if error.errno not in _BAD_PATH:
            raise  # a full disk, a closed pipe: the path is fine
        message = f"can't be written: {(error.strerror or str(error)).lower()}"
        raise InputError(Problem(path, message, "a file in a folder that is there")) from error


def _encoded(chunk: str) -> bytes:
    # Rules read from a node may hold bytes that are no UTF-8; they go out as they came in.
    return chunk.encode("utf-8", "surrogateescape")


def _write_stdout(chunks: Iterable[str]) -> None:
    # The binary layer: text written whole, without a second look at every character.
    sys.stdout.flush()
    sys.stdout.buffer.writelines(map(_encoded, chunks))
    sys.stdout.buffer.flush()


def _replace(target: Path, chunks: Iterable[str]) -> None:
    import tempfile

    target = Path(os.path.realpath(target))
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(map(_encoded, chunks))
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
