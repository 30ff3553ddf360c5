"""What `lint` warns of, on a real kernel: each test shows the pain that a rule is about.

`tests/kernel/test_recent_limit.py` has the one of PR102: the 101st client pushes the first out.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path

import pytest

from compiler.questions import lint
from tests.kernel.box import Box, fresh_box
from tests.kernel.manifests import (
    OPTIONS,
    OTHER_NODE,
    THIS_NODE,
    Object,
    endpoint,
    endpoint_slice,
    service,
    write,
)
from tests.run import Runner

# What the rules do to packets is the same over both backends: tests/kernel/test_packets.py.
BACKEND = "nft"
CLUSTER_IP = "10.200.1.10"
NODE_PORT = 30080
TWO = [endpoint("web-1", "10.10.2.1"), endpoint("web-2", "10.10.2.2")]
STICKY: Object = {"sessionAffinity": "ClientIP"}
# On a loaded machine an answer may take longer than a box waits by itself.
PATIENT = ("--timeout", "10")
CLIENTS = [f"client-{number}" for number in range(1, 25)]

pytestmark = pytest.mark.kernel("iptables-nft")


def up(box: Box, manifests: Path, *options: str) -> None:
    box("up", manifests, *OPTIONS, "--backend", BACKEND, *options)


def reported(manifests: Path, rule: str, **options: int) -> list[str]:
    """Return the messages of a rule's findings."""
    report = lint([manifests], select=[rule], **options)  # type: ignore[arg-type]
    return [one.message for one in report.findings]


def affinity(seconds: int) -> Object:
    return {**STICKY, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}


def test_ports_pin_clients_separately(box: Box, tmp_path: Path) -> None:
    """PR101: of 24 clients some have another endpoint on the other port (all same: 2^-24)."""
    web = service("web", [CLUSTER_IP], **STICKY)
    web["spec"]["ports"].append({"name": "more", "port": 81, "protocol": "TCP"})
    pods = endpoint_slice("web", TWO)
    pods["ports"].append({"name": "more", "port": 8081, "protocol": "TCP"})
    manifests = write(tmp_path, web, pods)
    assert reported(manifests, "PR101")
    up(box, manifests, "--clients", str(len(CLIENTS)))
    answers = {
        port: [box.answer(f"web:{port}", "--from", client, *PATIENT) for client in CLIENTS]
        for port in ("main", "more")
    }
    again = [box.answer("web:main", "--from", client, *PATIENT) for client in CLIENTS]
    assert again == answers["main"]
    assert answers["more"] != answers["main"]


def test_nodes_remember_their_own_clients(box: Box, proxyrules: Runner, tmp_path: Path) -> None:
    """PR103: the same clients by two nodes; and all who come with one address share an endpoint."""
    outside = [f"203.0.113.{number}" for number in range(1, 25)]
    options = [word for address in outside for word in ("--outside", address)]
    web = service("web", [CLUSTER_IP], node_port=NODE_PORT, **STICKY)
    manifests = write(tmp_path, web, endpoint_slice("web", TWO))
    assert reported(manifests, "PR103")
    names = [f"outside-{number}" for number in range(2, 26)]
    via = (*PATIENT, "--via", "node-port", "--from")
    with fresh_box(proxyrules) as other:
        seen = []
        for one in (box, other):
            up(one, manifests, *options)
            seen.append([one.answer("web", *via, name) for name in names])
        assert seen[0] != seen[1]
        assert [box.answer("web", *via, name) for name in names] == seen[0]
    # One address is one client, however many are behind it.
    assert len(box.tally("web", *via, names[0], count=30)) == 1


def test_a_short_timeout_and_a_renewed_one(box: Box, tmp_path: Path) -> None:
    """PR104 and PR105: the time runs from the last new connection, and each of them renews it."""
    web = service("web", [CLUSTER_IP], **affinity(2))
    manifests = write(tmp_path, web, endpoint_slice("web", TWO))
    assert reported(manifests, "PR104")
    day = copy.deepcopy(web)
    day["spec"] |= affinity(86400)
    assert reported(write(tmp_path, day, endpoint_slice("web", TWO), name="day.json"), "PR105")
    up(box, manifests, "--clients", str(len(CLIENTS)))
    first = box.answer("web", "--from", "client-1", *PATIENT)
    others = {name: box.answer("web", "--from", name, *PATIENT) for name in CLIENTS[1:]}
    begin = time.monotonic()
    while time.monotonic() - begin < 3:
        assert box.answer("web", "--from", "client-1", *PATIENT) == first
        time.sleep(0.3)
    # Those who made no new connection are dealt an endpoint anew (all the same: 2^-23).
    assert {name: box.answer("web", "--from", name, *PATIENT) for name in CLIENTS[1:]} != others


def test_udp_is_not_spread(box: Box, tmp_path: Path) -> None:
    """PR106: with affinity every source port goes to one endpoint; without, they are spread."""
    slices = endpoint_slice("dns", TWO, protocol="UDP")
    free = service("free", ["10.200.1.11"], protocol="UDP")
    free_slice = endpoint_slice("free", TWO, protocol="UDP")
    dns = service("dns", [CLUSTER_IP], protocol="UDP", **STICKY)
    manifests = write(tmp_path, dns, slices, free, free_slice)
    assert len(reported(manifests, "PR106")) == 1
    up(box, manifests)
    assert len(box.tally("dns", count=40)) == 1
    assert len(box.tally("free", count=40)) == 2


def test_a_local_policy_drops_and_pods_get_through(box: Box, tmp_path: Path) -> None:
    """PR201 and PR203: what the findings name is dropped, and nothing else."""
    web = service("web", [CLUSTER_IP], node_port=NODE_PORT, externalTrafficPolicy="Local")
    inside = service("inside", ["10.200.1.11"], internalTrafficPolicy="Local")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client-1", "namespace": "default"},
        "spec": {"nodeName": THIS_NODE, "containers": [{"name": "main", "image": "client:1"}]},
    }
    objects = [web, endpoint_slice("web", TWO), inside, endpoint_slice("inside", TWO)]
    manifests = write(tmp_path, *objects, pod)
    (external,) = reported(manifests, "PR201")
    assert external == (
        f"node port {NODE_PORT}: dropped on 1 of 2 nodes, which have no endpoint: {THIS_NODE}"
    )
    (internal,) = reported(manifests, "PR203")
    assert f"10.200.1.11 is dropped on nodes without an endpoint: {THIS_NODE}" in internal
    up(box, write(tmp_path, *objects))
    assert box.answer("web", "--via", "node-port", "--from", "outside-1") == "timed out"
    assert box.answer("inside") == "timed out"
    assert box.answer("web", "--via", "node-port", "--from", "client-1") in {"web-1", "web-2"}
    assert box.answer("web") in {"web-1", "web-2"}


def test_a_lone_local_endpoint_gets_all_of_its_node(box: Box, tmp_path: Path) -> None:
    """PR202: on a node with one of four endpoints it gets all, as much as three elsewhere."""
    three = [endpoint(f"there-{number}", f"10.10.2.{number}", OTHER_NODE) for number in (1, 2, 3)]
    slices = endpoint_slice("web", [endpoint("here", "10.10.1.1", THIS_NODE), *three])
    web = service("web", [CLUSTER_IP], node_port=NODE_PORT, externalTrafficPolicy="Local")
    manifests = write(tmp_path, web, slices)
    (message,) = reported(manifests, "PR202")
    assert message.endswith(f"an endpoint gets 50 % on {THIS_NODE}, 16.7 % on {OTHER_NODE}")
    up(box, manifests)
    assert box.tally("web", "--via", "node-port", "--from", "outside-1", count=40) == {"here": 40}


def test_one_endpoint_without_a_hint_disables_all(box: Box, tmp_path: Path) -> None:
    """PR204: traffic leaves the zone until the last endpoint has its hint."""
    ends = [endpoint("near", "10.10.1.1", THIS_NODE), endpoint("far", "10.10.2.1", OTHER_NODE)]
    for zone, one in zip("ab", ends, strict=True):
        one["hints"] = {"forZones": [{"name": zone}]}
    plain = endpoint("new", "10.10.2.2", OTHER_NODE)
    web = service("web", [CLUSTER_IP])

    def manifests(*endpoints: Object) -> Path:
        path = write(tmp_path, web, endpoint_slice("web", endpoints))
        text = path.read_text()
        for zone, name in zip("ab", (THIS_NODE, OTHER_NODE), strict=True):
            labels = f'{{"name": "{name}", "labels": {{"topology.kubernetes.io/zone": "{zone}"}}}}'
            text = text.replace(f'{{"name": "{name}"}}', labels)
        path.write_text(text)
        return path

    path = manifests(*ends, plain)
    (message,) = reported(path, "PR204")
    assert message.startswith("hints for zones are ignored: 10.10.2.2:8080 has none")
    up(box, path)
    # One of three misses out once in 2^35 runs.
    assert set(box.tally("web", count=60)) == {"near", "far", "new"}
    path = manifests(*ends)
    assert not reported(path, "PR204")
    box("apply", path)
    assert box.tally("web", count=40) == {"near": 40}
