"""Making a lab, changing it and removing it, even after an `up` that was killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from compiler.analysis.conntrack import Command
from compiler.family import Family
from compiler.lab import netns, run_directory, serving, tracking, wiring
from compiler.lab.commands import require
from compiler.lab.errors import LabError
from compiler.lab.interrupt import held_back
from compiler.lab.layout import Layout
from compiler.lab.loading import load, require_backend
from compiler.lab.run_directory import State, directory, netns_name, netns_prefix

KILL_SECONDS = 5.0


def require_root() -> None:
    """Raise LabError unless this is Linux and root, without which there are no namespaces."""
    if not sys.platform.startswith("linux"):
        raise LabError("the lab needs Linux, since it is made of network namespaces")
    if os.geteuid() != 0:
        raise LabError("the lab needs root to make network namespaces; try `sudo`")


def require_rights() -> None:
    """Raise LabError unless namespaces can be made and wired: it needs root and pyroute2."""
    require_root()
    wiring.netlink().close()


def up(state: State) -> State:
    """Make the lab that `state` describes, and load its rules.

    Whatever goes wrong, nothing of it stays. Raises LabError where the name is taken, where the
    machine lacks something, or where the kernel rejects the rules.
    """
    name = state.name
    run_directory.check_name(name)
    require_rights()
    require_backend(state.backend, state.texts)
    with run_directory.locked(name, make=True) as where:
        if any(where.iterdir()) or netns.names(netns_prefix(name)):
            # Complete or not: read_state raises where it is not.
            run_directory.read_state(name)
            raise LabError(
                f'the lab "{name}" is up; change it with `proxyrules lab apply --name {name}`, '
                f"or remove it with `proxyrules lab down --name {name}`"
            )
        with held_back() as look:
            try:
                _make(state, look)
                look()
            except BaseException:
                _clear(name)
                raise
    return state


def _make(state: State, look: Callable[[], None]) -> None:
    name, layout = state.name, state.layout
    netns.create([netns_name(name, member.name) for member in layout.members])
    wiring.build_node(name, layout)
    wiring.attach(name, layout, layout.members[1:], look)
    for family, text in state.texts.items():
        load(netns_name(name, layout.node.name), family, state.backend, text, noflush=False)
    serving.start(name, netns_name(name, layout.node.name), layout.listeners)
    run_directory.write_state(state)


def change(old: State, new: State, loads: Mapping[Family, str]) -> list[Command]:
    """Turn a lab that is up into another: load the difference, then add and remove members.

    `loads` is the text for `--noflush` by family. Connections and affinity lists stay in the
    kernel, but for the UDP entries that kube-proxy deletes; the commands for that are returned.
    Raises LabError where the kernel rejects the rules, where the node itself would change or where
    a command is missing; nothing has changed then.
    """
    require_rights()
    layout = new.layout
    if (layout.node, layout.interfaces) != (old.layout.node, old.layout.interfaces):
        raise LabError(
            "the node's addresses or interfaces would change; "
            "use `proxyrules lab down`, then `lab up`"
        )
    stale = tracking.stale_entry_commands(old.layout, layout)
    if stale:
        require("conntrack")
    with run_directory.locked(old.name), held_back():
        node = netns_name(old.name, layout.node.name)
        for family, text in loads.items():
            if text:
                load(node, family, old.backend, text, noflush=True)
        # After the rules, as kube-proxy does: an entry made in between must not be stale again.
        tracking.delete_entries(node, stale)
        _change_members(old.name, old.layout, layout)
        run_directory.write_state(new)
    return stale


def _change_members(name: str, old: Layout, layout: Layout) -> None:
    node = netns_name(name, layout.node.name)
    gone = [member for member in old.members if member not in layout.members]
    new = [member for member in layout.members if member not in old.members]
    closed = {member.name for member in gone}
    # A namespace lives as long as a socket in it: close before deleting.
    kept = [one for one in old.listeners if one in layout.listeners and one.member not in closed]
    if len(kept) < len(old.listeners):
        serving.listen(name, node, kept)
    if gone:
        wiring.detach(name, old, gone)
        for member in gone:
            netns.delete(netns_name(name, member.name))
    if new:
        netns.create([netns_name(name, member.name) for member in new])
        wiring.attach(name, layout, new)
    if len(layout.listeners) > len(kept):
        serving.listen(name, node, layout.listeners)


def down(name: str) -> bool:
    """Remove a lab, complete or not; return whether there was anything of it.

    Processes are found by the namespaces that they are in, and namespaces by their names: nothing
    that `up` wrote is needed.
    """
    run_directory.check_name(name)
    require_root()
    if not directory(name).exists() and not netns.names(netns_prefix(name)):
        return False
    with run_directory.locked(name, make=True):
        _clear(name)
    return True


def _clear(name: str) -> None:
    spaces = netns.names(netns_prefix(name))
    _end(netns.processes(spaces))
    for space in spaces:
        netns.delete(space)
    run_directory.remove(name)


def _end(processes: Iterable[int]) -> None:
    """Kill processes and wait until they are gone (a dead child of ours counts as gone)."""
    left = list(processes)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if serving.alive(pid)]
        time.sleep(0.01)
    if left:
        pids = ", ".join(map(str, left))
        raise LabError(f"processes of the lab are still running after SIGKILL: {pids}")
