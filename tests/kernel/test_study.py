"""The study that the project started from, step by step, without a cluster."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.cases import FIXTURES
from tests.kernel.box import BACKENDS, Box

pytestmark = [pytest.mark.kernel, pytest.mark.parametrize("backend", BACKENDS)]

SVC = "KUBE-SVC-KBDEBIL6IU6WL7RF"
CHAINS = {
    "webpod1": "KUBE-SEP-TBW2IYJKUCAC7GB3",
    "webpod2": "KUBE-SEP-DOIEFYKPESCDTYCH",
    "webpod3": "KUBE-SEP-K7ALM6KJRBAYOHKX",
}
ADDRESSES = {"webpod1": "10.10.1.2", "webpod2": "10.10.2.2", "webpod3": "10.10.3.3"}

# What `iptables -t nat -S | grep KUBE-SVC-KBDEBIL6IU6WL7RF` printed on the study's node.
LINES = """\
-N KUBE-SVC-KBDEBIL6IU6WL7RF
-A KUBE-SERVICES -d 10.200.1.201/32 -p tcp -m comment --comment "default/svc-clusterip:svc-webport cluster IP" -m tcp --dport 9000 -j KUBE-SVC-KBDEBIL6IU6WL7RF
-A KUBE-SVC-KBDEBIL6IU6WL7RF ! -s 10.10.0.0/16 -d 10.200.1.201/32 -p tcp -m comment --comment "default/svc-clusterip:svc-webport cluster IP" -m tcp --dport 9000 -j KUBE-MARK-MASQ
-A KUBE-SVC-KBDEBIL6IU6WL7RF -m comment --comment "default/svc-clusterip:svc-webport -> 10.10.1.2:80" -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-TBW2IYJKUCAC7GB3 --mask 255.255.255.255 --rsource -j KUBE-SEP-TBW2IYJKUCAC7GB3
-A KUBE-SVC-KBDEBIL6IU6WL7RF -m comment --comment "default/svc-clusterip:svc-webport -> 10.10.2.2:80" -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-DOIEFYKPESCDTYCH --mask 255.255.255.255 --rsource -j KUBE-SEP-DOIEFYKPESCDTYCH
-A KUBE-SVC-KBDEBIL6IU6WL7RF -m comment --comment "default/svc-clusterip:svc-webport -> 10.10.3.3:80" -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-K7ALM6KJRBAYOHKX --mask 255.255.255.255 --rsource -j KUBE-SEP-K7ALM6KJRBAYOHKX
-A KUBE-SVC-KBDEBIL6IU6WL7RF -m comment --comment "default/svc-clusterip:svc-webport -> 10.10.1.2:80" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-TBW2IYJKUCAC7GB3
-A KUBE-SVC-KBDEBIL6IU6WL7RF -m comment --comment "default/svc-clusterip:svc-webport -> 10.10.2.2:80" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-DOIEFYKPESCDTYCH
-A KUBE-SVC-KBDEBIL6IU6WL7RF -m comment --comment "default/svc-clusterip:svc-webport -> 10.10.3.3:80" -j KUBE-SEP-K7ALM6KJRBAYOHKX
""".splitlines()  # noqa: E501 - as they were printed


def study(step: str) -> tuple[Path, ...]:
    """The manifests of a step."""
    return (FIXTURES / f"study-{step}" / "input.yaml",)


def up(box: Box, backend: str, step: str, *options: str) -> None:
    config = FIXTURES / f"study-{step}" / "kube-proxy.yaml"
    node = ("--node", "myk8s-control-plane")
    box("up", *study(step), "--config", config, *node, "--backend", backend, *options)


def printed(box: Box, backend: str) -> list[str]:
    """`iptables -t nat -S | grep KUBE-SVC-…` on the node."""
    out = box("exec", "node", "--", f"iptables-{backend}", "-t", "nat", "-S")
    return [line for line in out.splitlines() if SVC in line]


def test_1_without_affinity_connections_go_to_any_pod(box: Box, backend: str) -> None:
    up(box, backend, "none")
    assert printed(box, backend) == [line for line in LINES if "-m recent" not in line]
    tally = box.tally("svc-clusterip", "--from", "net-pod", count=100)
    # A pod misses out once in 10^17 runs.
    assert sorted(tally) == ["webpod1", "webpod2", "webpod3"]
    assert sum(tally.values()) == 100


@pytest.mark.kernel("conntrack")
def test_2_with_client_ip_affinity_all_go_to_one(box: Box, backend: str) -> None:
    up(box, backend, "none")
    box("apply", *study("clientip"))
    assert printed(box, backend) == LINES

    out = box("request", "svc-clusterip:svc-webport", "--from", "net-pod", "--count", "100")
    found = re.fullmatch(r"100  (webpod[123])\n", out)
    assert found, out
    pod = found[1]

    entries = box("conntrack", "svc-clusterip").splitlines()
    assert len(entries) == 100
    there = r"src=10\.10\.0\.6 dst=10\.200\.1\.201 sport=(\d+) dport=9000"
    back = rf"src={re.escape(ADDRESSES[pod])} dst=10\.10\.0\.6 sport=80 dport=\1"
    assert all(re.search(f"{there} {back}", entry) for entry in entries), entries[0]

    for name, chain in CHAINS.items():
        listed = box("exec", "node", "--", "cat", f"/proc/net/xt_recent/{chain}")
        assert ("src=10.10.0.6 " in listed) == (name == pod)

    pins = box("affinity", "svc-clusterip").splitlines()[1:]
    assert len(pins) == 1
    assert pins[0].split("  ")[0] == "10.10.0.6 (net-pod)"
    assert f"{ADDRESSES[pod]}:80 ({pod})" in pins[0]
    remaining = re.search(r"(\d+) s$", pins[0])
    assert remaining
    assert 10700 < int(remaining[1]) <= 10800


def test_3_thirty_seconds_in_every_rule(box: Box, backend: str) -> None:
    up(box, backend, "clientip")
    box("apply", *study("clientip-30s"))
    assert printed(box, backend) == [
        line.replace("--seconds 10800", "--seconds 30") for line in LINES
    ]


def test_3_a_client_stays_within_the_timeout_and_may_move_after_it(
    box: Box, backend: str, tmp_path: Path
) -> None:
    """The study's 30 seconds as three, and fourteen clients at once instead of many tries."""
    (manifests,) = study("clientip-30s")
    short = tmp_path / "three-seconds.yaml"
    short.write_text(manifests.read_text().replace("timeoutSeconds: 30", "timeoutSeconds: 3"))
    up(box, backend, "clientip-30s", "--clients", "14")
    box("apply", short)
    clients = [f"client-{number}" for number in range(1, 15)]

    def who_answers() -> dict[str, str]:
        return {client: box.answer("svc-clusterip", "--from", client) for client in clients}

    begin = time.monotonic()
    first = who_answers()
    time.sleep(1.3)
    second = who_answers()
    time.sleep(max(0.0, begin + 3.1 - time.monotonic()))
    # More than the timeout since the first request, less since the last: each one counts anew.
    assert who_answers() == second == first
    assert box("affinity").count("expired") == 0
    time.sleep(3.2)
    assert box("affinity").count("expired") == 14
    # All fourteen stay where they are once in 3^14 = 4.8 million runs.
    assert who_answers() != first
