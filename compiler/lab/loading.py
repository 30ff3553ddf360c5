"""Rules into and out of the node's kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable

from compiler.family import Family
from compiler.lab.commands import iptables, output_of, require, run
from compiler.lab.errors import LabError
from compiler.lab.rules import nfacct_counters
from compiler.netfilter.backend import Backend

_COUNTERS = re.compile(r"\[\d+:\d+\]$")


def load(namespace: str, family: Family, backend: Backend, text: str, *, noflush: bool) -> None:
    """Load restore text into the node's kernel: a table is taken whole or not at all.

    Raises LabError with iptables-restore's own message where it rejects the text.
    """
    for counter in nfacct_counters(text):
        # kube-proxy makes its counters itself; one that exists is kept.
        run(namespace, ["nfacct", "add", counter])
    command = [iptables(family, backend, "-restore")]
    if noflush:
        command.append("--noflush")
    if backend is Backend.LEGACY:
        # The legacy lock is the machine's; another iptables may hold it for a moment.
        command.append("--wait")
    done = run(namespace, command, text)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)} rejected the rules: {done.stderr.strip()}")


def require_backend(backend: Backend, families: Iterable[Family]) -> None:
    """Raise LabError unless the backend's commands are installed for these families."""
    require(*(iptables(family, backend, end) for family in families for end in ("", "-restore")))


def saved(namespace: str, family: Family, backend: Backend) -> str:
    """Return all rules of a family as iptables-save prints them, without times and counters.

    So two texts differ only where the rules do.
    """
    text = output_of(namespace, [iptables(family, backend, "-save")])
    kept = (line for line in text.splitlines() if not line.startswith("#"))
    return "".join(f"{_COUNTERS.sub('[0:0]', line)}\n" for line in kept)


def listed(namespace: str, family: Family, backend: Backend, table: str = "nat") -> list[str]:
    """Return the table's lines as `iptables -S` prints them."""
    return output_of(namespace, [iptables(family, backend), "-w", "-t", table, "-S"]).splitlines()
