"""An open UDP socket follows its Service through `lab apply`, as it does with kube-proxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compiler.lab import netns
from compiler.netfilter.backend import Backend
from tests.kernel.box import Box
from tests.kernel.manifests import (
    NODE_IP,
    OPTIONS,
    Object,
    endpoint,
    endpoint_slice,
    service,
    write,
)
from tests.kernel.namespace import PROGRAMS

pytestmark = pytest.mark.kernel("conntrack", *PROGRAMS[Backend.NFT])

CLUSTER_IP, CLUSTER_IP6 = "10.200.1.10", "fd00:200::10"
EXTERNAL_IP, BALANCER_IP, NODE_PORT = "192.0.2.20", "192.0.2.10", 30080

ENTRY_POINTS = [
    ("client-1", CLUSTER_IP, 80),
    ("outside-1", EXTERNAL_IP, 80),
    ("outside-1", BALANCER_IP, 80),
    ("outside-1", NODE_IP, NODE_PORT),
]


def dns(*endpoints: Object, name: str = "dns") -> list[Object]:
    exposed = service(
        name,
        [CLUSTER_IP],
        protocol="UDP",
        node_port=NODE_PORT,
        ingress=[BALANCER_IP],
        externalIPs=[EXTERNAL_IP],
    )
    return [exposed, endpoint_slice(name, endpoints, protocol="UDP")]


@contextmanager
def open_socket(box: Box, member: str, address: str, port: int) -> Iterator[socket.socket]:
    """A socket of a client that it keeps, so that all its packets are one flow."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netns.entered(box.netns(member)):
        opened = socket.socket(family, socket.SOCK_DGRAM)
    with opened:
        # IPv6's neighbour discovery may need its first retry, which comes after a second.
        opened.settimeout(5 if family == socket.AF_INET6 else 1)
        opened.connect((address, port))
        yield opened


def ask(opened: socket.socket) -> str:
    """Send a packet; return the name of the endpoint that answers, or what happened instead."""
    opened.send(b"who are you?")
    try:
        return opened.recv(1000).decode().splitlines()[0].removeprefix("Hostname: ")
    except TimeoutError:
        return "timed out"
    except ConnectionRefusedError:
        return "refused"


def entries(box: Box) -> list[str]:
    return box("exec", "node", "--", "conntrack", "-L", "-p", "udp").splitlines()


@pytest.mark.parametrize(("member", "address", "port"), ENTRY_POINTS)
def test_a_flow_leaves_an_endpoint_that_is_gone(
    box: Box, tmp_path: Path, member: str, address: str, port: int
) -> None:
    old, new = endpoint("old", "10.10.2.1"), endpoint("new", "10.10.2.2")
    box("up", write(tmp_path, *dns(old)), *OPTIONS)
    with open_socket(box, member, address, port) as opened:
        assert ask(opened) == "old"
        # Another endpoint is no reason to move, one that has gone is.
        box("apply", write(tmp_path, *dns(old, new)))
        assert ask(opened) == "old"
        box("apply", write(tmp_path, *dns(new)))
        assert ask(opened) == "new"


@pytest.mark.parametrize(("member", "address", "port"), ENTRY_POINTS)
def test_a_flow_finds_a_service_that_comes_to_have_endpoints(
    box: Box, tmp_path: Path, member: str, address: str, port: int
) -> None:
    """The first packet met no rule, and its untranslated entry would outlive the first rules."""
    other = service("other", ["10.200.1.99"])
    box("up", write(tmp_path, other), *OPTIONS)
    with open_socket(box, member, address, port) as opened:
        assert ask(opened) in {"timed out", "refused"}
        box("apply", write(tmp_path, other, *dns(endpoint("new", "10.10.2.2"))))
        assert ask(opened) == "new"


def test_entries_of_a_service_that_is_gone_go(box: Box, tmp_path: Path) -> None:
    here, other = endpoint("here", "10.10.1.1"), service("other", ["10.200.1.99"])
    box("up", write(tmp_path, other, *dns(here)), *OPTIONS)
    with open_socket(box, "client-1", CLUSTER_IP, 80) as opened:
        assert ask(opened) == "here"
        assert len(entries(box)) == 1
        shown = box.run("apply", "-v", write(tmp_path, other))
        assert entries(box) == []
        assert (
            f"stale UDP entries: conntrack -D -f ipv4 -p udp --orig-dst {CLUSTER_IP} "
            "--orig-port-dst 80\n"
        ) in shown.err


def test_a_flow_stays_with_an_endpoint_that_ends_but_serves(box: Box, tmp_path: Path) -> None:
    """New flows go to ready endpoints; kube-proxy leaves old ones where they are served."""
    old, new = endpoint("old", "10.10.2.1"), endpoint("new", "10.10.2.2")
    ending = endpoint("old", "10.10.2.1", ready=False, serving=True, terminating=True)
    box("up", write(tmp_path, *dns(old)), *OPTIONS)
    with open_socket(box, "client-1", CLUSTER_IP, 80) as opened:
        assert ask(opened) == "old"
        box("apply", write(tmp_path, *dns(ending, new)))
        assert ask(opened) == "old"
        assert box.tally("dns", count=10) == {"new": 10}


def test_ipv6(box: Box, tmp_path: Path) -> None:
    def dual(*endpoints: Object) -> list[Object]:
        slices = endpoint_slice("dns", endpoints, protocol="UDP")
        return [service("dns", [CLUSTER_IP6], protocol="UDP"), slices]

    box("up", write(tmp_path, *dual(endpoint("old", "fd00:10:0:2::1"))), *OPTIONS)
    with open_socket(box, "client-1", CLUSTER_IP6, 80) as opened:
        assert ask(opened) == "old"
        box("apply", write(tmp_path, *dual(endpoint("new", "fd00:10:0:2::2"))))
        assert ask(opened) == "new"


def test_without_conntrack_nothing_changes(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box("up", write(tmp_path, *dns(endpoint("old", "10.10.2.1"))), *OPTIONS)
    state = box.state
    with monkeypatch.context() as patched:
        patched.setattr(
            "shutil.which", lambda name: None if name == "conntrack" else f"/usr/sbin/{name}"
        )
        result = box.run("apply", write(tmp_path, *dns(endpoint("new", "10.10.2.2"))))
    assert result.err.endswith(
        "Error: not installed: conntrack; on Debian, `apt-get install conntrack`\n"
    )
    assert result.code != 0
    assert box.state == state
    assert box.answer("dns") == "old"
