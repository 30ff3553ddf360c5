"""Clients that are pinned to endpoints, as values: what of them changed, and a picture of text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.cli.terminal import short

NOBODY = "No client is pinned to an endpoint."
PINNED, RENEWED, EXPIRED, REMOVED = "pinned", "renewed", "expired", "removed"
# Two readings of one stamp differ by less, in seconds.
_SAME = 0.2
_LEFT = 8
# Names come before bars where there is no room for both.
_LEAST_BAR = 5


@dataclass(frozen=True)
class ClientPin:
    """A client in an endpoint's list, with the names that the lab has for both.

    `remaining` is in seconds, and not above 0 once it has expired.
    """

    client: str
    service_port: str
    endpoint: str
    recent: str
    remaining: float

    @property
    def left(self) -> str:
        """What remains, in words."""
        return f"{self.remaining:.0f} s" if self.remaining > 0 else "expired"


@dataclass(frozen=True)
class ServicePort:
    """A service port with affinity, its timeout in seconds, and its endpoints by their lists."""

    name: str
    family: str
    timeout: int
    endpoints: Mapping[str, str]


@dataclass(frozen=True)
class Pins:
    """All lists at one moment (`at`, of the monotonic clock), in the order of the rules.

    `limit` is how many addresses a list holds, None if that is unknown.
    """

    ports: tuple[ServicePort, ...]
    pins: tuple[ClientPin, ...]
    limit: int | None
    at: float

    @property
    def full(self) -> list[str]:
        """The lists that are full."""
        counts = Counter(pin.recent for pin in self.pins)
        return [name for name, count in counts.items() if count == self.limit]


def events(before: Pins | None, after: Pins) -> list[tuple[str, ClientPin]]:
    """Return what happened between two readings: who was pinned, renewed, expired or removed.

    Without a first reading, everyone who is pinned was pinned. What happened twice in between is
    seen once.
    """
    old = {(pin.client, pin.recent): pin for pin in before.pins} if before else {}
    passed = after.at - before.at if before else 0.0
    found = []
    for pin in after.pins:
        was = old.pop((pin.client, pin.recent), None)
        if was is None or was.remaining <= 0:
            if pin.remaining > 0:
                found.append((PINNED, pin))
        elif pin.remaining <= 0:
            found.append((EXPIRED, pin))
        elif pin.remaining > was.remaining - passed + _SAME:
            found.append((RENEWED, pin))
    return found + [(REMOVED, pin) for pin in old.values() if pin.remaining > 0]


def picture(pins: Pins, width: int, *, blocks: bool) -> Iterator[str]:
    """Give a line per client with a bar of what remains, below its service port."""
    if not pins.pins:
        yield NOBODY
    for port in pins.ports:
        mine = [pin for pin in pins.pins if pin.recent in port.endpoints]
        if not mine:
            continue
        title = f"{port.name} ({port.family}), ClientIP affinity {port.timeout} s"
        yield from textwrap.wrap(title, width, break_on_hyphens=False)
        room = (width - _LEFT - 4) // 2
        clients = min(room, max(len(pin.client) for pin in mine))
        endpoints = min(room, max(len(pin.endpoint) for pin in mine))
        bar = width - clients - endpoints - _LEFT - 6
        for pin in mine:
            part = min(1.0, max(0.0, pin.remaining / port.timeout))
            drawn = ("█" if blocks else "#") * round(part * bar) if bar >= _LEAST_BAR else ""
            names = f"{short(pin.client, clients):{clients}}  {short(pin.endpoint, endpoints)}"
            yield f"{names:{clients + endpoints + 2}}  {pin.left:>{_LEFT}}  {drawn}".rstrip()
    for name in pins.full:
        full = f"the list {name} is full ({pins.limit} addresses)"
        yield from textwrap.wrap(full, width, break_on_hyphens=False)
