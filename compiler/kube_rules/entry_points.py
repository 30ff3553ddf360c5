"""The entry points of service ports, as kube-proxy's top-level chains have them.

Names come from the comments of these chains, which kube-proxy always writes; those of the service
ports' own chains are missing in large clusters. Sources: kubernetes
`pkg/proxy/iptables/proxier.go`, `syncProxyRules` (the comments), `writeServiceToEndpointRules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from compiler.kube_rules.chains import (
    FILTER_TOP_LEVEL,
    NAT_TOP_LEVEL,
    PORT_PREFIXES,
    is_service_chain,
    port_hash,
)
from compiler.kube_rules.service_port import EntryPoint, Key, Kind
from compiler.netfilter.matches.inert import Accounting
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.target import Reject

_PORTAL = re.compile(r"(.+) (cluster|external|loadbalancer) IP\Z", re.DOTALL)
_REFUSED = re.compile(r"(.+) has no (?:local )?endpoints\Z", re.DOTALL)
_HEALTH_CHECK = re.compile(r"(.+) health check node port\Z", re.DOTALL)
_FIREWALL = re.compile(r"(.+) traffic not accepted by KUBE-FW-", re.DOTALL)
_INSIDE = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(?:masquerade|pod|masquerade LOCAL|route LOCAL) traffic for (.+) external dest",
        r"(.+) -> [\[\d]",
        r"(.+) (?:cluster|loadbalancer) IP\Z",
    )
)
_KINDS: dict[str, Kind] = {
    "cluster": "cluster IP",
    "external": "external IP",
    "loadbalancer": "load-balancer IP",
}
_FILTER_KINDS: dict[str, tuple[re.Pattern[str], Kind]] = {
    "KUBE-SERVICES": (_REFUSED, "cluster IP"),
    "KUBE-EXTERNAL-SERVICES": (_REFUSED, "external address"),
    "KUBE-NODEPORTS": (_HEALTH_CHECK, "health-check node port"),
    "KUBE-PROXY-FIREWALL": (_FIREWALL, "load-balancer IP"),
}


class Located(NamedTuple):
    """A rule with the table that it is in."""

    table: str
    rule: Rule

    def __str__(self) -> str:
        return f"{self.table}: {self.rule}"


@dataclass(slots=True)
class TopLevel:
    """What the top-level chains hold: by service port, and the rules that belong to none.

    `names` maps the hash that a service port's chains end with to its key. `rules` are the rules of
    each service port, `entry_points` what they are; `node` are all others, by table and chain, in
    order.
    """

    names: dict[str, Key] = field(default_factory=dict)
    rules: dict[Key, list[Located]] = field(default_factory=dict)
    entry_points: dict[Key, list[EntryPoint]] = field(default_factory=dict)
    node: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)


def read_top_level(ruleset: Ruleset) -> TopLevel:
    """Read the top-level chains of both tables, and no others."""
    reader = _Reader(ruleset)
    for chain in NAT_TOP_LEVEL:
        for rule in ruleset.rules("nat", chain):
            reader.read_nat(rule)
    for chain in FILTER_TOP_LEVEL:
        for rule in ruleset.rules("filter", chain):
            reader.read_filter(rule)
    reader.read_unreached()
    return reader.found


class _Reader:
    """Reads the rules one by one; `taken` remembers which service port was first for an address."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.found = TopLevel()
        self.taken: dict[tuple[str, str, str, str], Key] = {}
        self.by_name: dict[str, Key] = {}

    def read_nat(self, rule: Rule) -> None:
        """Read a rule of a top-level chain of nat."""
        target = rule.jumps_to
        if not is_service_chain(target):
            self.found.node.setdefault(("nat", rule.chain), []).append(rule)
            return
        name, kind = _named(rule)
        hashed = port_hash(target)
        key = self.found.names.get(hashed) or Key(name or target, protocol_of(rule))
        self._own(key, Located("nat", rule), hashed)
        if rule.chain == "KUBE-NODEPORTS" and counts_only(rule):
            # the rule that counts localhost node ports does what the next one does
            return
        prefix = next((one[:-1] for one in PORT_PREFIXES if target.startswith(one)), target)
        self._enter(key, EntryPoint(kind, address_of(rule), prefix), Located("nat", rule))

    def read_filter(self, rule: Rule) -> None:
        """Read a rule of a top-level chain of filter."""
        kind: Kind = "cluster IP"
        named = None
        if rule.chain in _FILTER_KINDS:
            pattern, kind = _FILTER_KINDS[rule.chain]
            named = pattern.match(rule.comment)
        if named is None:
            self.found.node.setdefault(("filter", rule.chain), []).append(rule)
            return
        key = Key(named[1], protocol_of(rule))
        verdict = _verdict(rule)
        if rule.chain == "KUBE-NODEPORTS":
            # the health-check port is TCP whatever the service port's protocol is
            key = key if key in self.found.rules else self.by_name.get(key.name, key)
        elif rule.chain == "KUBE-EXTERNAL-SERVICES":
            kind = self._kind_of(key, rule)
        elif rule.chain == "KUBE-PROXY-FIREWALL":
            verdict = "firewalled"
        located = Located("filter", rule)
        self._own(key, located)
        self._enter(key, EntryPoint(kind, address_of(rule), verdict), located)

    def read_unreached(self) -> None:
        """Name the chains of service ports that no top-level rule leads to: they count, too."""
        for name in self.ruleset.table("nat"):
            if name.startswith(PORT_PREFIXES) and port_hash(name) not in self.found.names:
                key = Key(self._name_inside(name) or name, self._protocol_inside(name))
                self.found.names[port_hash(name)] = key
                self.found.rules.setdefault(key, [])
                self.found.entry_points.setdefault(key, [])

    def _own(self, key: Key, located: Located, hashed: str = "") -> None:
        if hashed:
            self.found.names[hashed] = key
        self.by_name.setdefault(key.name, key)
        self.found.rules.setdefault(key, []).append(located)
        self.found.entry_points.setdefault(key, [])

    def _enter(self, key: Key, entry: EntryPoint, located: Located) -> None:
        """Add an entry point; the first rule of a chain for an address takes all of its traffic."""
        place = (located.table, located.rule.chain, entry.address, key.protocol)
        first = self.taken.setdefault(place, key)
        if first != key:
            entry = replace(entry, shadowed_by=str(first))
        self.found.entry_points[key].append(entry)

    def _kind_of(self, key: Key, rule: Rule) -> Kind:
        """Name what an external address is: nat has it, unless there are no endpoints at all."""
        if rule.header.destination is None:
            return "node port"
        address = address_of(rule)
        for entry in self.found.entry_points.get(key, ()):
            if entry.address == address:
                return entry.kind
        return "external address"

    def _name_inside(self, chain: str) -> str:
        """Read a service port's name from the comments of its own chains."""
        for rule in self.ruleset.rules("nat", chain):
            for pattern in _INSIDE:
                if named := pattern.match(rule.comment):
                    return named[1]
        return ""

    def _protocol_inside(self, chain: str) -> str:
        """Read a service port's protocol from its own chains, or from those of its endpoints."""
        for rule in self.ruleset.rules("nat", chain):
            for inner in (rule, *self.ruleset.rules("nat", rule.jumps_to)):
                if protocol := protocol_of(inner):
                    return protocol
        return ""


def key_of(rule: Rule) -> Key:
    """Return the service port that the first rule of nat's top-level chains for its chain names."""
    return Key(_named(rule)[0] or rule.jumps_to, protocol_of(rule))


def _named(rule: Rule) -> tuple[str, Kind]:
    """Read the comment of a rule that jumps to a service port's chain."""
    if rule.chain == "KUBE-NODEPORTS":
        return rule.comment, "node port"
    portal = _PORTAL.match(rule.comment)
    return (portal[1], _KINDS[portal[2]]) if portal else ("", "cluster IP")


def protocol_of(rule: Rule) -> str:
    """Return the protocol that a rule asks for, empty where it asks for none."""
    return rule.header.protocol.name if rule.header.protocol else ""


def counts_only(rule: Rule) -> bool:
    """Say whether a rule of KUBE-NODEPORTS is there for its counter alone.

    kube-proxy writes it before the rule of a node port, with the same target, to count what comes
    to 127.0.0.0/8 (`writeServiceToEndpointRules`, localhost node ports).
    """
    counted = any(isinstance(match, Accounting) for match in rule.matches)
    return counted and rule.chain == "KUBE-NODEPORTS" and rule.header.destination is not None


def address_of(rule: Rule) -> str:
    """Write where a rule's traffic goes as a user would: `10.0.0.1:80`, `[fd00::1]:80`, `30080`."""
    port = next((_port(match) for match in rule.matches if isinstance(match, PortMatch)), "")
    destination = rule.header.destination
    if destination is None:
        return port
    host = destination.text.removesuffix("/32" if rule.family == "ipv4" else "/128")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port(match: PortMatch) -> str:
    if match.destination_ports is None:
        return ""
    low, high = match.destination_ports
    ports = str(low) if low == high else f"{low}:{high}"
    return f"! {ports}" if match.destination_negated else ports


def _verdict(rule: Rule) -> str:
    """Name what a rule of filter does."""
    target = rule.target
    if target is None:
        return "nothing"
    if isinstance(target, Reject):
        return "rejected"
    return {"DROP": "dropped", "ACCEPT": "accepted"}.get(target.name, target.name)
