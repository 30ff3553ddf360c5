"""Time and memory of processes, measured from outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

MIB = 1024 * 1024
# How often a process tree's memory is looked at, in seconds.
LOOK_EVERY = 0.004


@dataclass
class Samples:
    """What the runs of one command took: wall clock and processor time in seconds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self, command: Sequence[str], *, exit_code: int = 0) -> None:
        """Run the command once more. Raises `RuntimeError` if it ends with another exit code."""
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            self.wall.append(time.perf_counter() - start)
            process.returncode = os.waitstatus_to_exitcode(status)
        _check(command, process.returncode, exit_code)
        self.cpu.append(usage.ru_utime + usage.ru_stime)

    @property
    def best(self) -> float:
        """The least wall-clock time: that of the run which others disturbed least."""
        return min(self.wall)

    @property
    def typical(self) -> float:
        """The median wall-clock time."""
        return median(self.wall)


def peak_memory(command: Sequence[str], *, exit_code: int = 0) -> float:
    """Run a command and return the most memory (MiB) that it and its children had at one time.

    Pages that several of them share are counted once (proportional set size). One process alone
    is measured by the kernel (resident set size), which misses nothing between two looks. Raises
    `RuntimeError` if the command ends with another exit code.
    """
    most_together = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if children := _children(process.pid):
                sizes = [_proportional_size(pid) for pid in (process.pid, *children)]
                most_together = max(most_together, sum(sizes))
            time.sleep(LOOK_EVERY)
        process.returncode = os.waitstatus_to_exitcode(status)
    _check(command, process.returncode, exit_code)
    return max(most_together, usage.ru_maxrss * 1024) / MIB


def _check(command: Sequence[str], ended: int, wanted: int) -> None:
    if ended != wanted:
        raise RuntimeError(f"{' '.join(command)} ended with {ended}, not {wanted}")


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _proportional_size(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
