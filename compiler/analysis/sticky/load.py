"""Who connects when: clients, their addresses, and the times of their connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from random import Random

from compiler.analysis.sticky.errors import StickyError
from compiler.family import IPV4, Family
from compiler.manifests.convert import shorten

# Addresses that no cluster has: for benchmarks (RFC 2544, RFC 5180).
DEFAULT_SOURCES = {IPV4: "198.18.0.0/15", Family.IPV6: "2001:2::/48"}

Connection = tuple[int, int]
"""Jiffies since the beginning, and the client by number."""


@dataclass(frozen=True)
class Load:
    """The clients' addresses, by number, and how often they connect.

    Each client connects `every` so many seconds, the first time at a random moment of the first
    interval; with `exponential` the intervals are random and that long on average. A `trace` has
    the connections themselves (seconds, client).
    """

    addresses: tuple[int, ...]
    family: Family
    every: float = 0.0
    exponential: bool = False
    trace: tuple[tuple[float, int], ...] = ()

    def connections(self, seconds: float, hz: int, random: Random) -> Iterator[Connection]:
        """Give all connections in order of their times. Those in one jiffy are in random order."""
        end = int(seconds * hz)
        if self.trace:
            return ((int(at * hz), client) for at, client in self.trace if at < seconds)
        if self.exponential:
            return self._exponential(end, self.every * hz, random)
        return self._fixed(end, self.every * hz, random)

    def _fixed(self, end: int, every: float, random: Random) -> Iterator[Connection]:
        first = sorted((random.random() * every, one) for one in range(len(self.addresses)))
        begin = 0.0
        while begin < end:
            for offset, client in first:
                if (now := int(begin + offset)) >= end:
                    return
                yield now, client
            begin += every

    def _exponential(self, end: int, every: float, random: Random) -> Iterator[Connection]:
        """Give the connections of all clients together.

        They are one Poisson process, in which each belongs to any client with equal chance.
        """
        count = len(self.addresses)
        draw, chance, rate = random.expovariate, random.random, count / every
        now = draw(rate)
        while now < end:
            yield int(now), int(chance() * count)
            now += draw(rate)


def addresses_in(network: str, count: int | None = None) -> tuple[int, ...]:
    """Return the first addresses of a network, all hosts of it without a count.

    Raises StickyError where it is no network, or has fewer.
    """
    try:
        whole = ip_network(network, strict=False)
    except ValueError:
        message = f"{shorten(network)} is not a network"
        raise StickyError(message, "use one like 10.10.0.0/16, or a file of addresses") from None
    first, last = int(whole.network_address), int(whole.broadcast_address)
    if last - first > 1:
        first, last = first + 1, last - (whole.version == 4)
    have = last - first + 1
    if count is None and have > 1 << 20:
        raise StickyError(f"{network} has {have} addresses", "give --clients as well")
    if count is not None and count > have:
        raise StickyError(
            f"{network} has {have} addresses, not {count}", "give a larger network with --from"
        )
    return tuple(range(first, first + (have if count is None else count)))


def read_addresses(lines: Sequence[str]) -> tuple[int, ...]:
    """Read an address per line; empty lines and what follows `#` are skipped.

    Raises StickyError with the line's number in front.
    """
    found = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            found.append(_address(words[0], number))
    if not found:
        raise StickyError("no address in it", "write one address per line")
    return tuple(dict.fromkeys(found))


def read_trace(lines: Sequence[str]) -> tuple[tuple[int, ...], tuple[tuple[float, int], ...]]:
    """Read `time client` per line: seconds (of any beginning, in order) and an address.

    Returns the clients' addresses and the connections, whose time counts from the first one.
    Raises StickyError with the line's number in front.
    """
    clients: dict[int, int] = {}
    found: list[tuple[float, int]] = []
    begin = previous = None
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        at = _time(words, number)
        if previous is not None and at < previous:
            raise StickyError(f"{number}: {words[0]} is earlier than the line before", "sort it")
        begin, previous = at if begin is None else begin, at
        address = _address(words[1], number)
        found.append((at - begin, clients.setdefault(address, len(clients))))
    if not found:
        raise StickyError("no connection in it", "write lines like `12.5 10.10.0.6`")
    return tuple(clients), tuple(found)


def _time(words: Sequence[str], number: int) -> float:
    if len(words) != 2:
        raise StickyError(f"{number}: expected a time and an address, found {len(words)} words")
    try:
        return float(words[0])
    except ValueError:
        message = f"{number}: {shorten(words[0])} is not a number of seconds"
        raise StickyError(message) from None


def _address(word: str, number: int) -> int:
    try:
        return int(ip_address(word))
    except ValueError:
        raise StickyError(f"{number}: {shorten(word)} is not an IP address") from None


def family_of_addresses(lines: Sequence[str]) -> Family:
    """Return the family of the first address among the words of lines; IPv4 without one."""
    for line in lines:
        for word in line.partition("#")[0].split():
            try:
                return IPV4 if ip_address(word).version == 4 else Family.IPV6
            except ValueError:
                continue
    return IPV4
