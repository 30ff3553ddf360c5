"""The same work for many items, in this process, in several processes or on a Dask cluster.

    for result in run(task, context, items, processes()):
        ...

`task` is a function of a module, `task(context, item)`: it and its arguments are pickled. What all
items need is the `context`, which every worker gets once and keeps until the run ends, with
whatever the task keeps in it. Results come in the order of the items, whatever the number of
workers, and equal those of one worker if the task depends on its arguments alone.

A worker that dies loses nothing: its items are done again. An item whose worker dies each time has
the result `Lost`. An exception that the task raises ends the run and is raised here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

C = TypeVar("C")
T = TypeVar("T")
R = TypeVar("R")

Task = Callable[[C, T], R]


class SchedulerError(Exception):
    """The work can't be scheduled, whatever its input: `subject`, what is wrong, and a hint."""

    def __init__(self, subject: str, message: str, hint: str = "") -> None:
        self.subject, self.message, self.hint = subject, message, hint
        super().__init__(subject, message, hint)

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}" + (f"; {self.hint}" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Lost:
    """The result of an item that has none: each of `times` times, its worker died."""

    times: int

    def __str__(self) -> str:
        return f"killed its worker {self.times} times"


class Scheduler(Protocol):
    """Something that does work: `processes(…)` or `dask(…)`."""

    def results(self, task: Task[C, T, R], context: C, items: Iterable[T]) -> Iterator[R | Lost]:
        """Do the task for every item; see the module for what that promises."""


def run(
    task: Task[C, T, R], context: C, items: Iterable[T], scheduler: Scheduler
) -> Iterator[R | Lost]:
    """Do the task for every item and give the results in the order of the items.

    `items` may be an iterator: no more of it is taken than the workers soon need. Where the
    iterator of results is closed or an exception (Ctrl-C too) ends it, the workers are ended.
    Raises `SchedulerError`, and what the task raises.
    """
    return scheduler.results(task, context, items)


def processes(jobs: int | None = None) -> Scheduler:
    """Return a scheduler of this machine's processes: `jobs` of them, by default one per core.

    With one the work is done in this process; nothing then protects it from a task that kills it.
    """
    if jobs is None:
        jobs = cores()
    if jobs < 2:
        return _Here()
    from compiler.fleet.processes import Processes

    return Processes(jobs)


def dask(address: str) -> Scheduler:
    """Return a scheduler that hands work to the Dask cluster of an address (`tcp://…:8786`).

    The workers need proxyrules of the same version. Nothing is connected before the work begins;
    then `SchedulerError` is raised where `distributed` is not installed, nothing answers at the
    address, no worker joins in time, or a worker has another version.
    """
    from compiler.fleet.dask_cluster import DaskCluster

    return DaskCluster(address)


def cores() -> int:
    """Return how many processes this one may run at the same time."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Here:
    """One item after the other, in this process."""

    def results(self, task: Task[C, T, R], context: C, items: Iterable[T]) -> Iterator[R | Lost]:
        for item in items:
            yield task(context, item)
