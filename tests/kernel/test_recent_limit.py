"""The limit of ClientIP affinity: a list holds 100 clients and forgets the oldest."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.lab.affinity import list_limit
from tests.kernel.box import BACKENDS, Box
from tests.kernel.manifests import OPTIONS, endpoint, endpoint_slice, service, write

# On a loaded machine an answer may take longer than a box waits by itself.
PATIENT = ("--timeout", "10")

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("backend", BACKENDS)]


def test_the_101st_client_pushes_the_first_out(box: Box, backend: str, tmp_path: Path) -> None:
    if list_limit() != 100:
        pytest.skip(f"xt_recent was loaded with ip_list_tot={list_limit()} on this machine")
    sticky = service("sticky", ["10.200.1.10"], sessionAffinity="ClientIP")
    old = endpoint("old", "10.10.2.1")
    manifests = write(tmp_path, sticky, endpoint_slice("sticky", [old]))
    box("up", manifests, *OPTIONS, "--backend", backend, "--clients", "150")
    clients = [f"client-{number}" for number in range(1, 151)]
    addresses = {one.addresses[0]: one.name for one in box.state.layout.members}
    for client in clients:
        assert box.answer("sticky", "--from", client, *PATIENT) == "old"

    # All 150 were served by one endpoint within its timeout; the kernel knows of the last 100.
    (chain,) = [one for one in box.state.layout.targets[0].chains if "SEP" in one]
    held = box("exec", "node", "--", "cat", f"/proc/net/xt_recent/{chain}")
    known = [addresses[line.split()[0].removeprefix("src=")] for line in held.splitlines()]
    assert sorted(known) == sorted(clients[50:])
    shown = box.run("affinity", "sticky")
    assert len(shown.out.splitlines()) == 101
    assert f"The list {chain} is full (100 addresses" in shown.err

    # What it means: with a second endpoint there, those who are remembered stay ...
    box(
        "apply",
        write(tmp_path, sticky, endpoint_slice("sticky", [old, endpoint("new", "10.10.2.2")])),
    )
    remembered = {box.answer("sticky", "--from", client, *PATIENT) for client in clients[50:]}
    assert remembered == {"old"}
    # ... and those who were pushed out may move (all fifty stay once in 2^50 runs).
    forgotten = {box.answer("sticky", "--from", client, *PATIENT) for client in clients[:50]}
    assert "new" in forgotten
