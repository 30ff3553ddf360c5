"""What is known of the node that packets come to."""

from __future__ import annotations

import ipaddress

import msgspec


class Host(msgspec.Struct, frozen=True):
    """What evaluation has to know of the node.

    `addresses` are its own, None where they are not known (the loopback ones need not be named);
    `elsewhere` are networks that none of them is in, as far as that is known without them. `routes`
    map networks to the interface that leads to them; the longest prefix decides, and
    without one the interface is not known.
    """

    addresses: frozenset[str] | None = None
    routes: tuple[tuple[str, str], ...] = ()
    elsewhere: tuple[str, ...] = ()

    def is_elsewhere(self, address: int, version: int) -> bool:
        """Say whether an address is known not to be one of the node's."""
        networks = map(ipaddress.ip_network, self.elsewhere)
        return any(
            one.version == version
            and int(one.network_address) <= address <= int(one.broadcast_address)
            for one in networks
        )

    def numbers(self) -> frozenset[int] | None:
        """Return its addresses as integers."""
        if self.addresses is None:
            return None
        return frozenset(int(ipaddress.ip_address(address)) for address in self.addresses)

    def interface_to(self, address: int, version: int) -> str | None:
        """Return the interface that packets for an address leave by, None where not known."""
        best: tuple[int, str] | None = None
        for printed, name in self.routes:
            network = ipaddress.ip_network(printed)
            first, last = int(network.network_address), int(network.broadcast_address)
            if network.version == version and first <= address <= last:
                best = max(best or (-1, ""), (network.prefixlen, name))
        return best[1] if best else None
