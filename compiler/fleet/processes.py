"""Work in several processes of this machine, by concurrent.futures."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.context import BaseContext
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

from compiler.fleet.scheduler import Lost, Task

C = TypeVar("C")
T = TypeVar("T")
R = TypeVar("R")

# How often an item may kill its worker before it is given up.
ATTEMPTS = 3
# Seconds between two looks of a worker at whether its parent is still there.
LOOK_EVERY = 0.5
# Items under way for each process: one is done, one waits, so that no process does.
_WINDOW = 2


@dataclass
class _Waiting(Generic[T]):
    """An item that was handed to the processes."""

    item: T
    future: Future[Any] = field(default_factory=Future)


class Processes:
    """Does work in `jobs` processes.

    concurrent.futures reports a process that died to every item under way: any of them may have
    killed it. Each is then done again in a process of its own, which tells them apart.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def results(self, task: Task[C, T, R], context: C, items: Iterable[T]) -> Iterator[R | Lost]:
        """Do the task for every item; see `compiler.fleet.scheduler`."""
        coming = iter(items)
        waiting: deque[_Waiting[T]] = deque()
        pool = _Pool(self.jobs, task, context)
        try:
            while True:
                missing = self.jobs * _WINDOW - len(waiting)
                for item in islice(coming, missing):
                    waiting.append(_Waiting(item))
                    pool.submit(waiting[-1])
                if not waiting:
                    pool.close()
                    return
                try:
                    result: R | Lost = waiting[0].future.result()
                except BrokenProcessPool:
                    pool.end()
                    yield from self._one_by_one(task, context, waiting)
                    pool = _Pool(self.jobs, task, context)
                else:
                    waiting.popleft()
                    yield result
        finally:
            pool.end()

    def _one_by_one(
        self, task: Task[C, T, R], context: C, waiting: deque[_Waiting[T]]
    ) -> Iterator[R | Lost]:
        """Do again what was under way when a process died."""
        pool = _Pool(1, task, context)
        try:
            while waiting:
                one, deaths = waiting.popleft(), 0
                while not _has_result(one.future):
                    if deaths == ATTEMPTS:
                        break
                    pool.submit(one)
                    try:
                        one.future.result()
                    except BrokenProcessPool:
                        deaths += 1
                        pool.end()
                        pool = _Pool(1, task, context)
                yield Lost(deaths) if deaths == ATTEMPTS else one.future.result()
        finally:
            pool.end()


def _has_result(future: Future[Any]) -> bool:
    """Say whether an item was done, well or with an exception of its own."""
    return (
        future.done()
        and not future.cancelled()
        and not isinstance(future.exception(), BrokenProcessPool)
    )


class _Pool:
    """Processes that have the task and its context, and end when they are told to."""

    def __init__(self, jobs: int, task: Task[Any, Any, Any], context: object) -> None:
        self._others = set(multiprocessing.active_children())
        self._executor = ProcessPoolExecutor(
            jobs,
            mp_context=_start_method(),
            initializer=_begin,
            initargs=(os.getpid(), task, context),
        )

    def submit(self, one: _Waiting[Any]) -> None:
        """Hand over an item; a dead process is reported by its future, now or later."""
        try:
            one.future = self._executor.submit(_worked, one.item)
        except BrokenProcessPool as error:
            one.future = Future()
            one.future.set_exception(error)

    def close(self) -> None:
        """Let the processes end, which have nothing to do any more."""
        self._executor.shutdown()

    def end(self) -> None:
        """End the processes, whatever they do: results that count were taken before."""
        # The executor would wait for what is under way, and cancelling that makes its thread fail
        # where the processes end at the same time.
        for process in set(multiprocessing.active_children()) - self._others:
            process.terminate()
        self._executor.shutdown()


def _start_method() -> BaseContext:
    """Fork where that is safe: the context is then neither pickled nor held twice."""
    # A fork copies one thread alone: a lock that another one holds would stay locked.
    can_fork = hasattr(os, "fork") and threading.active_count() == 1
    return multiprocessing.get_context("fork" if can_fork else "spawn")


class _Work:
    """What a worker does; set once in each. `idle` is whether it is between two items."""

    task: Callable[[Any, Any], Any]
    context: Any
    idle = False


def _begin(parent: int, task: Callable[[Any, Any], Any], context: object) -> None:
    begin_worker(parent)
    _Work.task, _Work.context, _Work.idle = staticmethod(task), context, True
    # What came with the fork is shared with the parent as long as nothing touches it.
    gc.freeze()


def begin_worker(parent: int) -> None:
    """Begin a worker: Ctrl-C is its parent's to act on, without which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _worked(item: object) -> object:
    """Do one item in a worker, which would go on with the next one after `_end`."""
    _Work.idle = False
    try:
        return _Work.task(_Work.context, item)
    except SystemExit:
        os._exit(1)
    finally:
        _Work.idle = True


def _end(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    if _Work.idle:
        # It may be reading an item: another worker must not go on with the rest of it.
        os._exit(128 + number)
    # As an exception, so that what is half written is removed on the way out.
    raise SystemExit(128 + number)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os._exit(1)
