"""Work on the machines of a Dask cluster (https://distributed.dask.org)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from typing import Any, Generic, TypeVar

from compiler.fleet.scheduler import Lost, SchedulerError, Task

# Most of distributed's methods have no types.
Client = Any
Future = Any

C = TypeVar("C")
T = TypeVar("T")
R = TypeVar("R")

_EXTRA = "pip install 'proxyrules[dask]'"
# Seconds to wait for the scheduler's answer, and for a first worker.
CONNECT_TIMEOUT = 10
WORKER_TIMEOUT = 30
# Items under way for each thread of the workers: one is done, one is on its way.
_WINDOW = 2
# Seconds between two looks at how many workers there are: clusters grow and shrink.
_LOOK_EVERY = 2.0


# What waiting for a result raises where the scheduler is gone.
_LOST = (concurrent.futures.CancelledError, asyncio.CancelledError)


def _comm_closed() -> type[BaseException]:
    """Return what everything else raises then."""
    from distributed.comm.core import CommClosedError

    return CommClosedError


@dataclass
class _Waiting(Generic[T]):
    """An item that was handed to the cluster."""

    item: T
    future: Future


class DaskCluster:
    """Does work on the cluster whose scheduler has an address.

    Dask does the items of a dead worker again by itself, up to its `allowed-failures` (3) more
    times. It counts a death for every item that the worker had, so an item that Dask gives up is
    done again while no other one is under way.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def results(self, task: Task[C, T, R], context: C, items: Iterable[T]) -> Iterator[R | Lost]:
        """Do the task for every item; see `compiler.fleet.scheduler`."""
        client = self._connect()
        key = f"proxyrules-{uuid.uuid4()}"
        lost = (*_LOST, _comm_closed())
        try:
            self._check_versions(client)
            with _handed_out(client, key, task, context):
                yield from _results(client, key, iter(items))
        except lost as error:
            message = "the connection to the Dask scheduler was lost"
            raise SchedulerError(self.address, message) from error
        finally:
            with suppress(*lost):
                client.close()

    def _connect(self) -> Client:
        try:
            import distributed
        except ImportError as error:
            message = "needs the package distributed"
            raise SchedulerError(self.address, message, _EXTRA) from error
        connect: Any = distributed.Client
        try:
            client = connect(self.address, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            message = f"no Dask scheduler answers within {CONNECT_TIMEOUT} s"
            raise SchedulerError(
                self.address, message, "use an address like tcp://host:8786"
            ) from error
        try:
            client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
        except TimeoutError as error:
            client.close()
            message = f"no worker joined within {WORKER_TIMEOUT} s"
            raise SchedulerError(self.address, message, "start dask worker") from error
        return client

    def _check_versions(self, client: Client) -> None:
        """Reject workers that would decide otherwise: another proxyrules, or none."""
        own = _own_version()
        found = client.run(_version, on_error="return")
        for worker, version in sorted(found.items()):
            if version == own:
                continue
            has = f"has proxyrules {version}" if isinstance(version, str) else "has no proxyrules"
            message = f"worker {worker} {has}, this is {own}"
            raise SchedulerError(self.address, message, "install the same version on all workers")


@contextmanager
def _handed_out(client: Client, key: str, task: object, context: object) -> Iterator[None]:
    """Let every worker have the task and its context."""
    client.register_plugin(_work_plugin(key, task, context), name=key)
    try:
        yield
    finally:
        with suppress(*_LOST, _comm_closed()):
            if client.status == "running":
                client.unregister_worker_plugin(key)


def _results(client: Client, key: str, coming: Iterator[Any]) -> Iterator[Any]:
    from distributed.scheduler import KilledWorker

    waiting: deque[_Waiting[Any]] = deque()
    window = _Window(client)
    try:
        while True:
            for item in islice(coming, max(0, window.size() - len(waiting))):
                waiting.append(_Waiting(item, _submit(client, key, item)))
            if not waiting:
                return
            try:
                result = waiting[0].future.result()
            except KilledWorker:
                result = _alone(client, key, waiting)
            waiting.popleft()
            yield result
    finally:
        with suppress(*_LOST, _comm_closed()):
            if waiting and client.status == "running":
                client.cancel([one.future for one in waiting], force=True)


def _alone(client: Client, key: str, waiting: deque[_Waiting[Any]]) -> object:
    """Do an item again when no other one is under way."""
    from distributed.scheduler import KilledWorker

    for one in waiting:
        one.future.exception()  # waits
    again = _submit(client, key, waiting[0].item)
    try:
        return again.result()
    except KilledWorker as error:
        return Lost(error.allowed_failures + 1)


def _submit(client: Client, key: str, item: object) -> Future:
    return client.submit(_worked, key, item, key=f"{key}-{uuid.uuid4()}", pure=False)


class _Window:
    """How many items may be under way."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._size = 0
        self._looked = 0.0

    def size(self) -> int:
        """Return the number; the workers are counted now and then."""
        if not self._size or time.monotonic() - self._looked > _LOOK_EVERY:
            threads = sum(self._client.nthreads().values())
            self._size = threads or self._size or 1  # all may be about to be started again
            self._looked = time.monotonic()
        return self._size * _WINDOW


def _version() -> str:
    """Return the version of proxyrules that a worker has."""
    return _own_version()


def _own_version() -> str:
    try:
        return metadata.version("proxyrules")
    except metadata.PackageNotFoundError:
        return "unknown"


# What the runs of a worker's cluster need, by their key; several clients may have one cluster.
_works: dict[str, tuple[Any, Any]] = {}
# A worker with several threads has one dump in memory nevertheless.
_one_at_a_time = threading.Lock()


def _work_plugin(key: str, task: object, context: object) -> Any:
    """Make the plugin that gives the task and its context to every worker, those of later too."""
    from distributed import WorkerPlugin

    class Work(WorkerPlugin):
        """Has the context as bytes: Dask itself pickles plugins more than once."""

        name = key

        def __init__(self) -> None:
            self.work = pickle.dumps((task, context))

        def setup(self, worker: object) -> None:  # noqa: ARG002
            begin_work(key, self.work)

        def teardown(self, worker: object) -> None:  # noqa: ARG002
            end_work(key)

    return Work()


def begin_work(key: str, work: bytes) -> None:
    """Take the task and the context of a run."""
    _works[key] = pickle.loads(work)  # noqa: S301 - from the client, as all that a worker runs


def end_work(key: str) -> None:
    """Forget them."""
    _works.pop(key, None)


def _worked(key: str, item: object) -> object:
    task, context = _works[key]
    with _one_at_a_time:
        return task(context, item)
