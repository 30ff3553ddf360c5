"""The same work for many snapshots, in several processes where that is allowed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from compiler.fleet.processes import begin_worker

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int], object]
"""Takes how many pieces of work were done since it was last called."""

# Fewer pieces are done before the processes are there.
_WORTHWHILE = 4


def done(
    work: Callable[[T], R],
    pieces: Sequence[T],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[R]:
    """Do the work for each piece and return the results in their order.

    With more than one of `workers` this process may be forked, and `work`, the pieces and the
    results are pickled.
    """
    results = []
    for result in _results(work, pieces, min(workers, len(pieces) // 2)):
        results.append(result)
        if progress:
            progress(1)
    return results


def _results(work: Callable[[T], R], pieces: Sequence[T], workers: int) -> Iterator[R]:
    if workers < 2 or len(pieces) < _WORTHWHILE or not _can_fork():
        yield from map(work, pieces)
        return
    context = multiprocessing.get_context("fork")
    # Small portions: one snapshot may take as long as twenty others.
    size = max(1, min(8, len(pieces) // (workers * 4)))
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=begin_worker, initargs=(os.getpid(),)
    ) as processes:
        try:
            portions = (pieces[start : start + size] for start in range(0, len(pieces), size))
            # Not `map`, which cancels what is left: the thread that notices the end of the
            # processes then fails, and prints that.
            waiting = [processes.submit(_worked, work, portion) for portion in portions]
            for future in waiting:
                yield from future.result()
        except BaseException:
            # what is left would be done first, and they may be waiting for a command
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _worked(work: Callable[[T], R], pieces: Sequence[T]) -> list[R]:
    """Do pieces of work in a worker, which would go on with the next portion after SIGTERM."""
    try:
        return [work(piece) for piece in pieces]
    except SystemExit:
        os._exit(1)


def _can_fork() -> bool:
    # A fork copies one thread alone: a lock that another one holds would stay locked.
    return hasattr(os, "sched_getaffinity") and threading.active_count() == 1


def cores() -> int:
    """Return how many processes are worthwhile here, at most 8."""
    return min(8, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 1
