"""Service ports read back from rules: which addresses lead to which endpoints, and how.

What belongs together is told by jumps. A rule that isn't understood is kept with its service port
(`ServicePort.other`): a difference in it is still a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from compiler.analysis.portals import Key, Portals, Way, read_portals
from compiler.netfilter.canonical import RuleSpec, parse_rule
from compiler.netfilter.rule import Rule, Ruleset


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of a chain: where connections go and which part of the new ones (0 to 1)."""

    address: str
    share: float
    chain: str
    affinity: int | None = None
    hairpin: bool = True
    remembers: bool = False


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What an SVC or SVL chain does: its endpoints, and which of its traffic is masqueraded.

    `masquerade` holds the conditions (`! -s 10.10.0.0/16`), one empty string where it is all.
    """

    endpoints: tuple[Endpoint, ...]
    masquerade: tuple[str, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Share of new connections by endpoint address, to a millionth."""
        shares: dict[str, float] = {}
        for endpoint in self.endpoints:
            shares[endpoint.address] = shares.get(endpoint.address, 0.0) + endpoint.share
        return {address: round(share, 6) for address, share in shares.items()}


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One service port as rules tell it.

    `cluster` is what its SVC chain does, `local` its SVL chain (None without the chain).
    `external` are the steps of its EXT chain in order, as `condition -> what`; `ranges` the
    sources that its FW chain lets in, None without one. `other` are rules not understood.
    """

    key: Key
    ways: tuple[Way, ...]
    cluster: Dispatch | None = None
    local: Dispatch | None = None
    external: tuple[str, ...] = ()
    ranges: tuple[str, ...] | None = None
    other: tuple[str, ...] = ()

    def addresses(self, kind: str) -> tuple[str, ...]:
        """Return the addresses of one kind of way in, in order, each once."""
        return tuple(dict.fromkeys(way.address for way in self.ways if way.kind == kind))


def read_service_ports(ruleset: Ruleset) -> dict[Key, ServicePort]:
    """Read every service port of a ruleset, in byte order of their names."""
    portals = read_portals(ruleset)
    hashes: dict[Key, list[str]] = {}
    for hashed, key in portals.names.items():
        hashes.setdefault(key, []).append(hashed)
    return {
        key: read_service_port(ruleset, portals, key, hashes.get(key, ()))
        for key in sorted(portals.ways)
    }


def read_service_port(
    ruleset: Ruleset, portals: Portals, key: Key, hashes: Iterable[str]
) -> ServicePort:
    """Read one service port's own chains."""
    reader = _PortReader(ruleset)
    for hashed in hashes:
        reader.read(hashed)
    return ServicePort(
        key,
        tuple(portals.ways.get(key, ())),
        reader.dispatch.get("SVC"),
        reader.dispatch.get("SVL"),
        tuple(reader.external),
        tuple(reader.ranges) if reader.ranges is not None else None,
        tuple(reader.other),
    )


class _PortReader:
    """Reads the chains of one service port."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.dispatch: dict[str, Dispatch] = {}
        self.external: list[str] = []
        self.ranges: list[str] | None = None
        self.other: list[str] = []

    def read(self, hashed: str) -> None:
        """Read the chains that end with this hash."""
        for kind in ("SVC", "SVL"):
            if chain := self.ruleset.chain("nat", f"KUBE-{kind}-{hashed}"):
                self.dispatch[kind] = self._dispatch(chain.rules)
        for rule in self.ruleset.rules("nat", f"KUBE-EXT-{hashed}"):
            spec = parse_rule(rule, self.ruleset.family)
            what = "masquerade" if rule.target == "KUBE-MARK-MASQ" else rule.target[:8]
            self.external.append(f"{condition(spec)} -> {what}")
        if chain := self.ruleset.chain("nat", f"KUBE-FW-{hashed}"):
            self.ranges = []
            for rule in chain.rules:
                spec = parse_rule(rule, self.ruleset.family)
                if rule.target == f"KUBE-EXT-{hashed}":
                    self.ranges.append(condition(spec).removeprefix("-s ") or "any")
                elif rule.target or condition(spec):
                    self.other.append(str(rule))

    def _dispatch(self, rules: tuple[Rule, ...]) -> Dispatch:
        """Follow an SVC or SVL chain: the rules take their share of what is left, in order."""
        left = 1.0
        affinity: dict[str, int] = {}
        endpoints: list[Endpoint] = []
        masquerade: list[str] = []
        for rule in rules:
            spec = parse_rule(rule, self.ruleset.family)
            seconds = spec.option("recent", "--seconds")
            if rule.target == "KUBE-MARK-MASQ":
                masquerade.append(condition(spec))
            elif not rule.target.startswith("KUBE-SEP-"):
                self.other.append(str(rule))
            elif spec.option("recent", "--rcheck") is not None and (seconds or "").isdigit():
                affinity[rule.target] = int(seconds or 0)
            elif spec.matches and spec.option("statistic", "--probability") is None:
                self.other.append(str(rule))
            else:
                part = float(spec.option("statistic", "--probability") or 1)
                endpoints.append(
                    self._endpoint(rule.target, left * part, affinity.get(rule.target), spec)
                )
                left -= left * part
        return Dispatch(tuple(endpoints), tuple(masquerade))

    def _endpoint(self, chain: str, share: float, affinity: int | None, jump: RuleSpec) -> Endpoint:
        """Read an endpoint's own chain; its address is where DNAT sends to."""
        address = ""
        hairpin = remembers = False
        for rule in self.ruleset.rules("nat", chain):
            spec = parse_rule(rule, self.ruleset.family)
            if rule.target == "KUBE-MARK-MASQ" and spec.source:
                hairpin = True
            elif rule.target == "DNAT":
                address = spec.target_option("--to-destination") or ""
                remembers = spec.option("recent", "--set") is not None
            else:
                self.other.append(str(rule))
        if not address:
            address = jump.comment.partition(" -> ")[2] or chain
        return Endpoint(address, share, chain, affinity, hairpin, remembers)


def condition(spec: RuleSpec) -> str:
    """Return what a rule asks of the packet beyond the address and port of its Service."""
    asked = [spec.source, spec.in_interface, spec.out_interface]
    asked += [str(match) for match in spec.matches if match.name not in ("tcp", "udp", "sctp")]
    return " ".join(word for word in asked if word)


def bare(spec: RuleSpec) -> str:
    """Write what a rule does to packets: without comments and without nfacct, which only counts."""
    words = [
        spec.source, spec.destination, spec.in_interface, spec.out_interface, spec.protocol,
        spec.fragment, *(str(match) for match in spec.matches if match.name != "nfacct"),
    ]  # fmt: skip
    if spec.target:
        words += [f"{'-g' if spec.goto else '-j'} {spec.target}", *spec.target_options]
    return " ".join(word for word in words if word)
