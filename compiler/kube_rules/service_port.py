"""What rules say of one service port, as values: entry points, endpoints, shares, conditions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from compiler.netfilter.header import Header, Interface, Network
from compiler.netfilter.match import Match
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.rule import Rule

Kind = Literal[
    "cluster IP",
    "external IP",
    "load-balancer IP",
    "external address",
    "node port",
    "health-check node port",
]


class Key(NamedTuple):
    """What tells service ports apart: `namespace/name:port` and the lower-case protocol."""

    name: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.name}/{self.protocol}" if self.protocol != "tcp" else self.name


class Condition(NamedTuple):
    """What a rule asks of a packet beyond the address and port of its Service.

    All None and empty for a rule that takes all of its chain's packets; its text is then empty.
    """

    source: Network | None = None
    in_interface: Interface | None = None
    out_interface: Interface | None = None
    matches: tuple[Match, ...] = ()

    def __str__(self) -> str:
        header = Header(
            source=self.source, in_interface=self.in_interface, out_interface=self.out_interface
        )
        return " ".join([*header.words(), *map(str, self.matches)])


def condition(rule: Rule) -> Condition:
    """Return what a rule asks beyond destination, protocol and ports."""
    header = rule.header
    matches = tuple(match for match in rule.asking if not isinstance(match, PortMatch))
    return Condition(header.source, header.in_interface, header.out_interface, matches)


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """An address or node port of a service port, and what its top-level rule does.

    `address` is as a user would write it (`10.200.1.10:80`, `[fd00::1]:80`, `30080`). `verdict` is
    the kind of chain that nat jumps to (`KUBE-SVC`, `KUBE-SVL`, `KUBE-EXT`, `KUBE-FW`), or what
    filter does: `rejected`, `dropped`, `accepted` (health checks) or `firewalled` (dropped where
    the source is in none of its source ranges). `shadowed_by` names the service port whose earlier
    rule takes the same traffic.
    """

    kind: Kind
    address: str
    verdict: str
    shadowed_by: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of an SVC or SVL chain.

    `address` is where its chain translates to (`10.10.1.2:80`), `chain` its chain, `share` its part
    of new connections, exactly as the kernel's 31-bit thresholds give it. `affinity` are the
    seconds for which the chain sends returning clients back (None without), `remembers` is whether
    its chain keeps the client for that. `hairpin` is whether its connections to itself are
    masqueraded.
    """

    address: str
    share: Fraction
    chain: str
    affinity: int | None = None
    hairpin: bool = True
    remembers: bool = False


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What an SVC or SVL chain does: its endpoints, and which of its traffic is masqueraded."""

    endpoints: tuple[Endpoint, ...]
    masquerade: tuple[Condition, ...] = ()

    @property
    def shares(self) -> dict[str, Fraction]:
        """Share of new connections by endpoint address, in the order of the rules."""
        shares: dict[str, Fraction] = {}
        for endpoint in self.endpoints:
            shares[endpoint.address] = shares.get(endpoint.address, Fraction(0)) + endpoint.share
        return shares


@dataclass(frozen=True, slots=True)
class ExternalStep:
    """A rule of an EXT chain: which packets, and what happens to them.

    `action` is `masquerade`, or the kind of chain they go to (`KUBE-SVC`, `KUBE-SVL`).
    """

    condition: Condition
    action: str

    def __str__(self) -> str:
        return f"{self.condition} -> {self.action}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One service port as rules describe it.

    `cluster` is what its SVC chain does, `local` its SVL chain (None without the chain). `external`
    are the rules of its EXT chain in order, `source_ranges` the sources that its FW chain lets in
    (None without one). `other` are rules that fit none of these: a difference in them is still a
    difference.
    """

    key: Key
    entry_points: tuple[EntryPoint, ...]
    cluster: Dispatch | None = None
    local: Dispatch | None = None
    external: tuple[ExternalStep, ...] = ()
    source_ranges: tuple[Condition, ...] | None = None
    other: tuple[Rule, ...] = ()

    def addresses(self, kind: Kind) -> tuple[str, ...]:
        """Return the addresses of one kind of entry point, in order, each once."""
        return tuple(
            dict.fromkeys(entry.address for entry in self.entry_points if entry.kind == kind)
        )
