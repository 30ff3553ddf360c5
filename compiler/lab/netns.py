"""Named network namespaces, as `ip netns` keeps them: made, entered, listed and removed.

A name in `/run/netns` is a file with the namespace mounted over it (ip-netns(8)). Making one takes
four system calls and well under a millisecond here; starting `ip` for each, or forking as
`pyroute2.netns.create` does, takes ten. A large fixture has a thousand of them.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from compiler.lab.errors import NamespaceGoneError

RUN_NETNS = Path("/run/netns")

T = TypeVar("T")

# From <linux/sched.h> and <sys/mount.h>.
CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MS_REC = 16384
MS_SHARED = 1 << 20
MNT_DETACH = 2

# The calling thread's own namespace; /proc/self would be the main thread's.
OWN_NETNS = "/proc/thread-self/ns/net"

# `os.setns` and `os.unshare` came with Python 3.12; 3.11 is supported.
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns -1 on failure.

    Raises OSError with the call's name in its text.
    """
    if getattr(_libc, name)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _share_run_netns() -> None:
    """Make `/run/netns` a shared mount, so that other mount namespaces see names come and go."""
    RUN_NETNS.mkdir(mode=0o755, exist_ok=True)
    where = os.fsencode(RUN_NETNS)
    try:
        _call("mount", b"", where, b"none", MS_SHARED | MS_REC, None)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Not a mount point yet: only a mount can be shared.
        _call("mount", where, where, b"none", MS_BIND | MS_REC, None)
        _call("mount", b"", where, b"none", MS_SHARED | MS_REC, None)


def create(names: Sequence[str]) -> None:
    """Make new namespaces under these names.

    Raises FileExistsError where a name is taken and OSError where the kernel makes none.
    """
    _share_run_netns()
    home = os.open(OWN_NETNS, os.O_RDONLY)
    try:
        for name in names:
            path = RUN_NETNS / name
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
            _call("unshare", CLONE_NEWNET)
            _call("mount", OWN_NETNS.encode(), os.fsencode(path), b"none", MS_BIND, None)
    finally:
        _call("setns", home, CLONE_NEWNET)
        os.close(home)


def delete(name: str) -> None:
    """Remove the name; the kernel frees the namespace when its last process is gone.

    A name without a namespace (its maker was killed between the two) is removed too. A missing one
    is fine.
    """
    path = RUN_NETNS / name
    try:
        _call("umount2", os.fsencode(path), MNT_DETACH)
    except OSError as error:
        # EINVAL: nothing is mounted there.
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    path.unlink(missing_ok=True)


def names(prefix: str) -> list[str]:
    """Return the names in `/run/netns` that begin with `prefix`, sorted."""
    with suppress(FileNotFoundError):
        return sorted(found.name for found in RUN_NETNS.iterdir() if found.name.startswith(prefix))
    return []


@contextmanager
def entered(name: str) -> Iterator[None]:
    """Be inside the namespace: sockets and processes made here belong to it.

    Only the calling thread moves. Raises NamespaceGoneError where there is no such namespace.
    """
    try:
        inside = os.open(RUN_NETNS / name, os.O_RDONLY)
    except FileNotFoundError:
        raise NamespaceGoneError(name) from None
    home = os.open(OWN_NETNS, os.O_RDONLY)
    try:
        try:
            _call("setns", inside, CLONE_NEWNET)
        except OSError as error:
            # A file without a namespace: `delete` is between its two steps.
            if error.errno != errno.EINVAL:
                raise
            raise NamespaceGoneError(name) from None
        try:
            yield
        finally:
            _call("setns", home, CLONE_NEWNET)
    finally:
        os.close(inside)
        os.close(home)


def processes(names: Sequence[str]) -> list[int]:
    """Return the ids of all processes that are in one of these namespaces.

    Looked up in `/proc`, as `ip netns pids` does, so that a process is found whether or not
    anything was recorded about it. A process is where its main thread is. The calling process is
    left out.
    """
    inodes = set()
    for name in names:
        with suppress(FileNotFoundError):
            found = (RUN_NETNS / name).stat()
            inodes.add((found.st_dev, found.st_ino))
    return sorted(pid for pid in _all_processes() if _netns_of(pid) in inodes)


def _all_processes() -> list[int]:
    own = os.getpid()
    found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in found if pid != own]


def _netns_of(pid: int) -> tuple[int, int] | None:
    """Return device and inode of the process's namespace; None where it has just ended."""
    try:
        found = Path(f"/proc/{pid}/ns/net").stat()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return found.st_dev, found.st_ino


def aside(work: Callable[[], T]) -> T:
    """Do work that enters a namespace in a thread of its own, and return its result.

    `lab down` kills the processes whose main thread is in one of the lab's namespaces.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as worker:
        return worker.submit(work).result()
