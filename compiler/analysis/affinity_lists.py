"""Which clients `xt_recent` lists hold, as somebody says or as the kernel shows them.

Source: net/netfilter/xt_recent.c (`recent_seq_show`, `recent_entry_init`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.table import mentioning

# How many addresses a list holds unless the module was loaded with another ip_list_tot.
LIMIT = 100
_ENTRY = re.compile(
    r"^src=(\S+) ttl: \d+ last_seen: (\d+) oldest_pkt: \d+ ([\d, ]*)$", re.MULTILINE
)

Ages = tuple[float, ...]
"""How long ago stamps were made, in seconds, the youngest first."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A client that an endpoint's list holds: `age` is in seconds."""

    client: str
    endpoint: str
    age: float


@dataclass(frozen=True)
class AffinityLists:
    """Stamps by client and list. `full` are lists that hold as many addresses as they can."""

    stamps: Mapping[str, Mapping[str, Ages]] = field(default_factory=dict)
    full: frozenset[str] = frozenset()
    pushed_out: frozenset[tuple[str, str]] = frozenset()


def lists_of_endpoint(rules: NodeRules, endpoint: str) -> tuple[str, ...]:
    """Return the lists of an endpoint (`10.10.1.2:80`), one for each Service that has it."""
    found: dict[str, None] = {}
    nat = rules.ruleset.table("nat")
    for chain in mentioning(nat, f"--to-destination {endpoint}"):
        if not chain.name.startswith(ENDPOINT_PREFIX):
            continue
        if rules.endpoint_address(chain.name) != endpoint:
            continue
        for rule in chain.rules:
            for match in rule.matches:
                if isinstance(match, Recent) and match.mode == "set":
                    found[match.list_name] = None
    return tuple(found)


def lists_from_pins(rules: NodeRules, pins: Iterable[Pin], limit: int = LIMIT) -> AffinityLists:
    """Return the lists that hold these clients. Raises LookupError for one without a list."""
    by_list: dict[str, dict[str, Ages]] = {}
    for pin in pins:
        names = lists_of_endpoint(rules, pin.endpoint)
        if not names:
            raise LookupError(pin.endpoint)
        for name in names:
            held = by_list.setdefault(name, {})
            held[pin.client] = tuple(sorted((*held.get(pin.client, ()), pin.age)))
    return _limited(by_list, limit)


def lists_from_kernel(
    texts: Mapping[str, str], jiffies: int, rate: int, limit: int = LIMIT
) -> AffinityLists:
    """Return what files of `/proc/net/xt_recent` hold, by the name of the list.

    `jiffies` is the kernel's tick counter at the moment of the copy, `rate` its ticks per second.
    """
    by_list: dict[str, dict[str, Ages]] = {}
    for name, text in texts.items():
        held = by_list.setdefault(name, {})
        for found in _ENTRY.finditer(text):
            stamps = {int(found[2]), *(int(one) for one in found[3].split(",") if one.strip())}
            ages = sorted(max(0.0, (jiffies - stamp) / rate) for stamp in stamps)
            held[str(ipaddress.ip_address(found[1]))] = tuple(ages)
    return _limited(by_list, limit)


def _limited(by_list: Mapping[str, Mapping[str, Ages]], limit: int) -> AffinityLists:
    """Leave out what a list has no room for: the address that was seen longest ago goes first."""
    stamps: dict[str, dict[str, Ages]] = {}
    full: set[str] = set()
    pushed_out: set[tuple[str, str]] = set()
    for name, held in by_list.items():
        youngest = sorted(held, key=lambda client: held[client][0])
        pushed_out.update((name, client) for client in youngest[limit:])
        if len(youngest) >= limit:
            full.add(name)
        for client in youngest[:limit]:
            stamps.setdefault(client, {})[name] = held[client]
    return AffinityLists(stamps, frozenset(full), frozenset(pushed_out))
