"""A lab of a test's own, driven by the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from compiler.lab import lifecycle
from compiler.lab.run_directory import State, netns_name, read_state
from compiler.netfilter.backend import Backend
from tests.run import Result, Runner

BACKENDS = tuple(Backend)


@dataclass(frozen=True)
class Box:
    """A lab under a name of its own."""

    name: str
    proxyrules: Runner

    def run(self, command: str, *arguments: str | Path) -> Result:
        """Run a lab command, whatever comes of it."""
        return self.proxyrules("lab", command, "--name", self.name, *arguments)

    def __call__(self, command: str, *arguments: str | Path) -> str:
        """Run a lab command and return what it printed; it has to work."""
        result = self.run(command, *arguments)
        assert result.code == 0, result.err
        return result.out

    def tally(self, service: str, *arguments: str, count: int = 1) -> dict[str, int]:
        """Make requests; return how many each answered."""
        out = self("request", service, "--count", str(count), *arguments)
        found = (re.fullmatch(r" *(\d+)  (.+)", line) for line in out.splitlines())
        return {match[2]: int(match[1]) for match in found if match}

    def answer(self, service: str, *arguments: str) -> str:
        """Make one request; return who answered, or `refused`, `timed out`, `unreachable`."""
        (name,) = self.tally(service, "--timeout", "0.5", *arguments)
        return name

    @property
    def state(self) -> State:
        return read_state(self.name)

    def netns(self, member: str) -> str:
        return netns_name(self.name, member)


@contextmanager
def fresh_box(proxyrules: Runner) -> Iterator[Box]:
    """Give a name for a lab, and remove the lab afterwards."""
    name = f"test-{uuid4().hex[:8]}"
    try:
        yield Box(name, proxyrules)
    finally:
        lifecycle.down(name)
