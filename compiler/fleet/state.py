"""What an interrupted check of a fleet has found so far, in a file (`--resume`).

One line of JSON per result, written as soon as it is there. The first line says what the results
are valid for: a digest of the manifests, the configuration, the options and this version. A dump's
result counts only for the bytes that it was made of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from compiler.errors import InputError, Problem
from compiler.fleet.results import DumpResult

_FORMAT = "proxyrules verify --fleet, state 1"


class _Head(msgspec.Struct, frozen=True):
    state: str
    valid_for: str


class State:
    """The results of a state file, and the file to write further ones to.

    `started_anew` is whether the file was for other manifests or options. Raises `InputError` for
    a file that is none of these, or that can't be written.
    """

    def __init__(self, path: str, valid_for: str) -> None:
        self.path = path
        self.known: dict[str, DumpResult] = {}
        self.started_anew = False
        head = _Head(_FORMAT, valid_for)
        try:
            if Path(path).exists() and not Path(path).is_file():
                # a pipe keeps the reader waiting for ever, and a device would be replaced
                raise InputError(Problem(path, "not a regular file", "name a new file"))
            lines = self._lines()
            if lines:
                self._read(lines, head)
            self._file: BinaryIO = self._open(head, keep=bool(self.known))
        except OSError as error:
            message = f"can't be used: {(error.strerror or str(error)).lower()}"
            raise InputError(Problem(path, message, "name a file in an existing folder")) from error

    def _lines(self) -> list[bytes]:
        path = Path(self.path)
        return path.read_bytes().splitlines() if path.exists() else []

    def _read(self, lines: list[bytes], head: _Head) -> None:
        try:
            found = msgspec.json.decode(lines[0], type=_Head)
        except msgspec.DecodeError:
            found = None
        if found is None or found.state != _FORMAT:
            message = "not a state file of verify --fleet"
            raise InputError(Problem(self.path, message, "name a new file"))
        if found != head:
            self.started_anew = True
            return
        self.known = {result.name: result for result in _results(lines[1:])}

    def _open(self, head: _Head, *, keep: bool) -> BinaryIO:
        """Open the file for further results; what it has that does not count is left behind."""
        unfinished = Path(f"{self.path}.{os.getpid()}")
        lines = [head, *(self.known.values() if keep else ())]
        unfinished.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        unfinished.replace(self.path)
        return Path(self.path).open("ab")

    def add(self, result: DumpResult) -> None:
        """Keep a result, on the disk as well: it is there even if the machine is switched off."""
        if not result.digest:
            return  # a network that failed may work the next time
        self._file.write(msgspec.json.encode(result) + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _results(lines: list[bytes]) -> Iterator[DumpResult]:
    """Read results; the last line may be cut off."""
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=DumpResult)
        except msgspec.DecodeError:
            return
