"""Service ports read back from rules: which addresses lead to which endpoints, and how.

Names come from the comments of the top-level chains, which kube-proxy always writes; those of the
service ports' own chains are missing in large clusters, so what belongs together is told by jumps.
A rule that isn't understood is kept with its service port (`ServicePort.other`): a difference in
it is still a difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from compiler.analysis.kube_chains import PORT_PREFIXES, is_service_chain
from compiler.netfilter.canonical import RuleSpec, take_apart
from compiler.netfilter.rule import Rule, Ruleset

_CLUSTER = "cluster IP"
_EXTERNAL = "external IP"
_BALANCER = "load-balancer IP"
_NODE_PORT = "node port"
_HEALTH = "health-check node port"
_PORTAL = re.compile(r"(.+) (cluster|external|loadbalancer) IP\Z", re.DOTALL)
_REFUSED = re.compile(r"(.+) has no (?:local )?endpoints\Z", re.DOTALL)
_HEALTH_CHECK = re.compile(r"(.+) health check node port\Z", re.DOTALL)
_FIREWALL = re.compile(r"(.+) traffic not accepted by KUBE-FW-", re.DOTALL)
_KINDS = {"cluster": _CLUSTER, "external": _EXTERNAL, "loadbalancer": _BALANCER}
_VERDICTS = {"REJECT": "rejected", "DROP": "dropped"}


class Key(NamedTuple):
    """What tells service ports apart: `namespace/name:port` and the lower-case protocol."""

    name: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.name}/{self.protocol}" if self.protocol != "tcp" else self.name


@dataclass(frozen=True, slots=True)
class Way:
    """A way in to a service port: an address or node port and what the top-level rule does.

    `address` is as a user would call it (`10.200.1.10:80`, `[fd00::1]:80`, `30080`); `goes` the
    chain that nat jumps to, or what filter does (`rejected`, `dropped`, `accepted`,
    `firewalled`). `shadowed_by` names the service port whose earlier rule takes the same traffic.
    """

    kind: str
    address: str
    goes: str
    shadowed_by: str = ""


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


@dataclass(slots=True)
class Portals:
    """What the top-level chains tell: ways in and chains by service port, and all other rules.

    `names` maps a service port's hash to its key. `node` are the rules that belong to no service
    port, by table and chain, in order; `rules` those that do. `taken` remembers who was first for
    an address, `by_text` finds a rule's service port (`verify` fills it when it needs it).
    """

    ways: dict[Key, list[Way]] = field(default_factory=dict)
    names: dict[str, Key] = field(default_factory=dict)
    node: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)
    rules: dict[Key, list[tuple[str, Rule]]] = field(default_factory=dict)
    taken: dict[tuple[str, ...], Key] = field(default_factory=dict)
    by_text: dict[tuple[str, str, str], str] = field(default_factory=dict)


def port_hash(chain: str) -> str:
    """Return the hash that a service port's chain ends with."""
    return chain.rsplit("-", 1)[-1]


def read_portals(ruleset: Ruleset) -> Portals:
    """Read the top-level chains of both tables."""
    portals = Portals()
    for chain in ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"):
        for rule in ruleset.rules("nat", chain):
            _read_nat(portals, ruleset, rule)
    for chain in (
        "KUBE-SERVICES",
        "KUBE-EXTERNAL-SERVICES",
        "KUBE-NODEPORTS",
        "KUBE-PROXY-FIREWALL",
        "KUBE-FORWARD",
        "KUBE-FIREWALL",
    ):
        for rule in ruleset.rules("filter", chain):
            _read_filter(portals, ruleset, rule)
    # chains that no portal leads to have a name of their own, so that they are not forgotten
    for name in ruleset.table("nat"):
        if name.startswith(PORT_PREFIXES) and port_hash(name) not in portals.names:
            key = Key(_name_inside(ruleset, name) or name, "")
            portals.names[port_hash(name)] = key
            portals.ways.setdefault(key, [])
    return portals


def _name_inside(ruleset: Ruleset, chain: str) -> str:
    """Read a service port's name from the comments of its own chains."""
    for rule in ruleset.rules("nat", chain):
        comment = take_apart(rule, ruleset.family).comment
        for pattern in (
            r"(?:masquerade|pod|masquerade LOCAL|route LOCAL) traffic for (.+) external dest",
            r"(.+) -> [\[\d]",
            r"(.+) (?:cluster|loadbalancer) IP\Z",
        ):
            if found := re.match(pattern, comment):
                return found[1]
    return ""


def _read_nat(portals: Portals, ruleset: Ruleset, rule: Rule) -> None:
    """Read a rule of a top-level chain of nat."""
    if not is_service_chain(rule.target):
        portals.node.setdefault(("nat", rule.chain), []).append(rule)
        return
    spec = take_apart(rule, ruleset.family)
    protocol = spec.protocol.removeprefix("-p ")
    hashed = port_hash(rule.target)
    if rule.chain == "KUBE-NODEPORTS":
        name, kind = spec.comment, _NODE_PORT
    else:
        found = _PORTAL.match(spec.comment)
        name, kind = (found[1], _KINDS[found[2]]) if found else ("", _CLUSTER)
    key = portals.names.get(hashed) or Key(name or rule.target, protocol)
    portals.names[hashed] = key
    portals.rules.setdefault(key, []).append(("nat", rule))
    counted = any(match.name == "nfacct" for match in spec.matches)
    if rule.chain == "KUBE-NODEPORTS" and counted and spec.destination:
        # the rule that counts localhost node ports does what the next one does
        portals.ways.setdefault(key, [])
        return
    prefix = "KUBE-" + rule.target.split("-")[1] if rule.target.startswith(PORT_PREFIXES) else ""
    _add_way(portals, key, Way(kind, _address(spec), prefix or rule.target), ("nat", rule))


def _read_filter(portals: Portals, ruleset: Ruleset, rule: Rule) -> None:
    """Read a rule of a top-level chain of filter."""
    spec = take_apart(rule, ruleset.family)
    patterns = {
        "KUBE-SERVICES": (_REFUSED, _CLUSTER),
        "KUBE-EXTERNAL-SERVICES": (_REFUSED, "external address"),
        "KUBE-NODEPORTS": (_HEALTH_CHECK, _HEALTH),
        "KUBE-PROXY-FIREWALL": (_FIREWALL, _BALANCER),
    }
    pattern, kind = patterns.get(rule.chain, (None, ""))
    found = pattern.match(spec.comment) if pattern else None
    if not found:
        portals.node.setdefault(("filter", rule.chain), []).append(rule)
        return
    key = Key(found[1], spec.protocol.removeprefix("-p "))
    if rule.chain == "KUBE-NODEPORTS":
        # the health-check port is TCP whatever the service port's protocol is
        same_name = [known for known in portals.ways if known.name == key.name]
        key = key if key in portals.ways or not same_name else same_name[0]
    goes = _VERDICTS.get(rule.target, rule.target)
    if rule.chain == "KUBE-EXTERNAL-SERVICES":
        kind = _kind_of(portals, key, spec)
    elif rule.chain == "KUBE-PROXY-FIREWALL":
        goes = "firewalled"
    elif rule.chain == "KUBE-NODEPORTS":
        goes = "accepted" if rule.target == "ACCEPT" else rule.target
    portals.rules.setdefault(key, []).append(("filter", rule))
    _add_way(portals, key, Way(kind, _address(spec), goes), ("filter", rule))


def _kind_of(portals: Portals, key: Key, spec: RuleSpec) -> str:
    """Tell what an external address is: nat knows it, unless there are no endpoints at all."""
    if not spec.destination:
        return _NODE_PORT
    address = _address(spec)
    for way in portals.ways.get(key, ()):
        if way.address == address:
            return way.kind
    return "external address"


def _address(spec: RuleSpec) -> str:
    """Write where a rule's traffic goes as a user would call it."""
    port = spec.option(IMPLIED_MATCH.get(spec.protocol, "tcp"), "--dport") or ""
    if not spec.destination:
        return port
    host = spec.destination.removeprefix("-d ").removesuffix("/32").removesuffix("/128")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


IMPLIED_MATCH: Mapping[str, str] = {"-p tcp": "tcp", "-p udp": "udp", "-p sctp": "sctp"}


def _add_way(portals: Portals, key: Key, way: Way, place: tuple[str, Rule]) -> None:
    """Add a way in; the first rule of a chain for an address takes all of its traffic."""
    table, rule = place
    first = portals.taken.setdefault((table, rule.chain, way.address, key.protocol), key)
    if first != key:
        way = Way(way.kind, way.address, way.goes, str(first))
    portals.ways.setdefault(key, []).append(way)


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
            spec = take_apart(rule, self.ruleset.family)
            what = "masquerade" if rule.target == "KUBE-MARK-MASQ" else rule.target[:8]
            self.external.append(f"{condition(spec)} -> {what}")
        if chain := self.ruleset.chain("nat", f"KUBE-FW-{hashed}"):
            self.ranges = []
            for rule in chain.rules:
                spec = take_apart(rule, self.ruleset.family)
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
            spec = take_apart(rule, self.ruleset.family)
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

    def _endpoint(
        self, chain: str, share: float, affinity: int | None, jump: RuleSpec
    ) -> Endpoint:
        """Read an endpoint's own chain; its address is where DNAT sends to."""
        address = ""
        hairpin = remembers = False
        for rule in self.ruleset.rules("nat", chain):
            spec = take_apart(rule, self.ruleset.family)
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


def port_rules(ruleset: Ruleset, portals: Portals, key: Key) -> list[tuple[str, Rule]]:
    """Return all rules of a service port with their table: portals first, then its own chains."""
    found = list(portals.rules.get(key, ()))
    hashes = [hashed for hashed, owner in portals.names.items() if owner == key]
    seen: dict[str, None] = {}
    for hashed in hashes:
        for prefix in PORT_PREFIXES:
            for rule in ruleset.rules("nat", prefix + hashed):
                found.append(("nat", rule))
                if rule.target.startswith("KUBE-SEP-"):
                    seen[rule.target] = None
    for chain in seen:
        found += [("nat", rule) for rule in ruleset.rules("nat", chain)]
    return found


def service_names(ruleset: Ruleset, portals: Portals) -> dict[str, Key]:
    """Map every chain of a service port, its endpoints' included, to the service port."""
    names: dict[str, Key] = {}
    for chain in ruleset.table("nat").values():
        if chain.name.startswith(PORT_PREFIXES):
            key = portals.names[port_hash(chain.name)]
            names[chain.name] = key
            for rule in chain.rules:
                if rule.target.startswith("KUBE-SEP-"):
                    names[rule.target] = key
    return names
