"""Dumps in a tar archive, compressed or not. Nothing is ever unpacked to the disk."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from os import SEEK_END
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from compiler.errors import Problem
from compiler.fleet.dumps import Dump, Fleet, is_url, open_location
from compiler.fleet.names import named
from compiler.fleet.streams import MAX_DUMP, READ_ERRORS, decompressed, in_words

_ERRORS = (*READ_ERRORS, tarfile.TarError)
_BLOCK = 512
# Paths end at 4 KiB. tarfile reads headers that extend a member's into memory as a whole.
_MAX_HEADER = 1 << 20
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Member(tarfile.TarInfo):
    """A member whose name can't take all memory: a header of gigabytes compresses to nothing."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        # the method that tarfile keeps for subclasses to override
        if self.type in _EXTENDED and self.size > _MAX_HEADER:
            raise OSError(f"a member's header is larger than {_MAX_HEADER >> 10} KiB")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]


def is_tar(file: BinaryIO) -> bool:
    """Say whether a file, as it was before compression, is a tar archive."""
    block = file.read(_BLOCK)
    try:
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return block == bytes(_BLOCK)  # an archive without members
    return True


@dataclass
class Archive(Fleet):
    """A tar archive.

    The members of a compressed one can only be read one after the other, so they are read here;
    of a plain one on this machine whoever checks a member reads it.
    """

    known: Collection[str] = field(default_factory=tuple)
    _passed: int = 0

    def dumps(self) -> Iterator[Dump]:
        """Give the dumps in the order of the archive; it may end in a problem."""
        try:
            with ExitStack() as stack:
                file = stack.enter_context(open_location(self.name))
                self.total = file.seek(0, SEEK_END)
                file.seek(0)
                begin = file.read(4)
                file.seek(0)
                content = decompressed(file, begin)
                in_place = content is file and not is_url(self.name)
                mode = "r:" if in_place else "r|"
                tar = stack.enter_context(tarfile.open(fileobj=content, mode=mode, tarinfo=_Member))  # type: ignore[call-overload]
                for member in tar:
                    dump = self._member(tar, member, in_place=in_place)
                    if dump is not None:
                        at = member.offset_data + member.size if in_place else file.tell()
                        yield replace(dump, weight=at - self._passed)
                        self._passed = at
                    tar.members = []  # it would keep them all
        except _ERRORS as error:
            message = f"the archive can't be read further: {in_words(error)}"
            hint = f"{self.found} dumps were read before" if self.found != 1 else "1 dump was read"
            self.problems.append(Problem(self.name, message, hint))

    def _member(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, *, in_place: bool
    ) -> Dump | None:
        """Return the dump that a member is; others are counted or reported."""
        if member.isdir():
            return None
        name = member.name.removeprefix("./")
        if self._is_rejected(name, member):
            return None
        dump = self.dump(name, self.known)
        if dump is None or (in_place and not member.issparse()):
            place = str(Path(self.name).absolute())
            return dump and replace(dump, place=place, offset=member.offset_data, size=member.size)
        content = tar.extractfile(member)
        assert content is not None  # noqa: S101 - it is a regular file
        return replace(dump, data=content.read())

    def _is_rejected(self, name: str, member: tarfile.TarInfo) -> bool:
        """Report a member that is not read, whatever it holds."""
        path = PurePosixPath(name)
        message, hint = "", "make the archive again"
        if path.is_absolute() or ".." in path.parts:
            message = "a path that leads out of the archive is not read"
        elif named(name, self.known) is None:
            return False
        elif member.issym() or member.islnk():
            message, hint = "a link in an archive is not read", "put the file itself in"
        elif not member.isreg():
            message = "not a regular file"
        elif member.size > MAX_DUMP:
            message, hint = f"larger than {MAX_DUMP >> 20} MiB", "leave it out"
        if message:
            self.problems.append(Problem(name, message, hint))
        return bool(message)
