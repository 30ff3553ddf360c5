"""What a rule asks of the IP header and the interfaces, before its matches: -s -d -i -o -p -f."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from compiler.netfilter import values

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Network(NamedTuple):
    """Addresses from `low` to `high`, as integers; `printed` is `10.0.0.0/8`.

    `mask` is None but where it has holes (`10.0.0.1/255.0.0.255`): then `low` to `high` is what it
    lies in, and whether an address belongs to it is not decided here.
    """

    printed: str
    low: int
    high: int
    negated: bool
    mask: int | None = None

    @property
    def text(self) -> str:
        """The network with `! ` in front where it is negated."""
        return f"! {self.printed}" if self.negated else self.printed


class Interface(NamedTuple):
    """An interface by its name, or with `+` at the end by the beginning of its name."""

    printed: str
    negated: bool

    @property
    def text(self) -> str:
        """The name with `! ` in front where it is negated."""
        return f"! {self.printed}" if self.negated else self.printed


class Protocol(NamedTuple):
    """A protocol by its name; `number` is None where no table here has it."""

    name: str
    number: int | None
    negated: bool


_NUMBERS = {
    name: int(number) for number, name in values.PROTOCOLS.items() if number.isdigit() and name
}


@lru_cache(maxsize=65536)
def network(printed: str, negated: bool) -> Network:
    """Read a printed address with its prefix or mask."""
    host, _, mask = printed.partition("/")
    try:
        found = ipaddress.ip_network(printed, strict=False)
    except ValueError:
        address = int(ipaddress.ip_address(host))
        ones = int(ipaddress.ip_address(mask))
        bits = 32 if ":" not in host else 128
        return Network(printed, address, address | ((1 << bits) - 1) ^ ones, negated, ones)
    return Network(printed, int(found.network_address), int(found.broadcast_address), negated)


class Header(NamedTuple):
    """All of it, None where a rule does not ask."""

    source: Network | None = None
    destination: Network | None = None
    in_interface: Interface | None = None
    out_interface: Interface | None = None
    protocol: Protocol | None = None
    fragment: str = ""

    def holds(self, packet: Passage) -> bool:
        """As `ip_packet_match` of net/ipv4/netfilter/ip_tables.c."""
        destination, source = self.destination, self.source
        if destination is not None and (packet.destination_in(destination) is destination.negated):
            return False
        if source is not None and packet.source_in(source) is source.negated:
            return False
        protocol = self.protocol
        if protocol is not None and packet.protocol_is(protocol) is protocol.negated:
            return False
        entering, leaving = self.in_interface, self.out_interface
        if entering is not None and packet.enters_by(entering.printed) is entering.negated:
            return False
        if leaving is not None and packet.leaves_by(leaving.printed) is leaving.negated:
            return False
        # the first packet of a connection is whole
        return self.fragment != "-f"

    def words(self) -> list[str]:
        """Return what is asked, as printed."""
        asked = [
            ("-s", self.source and self.source.text),
            ("-d", self.destination and self.destination.text),
            ("-i", self.in_interface and self.in_interface.text),
            ("-o", self.out_interface and self.out_interface.text),
            ("-p", self.protocol and ("! " if self.protocol.negated else "") + self.protocol.name),
        ]
        words = [
            f"! {option} {value[2:]}" if value.startswith("! ") else f"{option} {value}"
            for option, value in asked
            if value
        ]
        return [*words, self.fragment] if self.fragment else words


def header(base: dict[str, str]) -> Header:
    """Make the header from printed options, keyed by their letter (`{"s": "-s 10.0.0.0/8"}`)."""
    return Header(
        _network(base.get("s", "")),
        _network(base.get("d", "")),
        _interface(base.get("i", "")),
        _interface(base.get("o", "")),
        _protocol(base.get("p", "")),
        base.get("f", ""),
    )


def _network(option: str) -> Network | None:
    return network(option.rsplit(" ", 1)[1], option.startswith("!")) if option else None


def _interface(option: str) -> Interface | None:
    return Interface(option.rsplit(" ", 1)[1], option.startswith("!")) if option else None


def _protocol(option: str) -> Protocol | None:
    if not option:
        return None
    name = option.rsplit(" ", 1)[1]
    number = int(name) if name.isdigit() else _NUMBERS.get(name)
    if name == "all":
        number = 0
    return Protocol(name, number, option.startswith("!"))
