"""Handing out addresses and ports, the same ones every time.

The API server and the network plugin pick at random or in turn. Here a name's hash decides, so that
an object keeps what it got when others are added or taken away, and two runs agree. Where two names
have the same hash, modulo the size of the range, the one that asks first keeps it: callers ask in
an order of names, never in that of files, so that a new object moves at most those of equal hash
that come behind it. The share of names that share a hash grows with how full a range is: of n names
in a range of m, one more meets one of the others with a probability of n/m.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from ipaddress import ip_network

from compiler.manifests.address import Network

# So often another hash is tried where a number is taken; then the next free one is looked for.
MAX_HASHES = 16


class ExhaustedError(Exception):
    """A range has nothing left to hand out."""


def digest(name: str) -> int:
    """Return a number that depends on the name alone, evenly spread over 64 bits."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


class Pool:
    """A range of numbers, of which each is handed out once."""

    def __init__(self, first: int, size: int, taken: Iterable[int] = ()) -> None:
        self.first = first
        self.size = size
        self.taken = {number for number in taken if first <= number < first + size}

    def take(self, name: str) -> int:
        """Hand out the number for a name: by its hash, another one where that is taken.

        The other one is that of a hash of its own, not the next: names whose hash that is would
        have to move in their turn. Raises ExhaustedError where none is free.
        """
        if len(self.taken) >= self.size:
            raise ExhaustedError
        offset = digest(name) % self.size
        tries = 0
        while self.first + offset in self.taken:
            tries += 1
            again = tries <= MAX_HASHES
            offset = digest(f"{name} {tries}") % self.size if again else (offset + 1) % self.size
        self.taken.add(self.first + offset)
        return self.first + offset


class AddressPool:
    """A network of which each address is handed out once.

    Left out are the network's own address, the first one (a gateway's), and IPv4's broadcast
    address. Of a large IPv6 network the first 65,536 addresses are used.
    """

    def __init__(self, network: str, taken: Iterable[str] = ()) -> None:
        self.network: Network = ip_network(network, strict=False)
        usable = max(1, min(self.network.num_addresses, 1 << 24) - 3)
        first = int(self.network.network_address) + min(2, self.network.num_addresses - 1)
        if self.network.version == 6:
            usable = min(usable, 1 << 16)
        self._address = type(self.network.network_address)
        numbers = (self._address(one) for one in taken if (":" in one) == (self.version == 6))
        self._pool = Pool(first, usable, (int(number) for number in numbers))

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.network.version

    def take(self, name: str) -> str:
        """Hand out the address for a name. Raises ExhaustedError where none is free."""
        return str(self._address(self._pool.take(name)))
