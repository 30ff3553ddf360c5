"""Work that a second process does meanwhile, on another core."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


def is_there() -> bool:
    """Whether there is another core, and this process may be forked to use it."""
    return (
        hasattr(os, "sched_getaffinity")  # on Linux
        and len(os.sched_getaffinity(0)) > 1
        # A fork copies one thread alone: a lock that another one holds would stay locked.
        and threading.active_count() == 1
    )


@contextmanager
def meanwhile(work: Callable[[], Iterable[bytes]]) -> Iterator[BinaryIO]:
    """Do work in a forked process: a stream of what it gave, which waits until all is done.

    The stream ends early where the process came to harm. The work is given up where the `with`
    block is left before its end.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(work, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb", 1 << 16) as stream:
            yield stream
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _work(work: Callable[[], Iterable[bytes]], writing: int) -> None:
    """Do the work and end the process, without a trace of the parent's plans for its own end."""
    code = 1
    try:
        # All of it before the first byte: the pipe is small, and read late.
        done = list(work())
        with os.fdopen(writing, "wb", 1 << 20) as stream:
            stream.writelines(done)
        code = 0
    finally:
        os._exit(code)
