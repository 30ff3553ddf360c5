"""`-m tcp`, `-m udp`, `-m sctp` and alike: ports and TCP flags. `-m multiport`: lists of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Words, given, options
from compiler.netfilter.match import Match

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage

_PORTS = (
    ("--sport --source-port", 1, values.port, ""),
    ("--dport --destination-port", 1, values.port, ""),
)


class PortMatch(Match, frozen=True):
    """The match of a transport protocol.

    `source_ports` and `destination_ports` are the first and last port, None where any; `flags` is
    the printed `--tcp-flags`; `other` are options that are compared as text.
    """

    source_ports: tuple[int, int] | None
    source_negated: bool
    destination_ports: tuple[int, int] | None
    destination_negated: bool
    flags: str
    other: Words

    def holds(self, packet: Passage) -> bool:
        """As `tcp_mt` and `udp_mt` of net/netfilter/xt_tcpudp.c."""
        if self.source_ports is not None and (
            packet.source_port_in(*self.source_ports) is self.source_negated
        ):
            return False
        if self.destination_ports is not None and (
            packet.destination_port_in(*self.destination_ports) is self.destination_negated
        ):
            return False
        if self.flags and not packet.flags_match(self.flags):
            return False
        return all(packet.assumed(f"-m {self.name} {word}") for word in self.other)

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the options."""
        found = given(words)
        source, destination = found.get("--sport"), found.get("--dport")
        known = ("--sport ", "--dport ", "--tcp-flags ")
        flags = next((word for word in words if "--tcp-flags " in word), "")
        return cls(
            name,
            words,
            port_range(source.value) if source else None,
            bool(source and source.negated),
            port_range(destination.value) if destination else None,
            bool(destination and destination.negated),
            flags,
            tuple(word for word in words if not word.removeprefix("! ").startswith(known)),
        )


class Multiport(Match, frozen=True):
    """Lists of ports: `side` is `--sports`, `--dports` or `--ports` (either side)."""

    side: str
    ranges: tuple[tuple[int, int], ...]
    negated: bool

    def holds(self, packet: Passage) -> bool:
        """As `ports_match_v1` of net/netfilter/xt_multiport.c."""
        found = False
        if self.side in ("--sports", "--ports"):
            found = any(packet.source_port_in(*ports) for ports in self.ranges)
        if self.side in ("--dports", "--ports") and not found:
            found = any(packet.destination_port_in(*ports) for ports in self.ranges)
        return found is not self.negated

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the options; without a list of ports it is kept as text."""
        for side, (value, negated) in given(words).items():
            if side in ("--sports", "--dports", "--ports") and len(words) == 1:
                ranges = tuple(port_range(part) for part in value.split(","))
                return cls(name, words, side, ranges, negated)
        return Match(name, words)


def port_range(printed: str) -> tuple[int, int]:
    """Read a printed port or range (`80`, `80:90`)."""
    low, _, high = printed.partition(":")
    return int(low), int(high or low)


TCP = Extension(
    options(
        *_PORTS,
        ("--tcp-option", 1, values.decimal),
        ("--tcp-flags", 2, values.verbatim),
        ("--syn", 0, values.verbatim),
    ),
    PortMatch.build,
)
TRANSPORT = Extension(options(*_PORTS), PortMatch.build)
MULTIPORT = Extension(
    options(
        ("--sports --source-ports", 1, values.ports),
        ("--dports --destination-ports", 1, values.ports),
        ("--ports", 1, values.ports),
    ),
    Multiport.build,
)
