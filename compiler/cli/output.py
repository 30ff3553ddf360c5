"""Writing results: to standard output, or whole or not at all to a file."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import click

from compiler.cli.exit_codes import Failure
from compiler.errors import InputError, Problem

STDOUT = "<stdout>"

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

# Reading never ends in these: a line that click wrote to standard output did.
_WRITE_ERRORS = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.ENOSPC}


def check_paths(inputs: Sequence[str | None], output: str | None) -> None:
    """Check the paths of a command against one another, before anything is read.

    Raises `InputError` where two inputs are standard input, or where the output is one of the
    inputs or in a folder that is read.
    """
    from compiler.manifests.source import SUFFIXES

    if inputs.count("-") > 1:
        raise InputError(Problem("<stdin>", "named twice", "give - only once"))
    if output is None or output == "-" or not Path(output).exists():
        return
    target = Path(os.path.realpath(output))
    for name in inputs:
        if not name or name == "-" or not Path(name).exists():
            continue
        source = Path(os.path.realpath(name))
        if target == source or (source in target.parents and target.suffix in SUFFIXES):
            problem = Problem(output, "is also an input", "choose another output file")
            raise InputError(problem)


def write_output(chunks: Iterable[str], path: str | None) -> bool:
    """Write text to standard output, or to `path` once all of it is there.

    Returns whether all of it was written: a reader may close standard output early (`| head`).
    Raises `InputError` where the path is no place to write to, and `Failure` where writing failed.
    """
    if path is None or path == "-":
        return _write_stdout(chunks)
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
            raise write_failure(path, error) from error
        message = f"can't be written: {_reason(error)}"
        raise InputError(Problem(path, message, "choose a file in an existing folder")) from error
    return True


def write_bytes(data: bytes, path: str) -> None:
    """Write bytes to a file once all of them are there; raises as `write_output` does."""
    # what `_encoded` makes of it is the same bytes again
    write_output([data.decode("utf-8", "surrogateescape")], path)


def folder_problem(path: str, error: OSError) -> Exception:
    """Return what to raise where a folder can't be written: `InputError` or `Failure`."""
    if error.errno not in _BAD_PATH:
        return write_failure(path, error)
    message = f"can't be written: {_reason(error)}"
    return InputError(Problem(path, message, "choose a folder in an existing folder"))


def write_failure(path: str, error: OSError) -> Failure:
    """Return what to raise where writing to a path failed: a full disk, say."""
    return Failure(path, f"can't be written: {_reason(error)}")


def system_failure(error: OSError) -> Failure:
    """Return what to report for an error of the system that nothing expected."""
    if error.filename is None and error.errno in _WRITE_ERRORS:
        discard_stdout()
        return write_failure(STDOUT, error)
    return Failure(str(error.filename or "proxyrules"), _reason(error))


def stdout_reader_is_gone() -> bool:
    """Say whether standard output is a pipe or socket that was closed at its other end."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def discard_stdout() -> None:
    """Let what is still written to standard output go nowhere; Python flushes it at its end."""
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _encoded(chunk: str) -> bytes:
    # Rules read from a node may hold bytes that are no UTF-8; they go out as they came in.
    return chunk.encode("utf-8", "surrogateescape")


def _write_stdout(chunks: Iterable[str]) -> bool:
    try:
        sys.stdout.flush()
        # The binary layer: text written whole, without a second look at every character.
        sys.stdout.buffer.writelines(map(_encoded, chunks))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard_stdout()
        return False
    except OSError as error:
        discard_stdout()
        raise write_failure(STDOUT, error) from error
    return True


def _replace(target: Path, chunks: Iterable[str]) -> None:
    import tempfile

    target = Path(os.path.realpath(target))
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(map(_encoded, chunks))
        # mkstemp's files are private; a result is as readable as any new file, or as before.
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


def report(text: str) -> None:
    """Write a line to standard error; what can't be shown there is escaped.

    A reader of standard error that is gone (`2>&1 | head`) does not end the command.
    """
    try:
        click.echo(text, err=True)
    except BrokenPipeError:
        _discard(sys.stderr)
