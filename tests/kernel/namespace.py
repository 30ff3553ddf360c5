"""A network namespace for one test, and the commands that run inside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain

from compiler.netfilter.backend import Backend

PROGRAMS = {
    Backend.NFT: ("iptables-nft", "ip6tables-nft"),
    Backend.LEGACY: ("iptables-legacy", "ip6tables-legacy"),
}
# All that any kernel test calls; which of it a test calls is said by its marks.
NEEDED_COMMANDS = ("ip", "nft", "conntrack", "nfacct", *chain(*PROGRAMS.values()))


def missing_for_kernel_tests(commands: Iterable[str] = NEEDED_COMMANDS) -> str:
    """Say what this machine lacks to run these commands in namespaces; empty if nothing."""
    if problem := _machine_problem():
        return problem
    missing = sorted(command for command in set(commands) if shutil.which(command) is None)
    return f"not installed: {', '.join(missing)}" if missing else ""


@cache
def _machine_problem() -> str:
    if os.geteuid() != 0:
        return "not root"
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "this machine makes no network namespaces"


@dataclass(frozen=True)
class Namespace:
    """A network namespace by name (`ip netns`)."""

    name: str

    def run(
        self, command: Sequence[str], text: str | None = None, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, with `text` on its standard input."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            message = f"{' '.join(command)} ended with {done.returncode}: {done.stderr}"
            raise AssertionError(message)
        return done

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a command inside; the caller ends it."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )


@contextmanager
def fresh_namespace() -> Iterator[Namespace]:
    """Make a namespace with loopback up, and remove it again."""
    name = f"prtest-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        namespace = Namespace(name)
        namespace.run(["ip", "link", "set", "lo", "up"])
        yield namespace
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
