"""Commands that are run inside the lab: iptables, its restore and save, conntrack."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from compiler.family import IPV6, Family
from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.netfilter.backend import Backend

# A full load of ten thousand endpoints takes iptables-nft-restore eight seconds; this is for hangs.
TIMEOUT_SECONDS = 300

# Where Debian has the commands; all others that the lab runs are in `iptables`.
PACKAGES = {"conntrack": "conntrack", "nfacct": "nfacct"}


def iptables(family: Family, backend: Backend, suffix: str = "") -> str:
    """Return the command's name, such as `ip6tables-legacy-restore`."""
    stem = "ip6tables" if family is IPV6 else "iptables"
    return f"{stem}-{backend}{suffix}"


def require(*commands: str) -> None:
    """Raise LabError naming every command that is not installed."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        packages = sorted({PACKAGES.get(command, "iptables") for command in missing})
        hint = f"on Debian, `apt-get install {' '.join(packages)}`"
        raise LabError(f"not installed: {', '.join(missing)}; {hint}")


def run(
    namespace: str, command: Sequence[str], text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command inside a namespace, with `text` on its standard input; output is kept.

    Raises LabError where it is not installed or hangs; its exit code is for the caller to judge.
    """
    require(command[0])
    try:
        with netns.entered(namespace):
            return subprocess.run(  # noqa: S603 - fixed commands, no shell
                command,
                input=text,
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)} did not end in {TIMEOUT_SECONDS} s") from None


def output_of(namespace: str, command: Sequence[str], text: str | None = None) -> str:
    """Run a command inside a namespace and return what it printed. Raises LabError if it failed."""
    done = run(namespace, command, text)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
