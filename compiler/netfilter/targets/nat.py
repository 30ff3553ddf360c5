"""Targets of the nat table: DNAT, SNAT, MASQUERADE and REDIRECT."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Words, given, options
from compiler.netfilter.target import Next, Target

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class Dnat(Target, frozen=True):
    """The destination becomes `to` (`10.10.1.2:80`).

    `addresses` and `ports` are first and last of each, None where it stays as it is. `plain` is
    false where the range or its flags leave the choice to the kernel in a way not modelled.
    """

    to: str
    addresses: tuple[int, int] | None
    ports: tuple[int, int] | None
    plain: bool

    def apply(self, packet: Passage) -> Next:
        """As `xt_dnat_target_v2` of net/netfilter/xt_nat.c."""
        if not self.plain:
            return packet.undecided(str(self))
        packet.translate(self.addresses, self.ports)
        packet.options += (word for word in self.words if not word.startswith("--to-"))
        return Next.ACCEPT

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Target:  # noqa: ARG003
        """Read the options."""
        found = given(words)
        if "--to-destination" not in found:
            return cls(name, words, "", None, None, plain=False)
        to = found["--to-destination"].value
        addresses, ports_, plain = nat_range(to)
        return cls(name, words, to, addresses, ports_, plain)


class Snat(Target, frozen=True):
    """The source becomes `to`; for MASQUERADE that is an address of the interface it leaves by.

    `random_fully` is about the source port.
    """

    to: str
    random_fully: bool

    def apply(self, packet: Passage) -> Next:
        """As `xt_snat_target_v2` and `masquerade_tg` (net/netfilter/xt_nat.c, xt_MASQUERADE.c)."""
        packet.translate_source(self.to or "masquerade")
        packet.options += (word for word in self.words if not word.startswith("--to-source"))
        return Next.ACCEPT

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Target:  # noqa: ARG003
        """Read the options."""
        found = given(words)
        to = found["--to-source"].value if "--to-source" in found else ""
        return cls(name, words, to, "--random-fully" in found)


def nat_range(printed: str) -> tuple[tuple[int, int] | None, tuple[int, int] | None, bool]:
    """Read a printed range of addresses and ports; the last value is whether it names one only."""
    host, port = printed, ""
    if printed.startswith("["):
        host, _, port = printed[1:].partition("]")
        port = port.removeprefix(":")
    elif printed.count(":") < 2:
        host, _, port = printed.partition(":")
    first, _, last = host.partition("-")
    addresses = None
    if first:
        addresses = (int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last or first)))
    port, slash, _ = port.partition("/")
    low, _, high = port.partition("-")
    ports = (int(low), int(high or low)) if low else None
    plain = not slash and all(pair is None or pair[0] == pair[1] for pair in (addresses, ports))
    return addresses, ports, plain


_FLAGS = (
    ("--random", 0, values.verbatim),
    ("--random-fully", 0, values.verbatim),
    ("--persistent", 0, values.verbatim),
)
DNAT = Extension(options(("--to-destination", 1, values.nat_address), *_FLAGS), Dnat.build)
SNAT = Extension(options(("--to-source", 1, values.nat_address), *_FLAGS), Snat.build)
MASQUERADE = Extension(options(("--to-ports", 1, values.verbatim), *_FLAGS[:2]), Snat.build)
REDIRECT = Extension(options(("--to-ports", 1, values.verbatim), *_FLAGS[:1]), Dnat.build)
