"""Which client is pinned to which endpoint: the kernel's `recent` lists.

kube-proxy keeps ClientIP affinity in one `xt_recent` list per endpoint, named like its chain. The
kernel shows a list in `/proc/net/xt_recent/NAME`, in jiffies:

    src=10.10.0.6 ttl: 64 last_seen: 4295139537 oldest_pkt: 1 4295139537

A `--rcheck --seconds N` rule matches while the newest stamp is at most N seconds old
(net/netfilter/xt_recent.c).
"""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.lab.rules import affinity_checks, endpoint_chains

# By way of the calling thread: /proc/net is the main thread's view.
LISTS = Path("/proc/thread-self/net/xt_recent")
TIMER_LIST = Path("/proc/timer_list")
PROC_CONFIG = Path("/proc/config.gz")
BOOT = Path("/boot")
LIMIT = Path("/sys/module/xt_recent/parameters/ip_list_tot")

# The tick rates (CONFIG_HZ) of the architectures that Kubernetes runs on. MIPS and Alpha have some
# that lie too close to these to be distinguished.
TICK_RATES = (100, 200, 250, 300, 500, 1000)

CONFIG_HZ = re.compile(r"^CONFIG_HZ=(\d+)$", re.MULTILINE)
ENTRY = re.compile(r"src=(\S+) ttl: \d+ last_seen: (\d+) ")
JIFFIES = re.compile(r"^jiffies: (\d+)$", re.MULTILINE)

# Jiffies count from five minutes before zero (INITIAL_JIFFIES), so that what can't stand the wrap
# of a 32-bit counter shows it soon after boot.
JIFFIES_AT_BOOT_SECONDS = -300
CALIBRATION_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Clock:
    """The kernel's tick counter at one moment, and its rate in ticks per second."""

    jiffies: int
    rate: int


@dataclass(frozen=True, slots=True)
class Pin:
    """A client pinned to an endpoint (`ADDRESS:PORT`, or its chain's name if that is unknown).

    `recent` is the list's name. `remaining` is in seconds, negative once the pin has expired.
    """

    client: str
    endpoint: str
    recent: str
    remaining: float


@dataclass(frozen=True, slots=True)
class AffinityList:
    """A `recent` list of an endpoint's clients, and its timeout in seconds.

    `endpoint` is as in `Pin`.
    """

    name: str
    endpoint: str
    timeout: int


def read_jiffies() -> int:
    """Return the kernel's tick counter. Raises LabError where the kernel does not show it."""
    try:
        found = JIFFIES.search(TIMER_LIST.read_text())
    except OSError as error:
        raise LabError(f"the kernel's clock can't be read: {error}") from None
    if not found:
        raise LabError(f"{TIMER_LIST} shows no jiffies")
    return int(found[1])


def tick_rate(ticks: float, seconds: float) -> int:
    """Return the tick rate (CONFIG_HZ) that is nearest to what was measured."""
    measured = ticks / seconds
    return min(TICK_RATES, key=lambda rate: abs(rate - measured) / rate)


def configured_rate() -> int | None:
    """Return the tick rate that the running kernel was built with, None if that is unknown."""
    with suppress(OSError):
        return _rate_in(gzip.decompress(PROC_CONFIG.read_bytes()).decode())
    with suppress(OSError):
        return _rate_in((BOOT / f"config-{os.uname().release}").read_text())
    return None


def _rate_in(config: str) -> int | None:
    found = CONFIG_HZ.search(config)
    return int(found[1]) if found else None


def read_clock() -> Clock:
    """Read the tick counter and measure its rate, which user space doesn't see (USER_HZ is 100).

    By the time since boot where that is long enough to distinguish neighbouring rates, else by
    waiting a tenth of a second. Where the counter is hidden (containers hide it), both come from
    the kernel's configuration and the time since boot. Raises LabError without either.
    """
    if not os.access(TIMER_LIST, os.R_OK) and (rate := configured_rate()):
        since = time.clock_gettime(time.CLOCK_MONOTONIC) + JIFFIES_AT_BOOT_SECONDS
        return Clock(round((1 << 32) + rate * since), rate)
    jiffies, now = read_jiffies(), time.clock_gettime(time.CLOCK_MONOTONIC)
    since_start = now + JIFFIES_AT_BOOT_SECONDS
    if abs(since_start) > 60:
        # 64-bit kernels start at the 32-bit value of -300 HZ.
        return Clock(jiffies, tick_rate(jiffies - (1 << 32), since_start))
    time.sleep(CALIBRATION_SECONDS)
    later = time.clock_gettime(time.CLOCK_MONOTONIC)
    ticks = read_jiffies()
    return Clock(ticks, tick_rate(ticks - jiffies, later - now))


def entries(text: str) -> list[tuple[str, int]]:
    """Return (address, jiffies when last seen) for each line of a list in /proc."""
    return [(str(ip_address(match[1])), int(match[2])) for match in ENTRY.finditer(text)]


def read_list(name: str) -> str:
    """Return a `recent` list of the current namespace as the kernel shows it; empty if none."""
    try:
        return (LISTS / name).read_text()
    except FileNotFoundError:
        return ""


def lists(lines: Iterable[str]) -> list[AffinityList]:
    """Return the lists of the rules in `lines` (`iptables -t nat -S`), in their order.

    That order decides where a client is in two lists.
    """
    lines = list(lines)
    chains = endpoint_chains(lines)
    # Under a Local policy an endpoint's list is read in two chains; it is one list.
    unique = {check.recent: check for check in affinity_checks(lines)}
    return [
        AffinityList(name, chains[name].address if name in chains else name, check.seconds)
        for name, check in unique.items()
    ]


def pins(namespace: str, lines: Iterable[str]) -> list[Pin]:
    """Return which clients are pinned where, by the rules in `lines` (see `lists`).

    Lists are read before the clock, so that what remains is never overstated. Raises LabError where
    the kernel doesn't show its clock.
    """
    known = lists(lines)
    with netns.entered(namespace):
        texts = {one.name: read_list(one.name) for one in known}
    clock = read_clock()
    return [
        Pin(
            client,
            one.endpoint,
            one.name,
            one.timeout - (clock.jiffies - seen) / clock.rate,
        )
        for one in known
        for client, seen in entries(texts[one.name])
    ]


def list_limit() -> int | None:
    """Return how many addresses a list holds on this machine (`ip_list_tot`), None if unknown."""
    try:
        return int(LIMIT.read_text())
    except (OSError, ValueError):
        return None
