"""Bytes of dumps: decompressed, and never more of them than a dump can have."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, cast

# Eight times the dump of a node with 100,000 endpoints (docs/fleet.md). What is compressed may have
# no end, and reading rules takes several times as much memory as their text has bytes.
MAX_DUMP = 256 << 20

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# What zstd is fed at once: 4 KiB may stand for 128 MiB.
_PIECE = 4096
_CHUNK = 1 << 20


class TooLargeError(OSError):
    """More bytes than `MAX_DUMP`."""


READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading raises: the file is not there, it ends early, it can't be decompressed."""


class _Zstd(io.RawIOBase):
    """What a zstd stream was compressed from. Raises `EOFError` where it ends early.

    The library's own reader takes a stream that is cut off for one that ends there.
    """

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._file = file
        self._errors = zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._new()
        self._begun = False
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(cast("bytearray", buffer)).cast("B")
        while not self._output:
            if not self._fill():
                return 0
        count = min(len(target), len(self._output))
        target[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _fill(self) -> bool:
        """Decompress some more; false at the end."""
        if not self._input:
            self._input = self._file.read(_PIECE)
        if not self._input:
            if self._begun:
                raise EOFError("the zstd data ends early")
            return False
        self._begun = True
        try:
            self._output = memoryview(self._frame.decompress(self._input))
        except self._errors as error:
            raise OSError(f"not zstd data: {str(error).lower()}") from error
        self._input = self._frame.unused_data
        if self._frame.eof:
            self._frame, self._begun = self._new(), False
        return True


def decompressed(file: BinaryIO, begin: bytes) -> BinaryIO:
    """Return what a file was compressed from, or the file; `begin` are its first bytes.

    Reading from it raises one of `READ_ERRORS`.
    """
    if begin.startswith(GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if begin.startswith(ZSTD):
        return cast("BinaryIO", io.BufferedReader(_Zstd(file), _CHUNK))
    return file


def decompress(raw: bytes) -> bytes:
    """Decompress what gzip or zstd compressed. Raises one of `READ_ERRORS`."""
    if not raw.startswith((GZIP, ZSTD)):
        return raw
    return read_bounded(decompressed(io.BytesIO(raw), raw[:4]))


def read_bounded(file: BinaryIO) -> bytes:
    """Read to the end. Raises one of `READ_ERRORS`, also beyond `MAX_DUMP`."""
    chunks: list[bytes] = []
    size = 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > MAX_DUMP:
            raise TooLargeError(f"larger than {MAX_DUMP >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def in_words(error: BaseException) -> str:
    """Say why something can't be read."""
    if isinstance(error, EOFError):
        return "it ends early: the file is cut off"
    if isinstance(error, zlib.error | gzip.BadGzipFile):
        return f"not gzip data: {str(error).lower()}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
