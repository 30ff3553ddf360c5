"""Work for many items: the same results however it is done, and whichever worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.fleet.scheduler import Lost, Scheduler, SchedulerError, cores, dask, processes, run
from tests.dask_cluster import Cluster, local_cluster
from tests.processes import is_running, wait_until

ITEMS = list(range(25))


def square(context: dict[str, int], item: int) -> int:
    # later items are done first
    time.sleep(0.001 * (len(ITEMS) - item))
    return context["factor"] * item * item


def count_calls(context: dict[str, int], item: int) -> int:
    """Return how many items this worker's context has seen."""
    context["calls"] = context.get("calls", 0) + 1
    return context["calls"]


def die_once(context: Path, item: int) -> tuple[int, str]:
    """Kill the worker at one item, the first time that it is done."""
    mark = context / "died"
    if item == 7 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item, "done"


def die_at(context: set[int], item: int) -> int:
    if item in context:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail_at(context: int, item: int) -> int:
    if item == context:
        raise ValueError(f"item {item}")
    return item


def pid_and_wait(context: Path, item: int) -> int:
    (context / str(os.getpid())).touch()
    time.sleep(60)
    return item


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with local_cluster(workers=2) as made:
        yield made


@pytest.fixture(params=["1", "2", "3", "dask"])
def scheduler(request: pytest.FixtureRequest) -> Scheduler:
    if request.param == "dask":
        return dask(request.getfixturevalue("cluster").address)
    return processes(int(request.param))


def test_results_are_in_the_order_of_the_items(scheduler: Scheduler) -> None:
    found = list(run(square, {"factor": 3}, iter(ITEMS), scheduler))
    assert found == [3 * item * item for item in ITEMS]


def test_no_items_give_no_results(scheduler: Scheduler) -> None:
    assert list(run(square, {"factor": 3}, [], scheduler)) == []


def test_a_worker_keeps_its_context(scheduler: Scheduler) -> None:
    calls = list(run(count_calls, {}, ITEMS, scheduler))
    assert len(calls) == len(ITEMS)
    workers = calls.count(1)
    assert 1 <= workers <= 3
    assert max(c for c in calls if isinstance(c, int)) >= len(ITEMS) // workers


def test_an_exception_of_the_task_ends_the_run(scheduler: Scheduler) -> None:
    results = run(fail_at, 5, ITEMS, scheduler)
    found: list[int | Lost] = []
    with pytest.raises(ValueError, match="item 5"):
        found.extend(results)
    assert found == [0, 1, 2, 3, 4]


def test_items_are_taken_as_they_are_needed(scheduler: Scheduler) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = run(die_at, set(), items(), scheduler)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) < 20
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("jobs", [2, 3])
def test_a_process_that_dies_loses_nothing(tmp_path: Path, jobs: int) -> None:
    found = list(run(die_once, tmp_path, ITEMS, processes(jobs)))
    assert found == [(item, "done") for item in ITEMS]
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_every_process_is_given_up_alone() -> None:
    found = list(run(die_at, {0, 7, 8, 24}, ITEMS, processes(2)))
    assert found == [Lost(3) if item in {0, 7, 8, 24} else item for item in ITEMS]
    assert str(Lost(3)) == "killed its worker 3 times"


def test_a_dask_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    with local_cluster(workers=2) as cluster:
        found = list(run(die_once, tmp_path, ITEMS, dask(cluster.address)))
    assert found == [(item, "done") for item in ITEMS]
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_every_dask_worker_is_given_up_alone() -> None:
    with local_cluster(workers=2, restart=True, allowed_failures=1) as cluster:
        found = list(run(die_at, {3}, range(6), dask(cluster.address)))
    assert found == [0, 1, 2, Lost(2), 4, 5]


def test_where_nothing_answers_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.fleet.dask_cluster.CONNECT_TIMEOUT", 0.5)
    with pytest.raises(SchedulerError) as caught:
        list(run(square, {}, ITEMS, dask("tcp://127.0.0.1:9")))
    assert "no Dask scheduler answers" in str(caught.value)


def test_a_scheduler_that_ends_is_reported() -> None:
    with local_cluster(workers=1) as cluster:
        results = run(die_at, set(), ITEMS, dask(cluster.address))
        assert next(results) == 0
        cluster.scheduler.kill()
        with pytest.raises(SchedulerError, match="was lost"):
            list(results)


def test_a_worker_of_another_version_is_rejected(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compiler.fleet.dask_cluster._own_version", lambda: "9.9")
    with pytest.raises(SchedulerError, match=r"this is 9\.9; install the same version"):
        list(run(square, {}, ITEMS, dask(cluster.address)))


def test_processes_are_as_many_as_cores_by_default() -> None:
    assert cores() >= 1
    assert getattr(processes(), "jobs", 1) == cores()


SCRIPT = """
import sys
from pathlib import Path
from compiler.fleet.scheduler import processes, run
from tests.test_fleet_scheduler import pid_and_wait
list(run(pid_and_wait, Path(sys.argv[1]), range(10), processes(2)))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, sent: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path], stderr=subprocess.PIPE, start_new_session=True
    ) as parent:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        pids = [int(path.name) for path in tmp_path.iterdir()]
        parent.send_signal(sent)
        parent.communicate(timeout=20)
    assert parent.returncode != 0
    wait_until(lambda: not any(map(is_running, pids)))
