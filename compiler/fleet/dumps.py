"""The dumps of a fleet: found in a folder, an archive or shared storage, and read one by one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from compiler.errors import InputError, Problem
from compiler.fleet.names import COMPRESSED, EXPECTED, is_archive, named
from compiler.fleet.scheduler import SchedulerError
from compiler.fleet.streams import READ_ERRORS, decompressed, in_words, read_bounded

_EXTRA = "pip install 'proxyrules[dask]'"


@dataclass(frozen=True, slots=True)
class Dump:
    """One dump, and how whoever checks it gets its bytes.

    `name` is what messages call it, relative to the folder or archive. `place` is a path or URL,
    of which the dump is all, or with a `size` the bytes from `offset` on; a dump of a compressed
    archive brings its bytes along (`data`). `known` is the digest of the bytes whose result is
    known already. `weight` is its part of the fleet's `total`.
    """

    name: str
    node: str
    is_ipv6: bool = False
    sure: bool = True
    place: str = ""
    offset: int = 0
    size: int | None = None
    data: bytes | None = None
    known: str = ""
    weight: int = 1

    def read(self) -> bytes:
        """Return the bytes as they are stored. Raises one of `READ_ERRORS`."""
        if self.data is not None:
            return self.data
        if is_url(self.place):
            return _read_url(self.place)
        with Path(self.place).open("rb") as file:
            if self.size is None:
                return read_bounded(file)
            file.seek(self.offset)
            return file.read(self.size)


@dataclass
class Fleet:
    """Where dumps are, and what was found there besides them.

    `total` is what the `weight` of all dumps comes to, None where nobody knows before the end.
    `problems` are files that look like dumps and can't be read as such, `others` counts files that
    are none; both are complete once all `dumps` were taken.
    """

    name: str
    total: int | None = None
    problems: list[Problem] = field(default_factory=list)
    others: int = 0
    found: int = 0

    def dumps(self) -> Iterator[Dump]:
        """Give the dumps, in byte order of their names, or in the order of the archive."""
        raise NotImplementedError

    def dump(self, name: str, known: Collection[str]) -> Dump | None:
        """Return what a file's name says of it, None for a file that is no dump."""
        says = named(name, known)
        if says is not None:
            self.found += 1
            return Dump(name, says.node, says.is_ipv6, says.sure)
        if is_archive(name):
            message = "an archive inside a folder or archive is not read"
            self.problems.append(Problem(name, message, "give it by itself, or unpack it"))
        else:
            self.others += 1
        return None


@dataclass
class _Files(Fleet):
    """A folder, here or in shared storage: names and where their bytes are."""

    files: list[Dump] = field(default_factory=list)

    def dumps(self) -> Iterator[Dump]:
        """Give the dumps in byte order of their names."""
        return iter(self.files)


def open_fleet(location: str, known: Collection[str]) -> Fleet:
    """Open a folder, an archive, one dump, or the same at a URL (`s3://bucket/dumps`).

    `known` are the names of the cluster's nodes. Raises `InputError` where there is nothing to
    read, and `SchedulerError` where a URL needs a package that is not installed.
    """
    hint = "name a folder, an archive or a URL with dumps"
    if not location:  # a shell's unset variable; Python would take it for the current folder
        raise InputError(Problem("''", "an empty path", hint))
    if is_url(location):
        return _open_storage(location, known)
    try:
        if Path(location).is_dir():
            return _folder(location, known)
        if Path(location).exists() and not Path(location).is_file():
            raise InputError(Problem(location, "not a regular file", hint))
        with Path(location).open("rb") as file:
            return _file(location, file, known)
    except OSError as error:
        message = f"can't be read: {in_words(error)}"
        raise InputError(Problem(location, message, hint)) from error


def is_url(location: str) -> bool:
    """Say whether a location is one for fsspec, such as `s3://bucket/dumps`."""
    scheme, separator, _ = location.partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum()


def _folder(location: str, known: Collection[str]) -> Fleet:
    fleet = _Files(location)

    def fail(error: OSError) -> None:
        name = os.path.relpath(error.filename or location, location)
        fleet.problems.append(Problem(name, f"can't be read: {in_words(error)}"))

    names = [
        os.path.relpath(os.path.join(parent, name), location)  # noqa: PTH118 - many of them
        for parent, _, files in os.walk(location, onerror=fail)
        for name in files
    ]
    for name in sorted(names, key=os.fsencode):
        dump = fleet.dump(name, known)
        path = Path(location, name)
        if dump is None:
            continue
        if path.is_file():
            # workers may have another working directory
            fleet.files.append(replace(dump, place=str(path.absolute())))
        else:
            # a pipe could keep the reader waiting for ever
            what = "not a regular file" if path.exists() else "a symbolic link to nothing"
            fleet.problems.append(Problem(name, what))
    fleet.total = len(fleet.files)
    return fleet


def _file(location: str, file: BinaryIO, known: Collection[str]) -> Fleet:
    """Open one file: an archive, or a dump."""
    from compiler.fleet.archives import Archive, is_tar

    begin = file.read(4)
    file.seek(0)
    try:
        archive = is_tar(decompressed(file, begin))
    except READ_ERRORS as error:
        if location.endswith(COMPRESSED) and not is_archive(location):
            archive = False  # one dump, which is reported as any other
        else:
            message = f"can't be read: {in_words(error)}"
            raise InputError(Problem(location, message, "make the archive again")) from error
    if archive:
        return Archive(location, known=known)
    fleet = _Files(location, total=1)
    dump = fleet.dump(os.path.basename(location), known)  # noqa: PTH119 - of URLs, too
    if dump is None:
        hint = f"a dump's file is named by its node: {EXPECTED}"
        raise InputError(Problem(location, "neither an archive nor a dump", hint))
    place = location if is_url(location) else str(Path(location).absolute())
    fleet.files.append(replace(dump, place=place))
    return fleet


def _open_storage(location: str, known: Collection[str]) -> Fleet:
    """Open a folder, an archive or a dump at a URL."""
    files, path = _file_system(location)
    try:
        if not files.isdir(path):
            with open_location(location) as file:
                return _file(location, file, known)
        root = files._strip_protocol(path).rstrip("/")  # noqa: SLF001 - fsspec's way to compare
        fleet = _Files(location)
        for full in sorted(files.find(path)):
            dump = fleet.dump(full.removeprefix(root).lstrip("/"), known)
            if dump is not None:
                fleet.files.append(replace(dump, place=files.unstrip_protocol(full)))
    except InputError:
        raise
    except Exception as error:  # each storage has errors of its own
        message = f"can't be read: {in_words(error)}"
        raise InputError(Problem(location, message)) from error
    fleet.total = len(fleet.files)
    return fleet


def open_location(location: str) -> BinaryIO:
    """Open a file or URL for reading. Raises one of `READ_ERRORS`."""
    return _open_url(location) if is_url(location) else Path(location).open("rb")


def _open_url(location: str) -> BinaryIO:
    files, path = _file_system(location)
    try:
        return cast("BinaryIO", files.open(path, "rb"))
    except OSError:
        raise
    except Exception as error:  # each storage has errors of its own
        raise OSError(in_words(error)) from error


def _read_url(location: str) -> bytes:
    try:
        with _open_url(location) as file:
            return read_bounded(file)
    except OSError:
        raise
    except Exception as error:  # as above, and a package that this worker lacks
        raise OSError(in_words(error)) from error


def _file_system(location: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise SchedulerError(location, "needs the package fsspec", _EXTRA) from error
    try:
        files, path = url_to_fs(location)
    except ValueError as error:
        raise InputError(Problem(location, str(error), "use one like s3://bucket/dumps")) from error
    except ImportError as error:
        scheme = location.partition("://")[0]
        message = f"fsspec needs a package for {scheme}: {error}"
        raise SchedulerError(location, message) from error
    return files, path
