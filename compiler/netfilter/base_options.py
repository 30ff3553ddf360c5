"""The options of iptables itself: what a rule asks of headers and interfaces, and its target."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from compiler.netfilter import values
from compiler.netfilter.values import Fix

BASE = MappingProxyType(
    {
        "-s": "s", "--source": "s", "--src": "s", "-d": "d", "--destination": "d", "--dst": "d",
        "-i": "i", "--in-interface": "i", "-o": "o", "--out-interface": "o", "-p": "p",
        "--protocol": "p", "--proto": "p", "-f": "f", "--fragment": "f", "--fragments": "f",
        "-m": "m", "--match": "m", "-j": "j", "--jump": "j", "-g": "g", "--goto": "g",
        "-c": "c", "--set-counters": "c", "-4": "4", "--ipv4": "4", "-6": "6", "--ipv6": "6",
        "-w": "w", "--wait": "w",
    }
)  # fmt: skip
BASE_FIXES: Mapping[str, Fix] = MappingProxyType(
    {
        "s": values.address, "d": values.address, "i": values.interface, "o": values.interface,
        "p": values.protocol,
    }
)  # fmt: skip
