"""The same work for many snapshots, in several processes where that is allowed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

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
    with ProcessPoolExecutor(workers, mp_context=context) as processes:
        try:
            yield from processes.map(work, pieces, chunksize=size)
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            raise


def _can_fork() -> bool:
    # A fork copies one thread alone: a lock that another one holds would stay locked.
    return hasattr(os, "sched_getaffinity") and threading.active_count() == 1


def cores() -> int:
    """Return how many processes are worthwhile here, at most 8."""
    return min(8, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 1
