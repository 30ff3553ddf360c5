"""Where a lab keeps its state, and how its parts are named.

Everything that belongs to the lab NAME can be found from the name alone: the directory
`/run/proxyrules/NAME` and the namespaces `proxyrules.NAME.*`. So `down` can clear up after an `up`
that was killed before it wrote anything.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from compiler.family import Family
from compiler.lab.errors import LabError, LabUsageError
from compiler.lab.layout import Layout
from compiler.netfilter.backend import Backend

DEFAULT_NAME = "default"
RUN = Path("/run/proxyrules")

# No dot: it separates the parts of a namespace's name, so that `down a` never touches lab `a.b`.
LAB_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")

# A file name has 255 bytes; a pod's name may have 253 alone.
MAX_MEMBER = 180

STATE_FILE = "state.json"
LISTENERS_FILE = "listeners.json"
READY_FILE = "listening"
LOG_FILE = "server.log"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A lab that is up: its layout, the backend of its rules, and the rules themselves.

    `texts` is the standalone restore text that was loaded last, by family. `made_with` is what the
    command line keeps here for the next change: how the manifests were compiled.
    """

    name: str
    backend: Backend
    layout: Layout
    texts: dict[Family, str]
    made_with: dict[str, Any] = {}


def check_name(name: str) -> None:
    """Raise LabUsageError unless `name` can be a lab's name."""
    if not LAB_NAME.fullmatch(name):
        raise LabUsageError(
            f'"{name}" can\'t be a lab\'s name; use lower-case letters, digits and "-", '
            "at most 40 characters"
        )


def netns_prefix(lab: str) -> str:
    """Return what the names of all of the lab's namespaces begin with."""
    return f"proxyrules.{lab}."


def short(member: str) -> str:
    """Return a member's name, or where it is too long for file names its start and a hash."""
    if len(member) <= MAX_MEMBER:
        return member
    return f"{member[:MAX_MEMBER]}-{hashlib.sha256(member.encode()).hexdigest()[:12]}"


def netns_name(lab: str, member: str) -> str:
    """Return the name of a member's namespace in `/run/netns`."""
    return netns_prefix(lab) + short(member)


def directory(lab: str) -> Path:
    """Return the lab's run directory."""
    return RUN / lab


@contextmanager
def locked(lab: str, *, make: bool = False) -> Iterator[Path]:
    """Lock the lab's run directory for changes by one `up`, `apply` or `down` at a time.

    With `make` the directory is made if it is missing. Raises LabError where another process holds
    the lock, or where the directory is missing.
    """
    where = directory(lab)
    if make:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise _no_lab(lab) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield where
    except BlockingIOError:
        raise LabError(f'another proxyrules is changing the lab "{lab}"; try again') from None
    finally:
        os.close(handle)


def write_state(state: State) -> None:
    """Write the state, whole or not at all."""
    where = directory(state.name) / STATE_FILE
    draft = where.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(state))
    draft.replace(where)


def read_state(lab: str) -> State:
    """Return the state of a lab that is up. Raises LabError where it is not, or is incomplete."""
    check_name(lab)
    where = directory(lab) / STATE_FILE
    try:
        return msgspec.json.decode(where.read_bytes(), type=State)
    except FileNotFoundError:
        if directory(lab).exists():
            raise LabError(
                f'the lab "{lab}" is incomplete; remove it with `proxyrules lab down --name {lab}`'
            ) from None
        raise _no_lab(lab) from None
    except msgspec.MsgspecError as error:
        raise LabError(
            f"{where} was written by another version of proxyrules: {error}; "
            f"remove the lab with `proxyrules lab down --name {lab}`"
        ) from None


def _no_lab(lab: str) -> LabError:
    return LabError(f'there is no lab "{lab}"; make one with `proxyrules lab up`')


def lab_names() -> list[str]:
    """Return the names of the labs that have a run directory, sorted."""
    with suppress(FileNotFoundError):
        return sorted(found.name for found in RUN.iterdir())
    return []


def remove(lab: str) -> None:
    """Remove the run directory, and with the last one the folder of run directories."""
    shutil.rmtree(directory(lab), ignore_errors=True)
    with suppress(OSError):
        RUN.rmdir()
