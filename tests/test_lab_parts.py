"""The lab's parts that need no kernel: what is read, what is worked out, what is said."""

from __future__ import annotations

import builtins
import gzip
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from compiler.lab import affinity, request, serving, tracking
from compiler.lab.errors import LabError
from compiler.lab.layout import Member, Role, Target
from compiler.lab.loading import reload_text, tables
from compiler.lab.server import reply
from tests.kernel.manifests import (
    NODE_IP,
    NODE_IP6,
)
from tests.run import Runner

KERNEL_LINES = """\
-A KUBE-SEP-AAAAAAAAAAAAAAAA -s 10.10.2.1/32 -m comment --comment "default/web:main" -j KUBE-MARK-MASQ
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m comment --comment "default/web:main" -m recent --set --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.10.2.1:8080
-A KUBE-SEP-BBBBBBBBBBBBBBBB -p tcp -m recent --set --name KUBE-SEP-BBBBBBBBBBBBBBBB --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination [fd00::1]:80
-A KUBE-SVC-CCCCCCCCCCCCCCCC -m comment --comment "default/web:main -> 10.10.2.1:8080" -m recent --rcheck --seconds 30 --reap --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SVC-CCCCCCCCCCCCCCCC -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-BBBBBBBBBBBBBBBB --mask 255.255.255.255 --rsource -j KUBE-SEP-BBBBBBBBBBBBBBBB
""".splitlines()  # noqa: E501 - as the kernel prints them


def test_affinity_rules_are_read_as_the_kernel_prints_them() -> None:
    assert [(one.recent, one.seconds) for one in affinity.checks(KERNEL_LINES)] == [
        ("KUBE-SEP-AAAAAAAAAAAAAAAA", 30),
        ("KUBE-SEP-BBBBBBBBBBBBBBBB", 10800),
    ]
    assert affinity.endpoints(KERNEL_LINES) == {
        "KUBE-SEP-AAAAAAAAAAAAAAAA": ("10.10.2.1:8080", "default/web:main"),
        "KUBE-SEP-BBBBBBBBBBBBBBBB": ("[fd00::1]:80", ""),
    }


def test_affinity_lists_are_read_in_both_families() -> None:
    text = (
        "src=10.10.0.6 ttl: 63 last_seen: 4295139537 oldest_pkt: 2 4295139500, 4295139537\n"
        "src=fd00:0010:0000:0000:0000:0000:0000:0006 ttl: 0 last_seen: 7 oldest_pkt: 1 7\n"
    )
    assert affinity.entries(text) == [("10.10.0.6", 4295139537), ("fd00:10::6", 7)]


@pytest.mark.parametrize("rate", [100, 250, 300, 1000])
@pytest.mark.parametrize("error", [-0.04, 0, 0.04])
def test_tick_rate_is_the_nearest_that_linux_has(rate: int, error: float) -> None:
    assert affinity.tick_rate(rate * 10 * (1 + error), 10) == rate


@pytest.mark.parametrize("uptime", [10_000.0, 299.0])
def test_clock_is_right_long_after_boot_and_at_its_blind_moment(
    uptime: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five minutes after boot the counter passes 2^32, and time since then says nothing."""
    now = [uptime]
    monkeypatch.setattr(affinity, "TIMER_LIST", Path(__file__))
    monkeypatch.setattr(affinity, "read_jiffies", lambda: int((1 << 32) + 250 * (now[0] - 300)))
    monkeypatch.setattr("time.clock_gettime", lambda _: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    clock = affinity.read_clock()
    assert clock == affinity.Clock(int((1 << 32) + 250 * (now[0] - 300)), 250)


def test_clock_without_the_counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers hide /proc/timer_list; the kernel's configuration is then as good."""
    config = tmp_path / "config.gz"
    config.write_bytes(
        gzip.compress(b"# CONFIG_HZ_100 is not set\nCONFIG_HZ_300=y\nCONFIG_HZ=300\n")
    )
    monkeypatch.setattr(affinity, "TIMER_LIST", tmp_path / "none")
    monkeypatch.setattr(affinity, "PROC_CONFIG", config)
    monkeypatch.setattr("time.clock_gettime", lambda _: 1300.0)
    assert affinity.read_clock() == affinity.Clock((1 << 32) + 300_000, 300)
    monkeypatch.setattr(affinity, "PROC_CONFIG", tmp_path / "none")
    (tmp_path / f"config-{os.uname().release}").write_text("CONFIG_HZ=100\n")
    monkeypatch.setattr(affinity, "BOOT", tmp_path)
    assert affinity.read_clock() == affinity.Clock((1 << 32) + 100_000, 100)
    monkeypatch.setattr(affinity, "BOOT", tmp_path / "none")
    with pytest.raises(LabError, match="the kernel's clock can't be read"):
        affinity.read_clock()


OLD = """\
# remark
*filter
:KUBE-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
-I INPUT -j KUBE-FIREWALL
-I OUTPUT -j KUBE-SERVICES
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-OLD - [0:0]
-A KUBE-SERVICES -j KUBE-SVC-OLD
COMMIT
"""
NEW = """\
*filter
:KUBE-SERVICES - [0:0]
-I FORWARD -j KUBE-SERVICES
-I OUTPUT -j KUBE-SERVICES
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-NEW - [0:0]
-A KUBE-SERVICES -j KUBE-SVC-NEW
COMMIT
"""


def test_reload_text_says_what_comes_and_what_goes() -> None:
    assert reload_text(OLD, NEW) == (
        "*filter\n"
        ":KUBE-SERVICES - [0:0]\n"
        ":KUBE-FIREWALL - [0:0]\n"
        "-D INPUT -j KUBE-FIREWALL\n"
        "-I FORWARD -j KUBE-SERVICES\n"
        "-X KUBE-FIREWALL\n"
        "COMMIT\n"
        "*nat\n"
        ":KUBE-SERVICES - [0:0]\n"
        ":KUBE-SVC-NEW - [0:0]\n"
        ":KUBE-SVC-OLD - [0:0]\n"
        "-A KUBE-SERVICES -j KUBE-SVC-NEW\n"
        "-X KUBE-SVC-OLD\n"
        "COMMIT\n"
    )
    assert tables(OLD)["nat"][-1] == "-A KUBE-SERVICES -j KUBE-SVC-OLD"


TARGET = Target(
    name="default/web:main",
    protocol="TCP",
    family="ipv4",
    port=80,
    cluster_ip="10.200.1.10",
    external_ips=("192.0.2.20",),
    node_port=30080,
)
UDP = Target(name="other/dns", protocol="UDP", family="ipv4", port=53, cluster_ip="10.200.1.11")
NODE = Member(name="node", role=Role.NODE, addresses=(NODE_IP6, NODE_IP))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("web", TARGET),
        ("web:80", TARGET),
        ("web:main", TARGET),
        ("default/web", TARGET),
        ("other/dns", UDP),
        ("other/dns:53", UDP),
    ],
)
def test_a_service_port_is_found_by_name_or_number(wanted: str, found: Target) -> None:
    assert request.pick_target([TARGET, UDP], wanted) == found


@pytest.mark.parametrize("wanted", ["dns", "web:81", "other/web", ""])
def test_one_that_is_not_there_is_told_with_what_is(wanted: str) -> None:
    with pytest.raises(LabError, match=r"there are: default/web:main \(TCP, ipv4\), other/dns"):
        request.pick_target([TARGET, UDP], wanted)


@pytest.mark.parametrize(
    ("via", "where"),
    [
        ("cluster-ip", ("10.200.1.10", 80)),
        ("external-ip", ("192.0.2.20", 80)),
        ("node-port", (NODE_IP, 30080)),
        ("localhost", ("127.0.0.1", 30080)),
    ],
)
def test_every_way_in(via: str, where: tuple[str, int]) -> None:
    assert request.call_for(TARGET, via, NODE) == where


def test_a_way_that_is_not_there_is_told() -> None:
    with pytest.raises(LabError, match="default/web:main has no load-balancer of ipv4"):
        request.call_for(TARGET, "load-balancer", NODE)
    outside = Member(name="outside-1", role=Role.OUTSIDE, addresses=("198.18.0.2",))
    assert request.way_for(TARGET, outside) == "external-ip"
    with pytest.raises(LabError, match="can't be called from outside"):
        request.way_for(UDP, outside)


def test_tally_is_most_first_then_by_name() -> None:
    assert request.tally(["b", "a", "c", "c"]) == [(2, "c"), (1, "a"), (1, "b")]


def test_conntrack_entries_of_a_service() -> None:
    lines = [
        "tcp      6 119 TIME_WAIT src=10.10.0.6 dst=10.200.1.10 sport=1 dport=80 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 [ASSURED] mark=0 use=1",  # noqa: E501
        "tcp      6 119 TIME_WAIT src=10.10.0.6 dst=10.200.1.10 sport=1 dport=81 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 [ASSURED] mark=0 use=1",  # noqa: E501
        "udp      17 29 src=10.10.0.6 dst=10.200.1.10 sport=1 dport=80 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 mark=0 use=1",  # noqa: E501
        f"tcp      6 9 CLOSE src=198.18.0.2 dst={NODE_IP} sport=1 dport=30080 src=10.10.2.1 dst={NODE_IP} sport=8080 dport=1 mark=0 use=1",  # noqa: E501
        "icmp     1 9 src=10.10.0.6 dst=10.200.1.10 type=8 code=0 id=1 src=10.10.2.1 dst=10.10.0.6 type=0 code=0 id=1 mark=0 use=1",  # noqa: E501
    ]
    assert tracking.of_targets(lines, [TARGET], NODE) == [lines[0], lines[3]]


@pytest.mark.parametrize(
    ("asked", "first_line", "has_body"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", True),
        (b"HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", False),
        (b"hello\n", "Hostname: webpod1", True),
        (b"", "Hostname: webpod1", True),
    ],
)
def test_servers_speak_http_and_plain(asked: bytes, first_line: str, has_body: bool) -> None:
    answered = reply(asked, "webpod1", "10.10.0.6").decode()
    assert answered.splitlines()[0] == first_line
    assert answered.endswith("Hostname: webpod1\nClient: 10.10.0.6\n") == has_body


def test_without_root_it_says_so(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for arguments in (("up", "x.yaml"), ("down",), ("status",), ("request", "web")):
        result = proxyrules("lab", *arguments)
        assert result.code == 3, arguments
        assert result.out == ""
        assert result.err == (
            "Error: the lab needs root: it works in network namespaces; try `sudo`\n"
        )


def test_without_pyroute2_it_says_how_to_get_it(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "pyroute2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(builtins, "__import__", without)
    result = proxyrules("lab", "up", "x.yaml")
    assert result.code == 3
    assert result.err == (
        "Error: the lab needs pyroute2, which is not installed; `pip install 'proxyrules[lab]'`\n"
    )


def test_on_another_system_it_says_so(proxyrules: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "the lab needs Linux" in proxyrules("lab", "status").err


def test_bad_manifests_are_told_before_anything_is_made(
    proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    path = tmp_path / "wrong.yaml"
    path.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: Web}\n")
    result = proxyrules("lab", "up", path)
    assert result.code == 2
    assert f"{path}:3:18: Service default/Web: metadata.name" in result.err
    result = proxyrules("lab", "up", path, "--outside", "nowhere")
    assert result.code == 2
    assert "not an IP address: nowhere" in result.err


def test_help_lists_the_commands_in_the_order_of_use(proxyrules: Runner) -> None:
    out = proxyrules("lab", "--help").out
    listed = [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines() if line]
    assert listed == [
        "up", "request", "apply", "rules", "affinity", "conntrack", "exec", "status", "down",
    ]  # fmt: skip
    for command in listed:
        shown = proxyrules("lab", command, "--help")
        assert shown.code == 0
        assert shown.out.startswith(f"Usage: proxyrules lab {command} ")


def test_a_process_that_is_gone_is_not_alive() -> None:
    assert serving.alive(1)
    assert not serving.alive(2**22 + 1)
    assert sys.platform == "linux"
