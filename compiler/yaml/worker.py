"""Work that a second process does meanwhile, on another core."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

# Results between two looks at whether anybody still waits for them.
LOOK_EVERY = 64


def is_available() -> bool:
    """Whether there is another core, and this process may be forked to use it."""
    return (
        hasattr(os, "sched_getaffinity")  # on Linux
        and len(os.sched_getaffinity(0)) > 1
        # A fork copies one thread alone: a lock that another one holds would stay locked.
        and threading.active_count() == 1
    )


@contextmanager
def meanwhile(work: Callable[[], Iterable[bytes]]) -> Iterator[BinaryIO]:
    """Do work in a forked process: yields a stream of its results, which waits until all is done.

    The stream ends early where the process fails. Leaving the `with` block before the stream's end
    gives the work up: the process notices that its pipe has no reader, and ends by itself. It is
    never signalled, since a caller that ignores SIGCHLD has its children reaped by the kernel, and
    the process ID may then belong to another process.
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
        with suppress(ChildProcessError):  # where SIGCHLD is ignored, nothing is left to wait for
            os.waitpid(child, 0)


def _work(work: Callable[[], Iterable[bytes]], writing: int) -> None:
    """Do the work and end the process, without running the parent's own clean-up."""
    code = 1
    try:
        reader = select.poll()
        reader.register(writing, 0)  # errors are always reported: nobody reads any more
        # All of it before the first byte: the pipe is small, and read late.
        done = []
        for number, result in enumerate(work()):
            if number % LOOK_EVERY == 0 and reader.poll(0):
                return
            done.append(result)
        with os.fdopen(writing, "wb", 1 << 20) as stream:
            stream.writelines(done)
        code = 0
    finally:
        os._exit(code)
