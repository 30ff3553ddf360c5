"""The endpoints' servers seen from outside: started, changed, waited for."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

import compiler
from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.lab.layout import Listener
from compiler.lab.run_directory import LISTENERS_FILE, LOG_FILE, READY_FILE, directory
from compiler.lab.server import Listeners

# A thousand namespaces take it less than a second; this is for a server that died.
LISTENING_SECONDS = 30.0


def start(lab: str, node_namespace: str, listeners: Sequence[Listener]) -> None:
    """Start the process inside the node's namespace and wait until it listens everywhere.

    It starts in that namespace, so `down` finds it there however early `up` was killed. Raises
    LabError with the process's own message where it fails to listen.
    """
    where = directory(lab)
    _write(where, Listeners(0, tuple(listeners)))
    log = os.open(where / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    # -P and an explicit path: the folder that `up` happens to run in must not shadow a module.
    command = [sys.executable, "-P", "-m", "compiler.lab.server", str(where), lab]
    environment = {**os.environ, "PYTHONPATH": str(Path(compiler.__file__).parent.parent)}
    try:
        with netns.entered(node_namespace):
            pid = os.posix_spawn(  # not Popen: it outlives this process on purpose
                sys.executable,
                command,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
            )
    finally:
        os.close(log)
    _wait(where, 0, pid)


def listen(lab: str, node_namespace: str, listeners: Sequence[Listener]) -> None:
    """Have the process listen at these places and no others, and wait until it does.

    Raises LabError where the process is gone.
    """
    where = directory(lab)
    generation = _read(where).generation + 1
    _write(where, Listeners(generation, tuple(listeners)))
    pid = server_pid(lab, node_namespace)
    if pid is None:
        raise gone(lab)
    os.kill(pid, signal.SIGHUP)
    _wait(where, generation, pid)


def server_pid(lab: str, node_namespace: str) -> int | None:
    """Return the id of the servers' process, None where it is not running."""
    for pid in netns.processes([node_namespace]):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"compiler.lab.server" in words and lab.encode() in words and alive(pid):
                return pid
    return None


def gone(lab: str) -> LabError:
    """Return the error that no endpoint of the lab can answer."""
    return LabError(
        f'the endpoints\' servers of the lab "{lab}" are not running, so no endpoint answers; '
        f"use `proxyrules lab down --name {lab}`, then `lab up`"
    )


def alive(pid: int) -> bool:
    """Say whether a process runs. An ended child of this process is reaped on the way."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        # The state stands behind the command's name, which is in brackets and may hold anything.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _read(where: Path) -> Listeners:
    return msgspec.json.decode((where / LISTENERS_FILE).read_bytes(), type=Listeners)


def _write(where: Path, listeners: Listeners) -> None:
    draft = (where / LISTENERS_FILE).with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(listeners))
    draft.replace(where / LISTENERS_FILE)


def _wait(where: Path, generation: int, pid: int) -> None:
    deadline = time.monotonic() + LISTENING_SECONDS
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if (where / READY_FILE).read_text() == str(generation):
                return
        if not alive(pid):
            break
        time.sleep(0.01)
    said = (where / LOG_FILE).read_text(errors="replace").strip().splitlines()
    reason = said[-1] if said else "no message"
    raise LabError(f"the endpoints' servers failed to start: {reason}")
