"""What the lab reads from rules, and from the kernel's affinity lists and clock."""

from __future__ import annotations

import gzip
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from compiler.lab import affinity, netns, rules
from compiler.lab.errors import LabError

KERNEL_LINES = """\
-A KUBE-SEP-AAAAAAAAAAAAAAAA -s 10.10.2.1/32 -m comment --comment "default/web:main" -j KUBE-MARK-MASQ
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m comment --comment "default/web:main" -m recent --set --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.10.2.1:8080
-A KUBE-SEP-BBBBBBBBBBBBBBBB -p tcp -m recent --set --name KUBE-SEP-BBBBBBBBBBBBBBBB --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.10.3.1:80
-A KUBE-SVC-CCCCCCCCCCCCCCCC -m comment --comment "default/web:main -> 10.10.2.1:8080" -m recent --rcheck --seconds 30 --reap --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SVC-CCCCCCCCCCCCCCCC -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-BBBBBBBBBBBBBBBB --mask 255.255.255.255 --rsource -j KUBE-SEP-BBBBBBBBBBBBBBBB
""".splitlines()  # noqa: E501 - as the kernel prints them


def test_affinity_rules_are_read_as_the_kernel_prints_them() -> None:
    assert [(one.recent, one.seconds) for one in rules.affinity_checks(KERNEL_LINES)] == [
        ("KUBE-SEP-AAAAAAAAAAAAAAAA", 30),
        ("KUBE-SEP-BBBBBBBBBBBBBBBB", 10800),
    ]
    first, second = rules.endpoint_chains(KERNEL_LINES).values()
    assert first == rules.EndpointChain(
        "KUBE-SEP-AAAAAAAAAAAAAAAA", "10.10.2.1:8080", "default/web:main"
    )
    assert second == rules.EndpointChain("KUBE-SEP-BBBBBBBBBBBBBBBB", "10.10.3.1:80", "")


def test_the_lines_of_a_service_are_its_chains_and_what_names_it() -> None:
    other = '-A KUBE-SERVICES -m comment --comment "default/web:mainly cluster IP" -j KUBE-SVC-D'
    named = '-A KUBE-SERVICES -m comment --comment "default/web:main has no endpoints" -j REJECT'
    chain = "KUBE-SVC-" + "C" * 16
    mine = f'-A KUBE-SERVICES -m comment --comment "default/web:main cluster IP" -j {chain}'
    lines = [*KERNEL_LINES, other.replace("KUBE-SVC-D", "KUBE-SVC-" + "D" * 16), mine]
    names = {"default/web:main"}
    # a service port's chains are its own, comments or not
    assert rules.lines_of_service_ports(lines, table="nat", chains=(), names=names) == [
        *KERNEL_LINES,
        mine,
    ]
    assert rules.lines_of_service_ports([other, named], table="filter", chains=(), names=names) == [
        named
    ]
    chains = {"KUBE-SEP-BBBBBBBBBBBBBBBB"}
    assert rules.lines_of_service_ports(lines, table="nat", chains=chains, names=()) == [
        line for line in lines if "BBBB" in line
    ]


def test_affinity_lists_are_read_in_both_families() -> None:
    text = (
        "src=10.10.0.6 ttl: 63 last_seen: 4295139537 oldest_pkt: 2 4295139500, 4295139537\n"
        "src=fd00:0010:0000:0000:0000:0000:0000:0006 ttl: 0 last_seen: 7 oldest_pkt: 1 7\n"
    )
    assert affinity.entries(text) == [("10.10.0.6", 4295139537), ("fd00:10::6", 7)]


@pytest.mark.parametrize("rate", [100, 200, 250, 300, 500, 1000])
@pytest.mark.parametrize("error", [-0.04, 0, 0.04])
def test_tick_rate_is_the_nearest_that_linux_has(rate: int, error: float) -> None:
    assert affinity.tick_rate(rate * 10 * (1 + error), 10) == rate


def test_the_nearest_tick_rate_is_nearest_in_proportion() -> None:
    """A clock is off by a share of its rate, so 274 is nearer to 300 than to 250."""
    assert affinity.tick_rate(274, 1) == 300


@pytest.mark.parametrize("rate", [100, 250, 1000])
def test_what_remains_of_a_pin_is_in_seconds_whatever_the_tick_rate(
    rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = (1 << 32) + 5000 * rate
    seen = {"KUBE-SEP-AAAAAAAAAAAAAAAA": now - 12 * rate, "KUBE-SEP-BBBBBBBBBBBBBBBB": now}
    monkeypatch.setattr(netns, "entered", lambda _: nullcontext())
    monkeypatch.setattr(
        affinity, "read_list", lambda name: f"src=10.10.0.6 ttl: 64 last_seen: {seen[name]} x"
    )
    monkeypatch.setattr(affinity, "read_clock", lambda: affinity.Clock(now, rate))
    assert affinity.pins("any", KERNEL_LINES) == [
        affinity.Pin("10.10.0.6", "10.10.2.1:8080", "KUBE-SEP-AAAAAAAAAAAAAAAA", 30 - 12),
        affinity.Pin("10.10.0.6", "10.10.3.1:80", "KUBE-SEP-BBBBBBBBBBBBBBBB", 10800),
    ]


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


def test_reload_text_writes_what_is_new_and_removes_what_is_gone() -> None:
    assert rules.reload_text(OLD, NEW) == (
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
    assert rules.tables(OLD)["nat"][-1] == "-A KUBE-SERVICES -j KUBE-SVC-OLD"
