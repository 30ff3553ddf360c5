"""Rules into and out of the node's kernel."""

from __future__ import annotations

import re

from compiler.lab.commands import iptables, output_of, require, run
from compiler.lab.errors import LabError

CHAIN_LINE = re.compile(r":(\S+) ")
COUNTER = re.compile(r"--nfacct-name (\S+)")
JUMP_LINE = re.compile(r"-I (\S+) ")


def load(namespace: str, family: str, backend: str, text: str, *, noflush: bool) -> None:
    """Hand restore text to the node's kernel; all of it is taken or (table by table) none.

    Raises LabError with iptables-restore's own words where it is refused.
    """
    for counter in sorted(set(COUNTER.findall(text))):
        # kube-proxy makes its counters itself; one that is there already is kept.
        run(namespace, ["nfacct", "add", counter])
    command = [iptables(family, backend, "-restore")]
    if noflush:
        command.append("--noflush")
    if backend == "legacy":
        # The legacy lock is the machine's; another iptables may hold it for a moment.
        command.append("--wait")
    done = run(namespace, command, text)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)} refused the rules: {done.stderr.strip()}")


def require_backend(backend: str, families: tuple[str, ...]) -> None:
    """Raise LabError unless the backend's commands are installed for these families."""
    require(*(iptables(family, backend, end) for family in families for end in ("", "-restore")))


def tables(text: str) -> dict[str, list[str]]:
    """Return the lines of restore text by table, without comments, headers and COMMIT."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("*"):
            lines = found.setdefault(line[1:], [])
        elif line and not line.startswith("#") and line != "COMMIT":
            lines.append(line)
    return found


def jumps(text: str) -> dict[str, list[str]]:
    """Return the jumps from built-in chains in a standalone text, by table."""
    return {
        table: [line for line in lines if JUMP_LINE.match(line)]
        for table, lines in tables(text).items()
    }


def reload_text(old: str, new: str) -> str:
    """Return the text for `--noflush` that turns what `old` loaded into what `new` says.

    Both are standalone texts. Every chain of `new` is written anew, as a full sync of kube-proxy
    does; chains that only `old` has are flushed and deleted; a jump from a built-in chain is
    touched only if one of the two lacks it. Rules for the same `recent` list come in before the old
    ones go out, in one transaction, so affinity lives on wherever an endpoint does.
    """
    before, after = tables(old), tables(new)
    written = []
    for table, lines in after.items():
        was = before.get(table, [])
        new_jumps, old_jumps = jumps(new)[table], jumps(old).get(table, [])
        chains = [line for line in lines if CHAIN_LINE.match(line)]
        stale = [line for line in was if CHAIN_LINE.match(line) and line not in set(chains)]
        rules = [line for line in lines if line.startswith("-A")]
        written += [f"*{table}", *chains, *stale, *rules]
        written += [line.replace("-I", "-D", 1) for line in old_jumps if line not in new_jumps]
        written += [line for line in new_jumps if line not in old_jumps]
        written += [f"-X {match[1]}" for line in stale if (match := CHAIN_LINE.match(line))]
        written.append("COMMIT")
    return "\n".join(written) + "\n"


def listed(namespace: str, family: str, backend: str, table: str = "nat") -> list[str]:
    """Return the table's lines as `iptables -S` prints them."""
    return output_of(namespace, [iptables(family, backend), "-w", "-t", table, "-S"]).splitlines()
