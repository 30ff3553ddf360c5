"""A Dask cluster of this machine: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.cases import ROOT
from tests.processes import wait_until


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]


@contextmanager
def local_cluster(
    *, workers: int, restart: bool = False, allowed_failures: int = 3
) -> Iterator[Cluster]:
    """Start one; with `restart` a nanny starts a worker that died again."""
    with TemporaryDirectory(prefix="proxyrules-dask-") as folder, ExitStack() as started:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
            "DASK_TEMPORARY_DIRECTORY": folder,
        }
        file = Path(folder, "scheduler.json")

        def start(*words: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
                env=environment,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            started.callback(process.wait, 20)
            started.callback(process.terminate)
            return process

        scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
              "--no-show", "--scheduler-file", str(file))  # fmt: skip
        wait_until(file.exists)
        nanny = "--nanny" if restart else "--no-nanny"
        options = (nanny, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1",
                   "--scheduler-file", str(file), "--memory-limit", "0")  # fmt: skip
        made = [start("dask_worker", *options) for _ in range(workers)]
        yield Cluster(_address(file, workers), scheduler, tuple(made))


def _address(file: Path, workers: int) -> str:
    """Return the scheduler's address once all workers have joined."""
    import distributed

    connect: Any = distributed.Client
    with connect(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=30)
        address: str = client.scheduler.address
        return address
