"""The ways in to service ports, as kube-proxy's top-level chains tell them.

Names come from the comments of these chains, which kube-proxy always writes; those of the service
ports' own chains are missing in large clusters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from compiler.analysis.kube_chains import PORT_PREFIXES, is_service_chain
from compiler.netfilter.canonical import RuleSpec, parse_rule
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
            key = Key(_name_inside(ruleset, name) or name, _protocol_inside(ruleset, name))
            portals.names[port_hash(name)] = key
            portals.ways.setdefault(key, [])
    return portals


def _name_inside(ruleset: Ruleset, chain: str) -> str:
    """Read a service port's name from the comments of its own chains."""
    for rule in ruleset.rules("nat", chain):
        comment = parse_rule(rule, ruleset.family).comment
        for pattern in (
            r"(?:masquerade|pod|masquerade LOCAL|route LOCAL) traffic for (.+) external dest",
            r"(.+) -> [\[\d]",
            r"(.+) (?:cluster|loadbalancer) IP\Z",
        ):
            if found := re.match(pattern, comment):
                return found[1]
    return ""


def _protocol_inside(ruleset: Ruleset, chain: str) -> str:
    """Read a service port's protocol from its own chains, or from those of its endpoints."""
    for rule in ruleset.rules("nat", chain):
        for inner in (rule, *ruleset.rules("nat", rule.target)):
            if protocol := parse_rule(inner, ruleset.family).protocol:
                return protocol.removeprefix("-p ")
    return ""


def _read_nat(portals: Portals, ruleset: Ruleset, rule: Rule) -> None:
    """Read a rule of a top-level chain of nat."""
    if not is_service_chain(rule.target):
        portals.node.setdefault(("nat", rule.chain), []).append(rule)
        return
    spec = parse_rule(rule, ruleset.family)
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
    spec = parse_rule(rule, ruleset.family)
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
