"""A network namespace for one test, and the commands that run inside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

NEEDED_COMMANDS = (
    *("ip", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"),
    *("nft", "conntrack", "nfacct"),
)


def missing_for_kernel_tests() -> str:
    """Say what this machine lacks for kernel tests; empty where it has everything."""
    if os.geteuid() != 0:
        return "not root"
    missing = [command for command in NEEDED_COMMANDS if shutil.which(command) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
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


@contextmanager
def fresh_namespace() -> Iterator[Namespace]:
    """Make a namespace with loopback up, and take it away again."""
    name = f"prtest-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        namespace = Namespace(name)
        namespace.run(["ip", "link", "set", "lo", "up"])
        yield namespace
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
