"""Names that a text of rules shows: by comments, targets and who jumps to whom.

The rules are looked at as text: of half a million lines only those that name something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.analysis.names import Endpoint, Entry, Names, Port
from compiler.kube_rules.rule_line import RuleLine, chain_group, read_rule_line
from compiler.proxy.chain_name import chain_names

_OF_PORT = re.compile(r"KUBE-(?:SVC|SVL|EXT|FW)-[A-Z2-7]{16}")
_START = r"^[ \t]*(?:\[\d+:\d+\] )?-A "
_TOP = re.compile(
    _START + r"KUBE-(?:SERVICES|NODEPORTS|EXTERNAL-SERVICES|PROXY-FIREWALL) [^\n]*", re.MULTILINE
)
_TRANSLATES = re.compile(
    _START + r"(KUBE-SEP-[A-Z2-7]{16}) [^\n]*--to-destination (\S+)", re.MULTILINE
)
_DISPATCHES = re.compile(
    _START + r"KUBE-SV[CL]-([A-Z2-7]{16}) ([^\n]*)-j (KUBE-SEP-[A-Z2-7]{16})", re.MULTILINE
)
_NAMED = re.compile(
    r"(\S+/\S+) (?:(?P<kind>cluster|external|loadbalancer) IP|has no (?:local )?endpoints"
    r"|health check node port|traffic not accepted by .*)"
)
_OF_ENDPOINT = re.compile(r"(\S+/\S+) -> \S+")
_INSIDE = re.compile(
    r"(?:masquerade|pod|masquerade LOCAL|route LOCAL|other) traffic (?:for|to) (\S+/\S+) .*"
)
_BARE = re.compile(r"[^\s/]+/[^\s/]+")
_KINDS = {
    "cluster": "cluster IP",
    "external": "external IP",
    "loadbalancer": "load-balancer IP",
}


def named_in(rule: RuleLine) -> str:
    """Return the service port that a rule's comment names, empty without one."""
    comment = rule.comment
    for pattern in (_NAMED, _OF_ENDPOINT, _INSIDE):
        if found := pattern.fullmatch(comment):
            return found[1]
    return comment if _BARE.fullmatch(comment) else ""


def port_in(rule: RuleLine) -> Port | None:
    """Return the service port that a rule's comment names, with the protocol that it asks for."""
    name = named_in(rule)
    return Port(name, rule.value("-p")) if name else None


def names_in(text: str) -> Names:
    """Read the names that a text of rules shows."""
    names = Names()
    ports: dict[str, Port] = {}
    for port, rule in _top_level(text):
        if chain_group(rule.target) != rule.target:
            hashed = rule.target[-16:]
        else:  # a rule of filter; its service port has chains elsewhere, or none
            (hashed,) = chain_names("", [port.name + port.protocol])
        ports.setdefault(hashed, port)
        _enter(names, port, rule)
    names.ports = ports
    names.chains = frozenset(_OF_PORT.findall(text))
    names.endpoints = _endpoints(text, ports)
    for endpoint in names.endpoints.values():
        host, _, number = endpoint.address.rpartition(":")
        if number.isdecimal():
            names.add(host.strip("[]"), Entry("endpoint", endpoint, int(number)))
    return names


def _top_level(text: str) -> Iterator[tuple[Port, RuleLine]]:
    for found in _TOP.finditer(text):
        rule = read_rule_line(found[0])
        if rule is not None and (port := port_in(rule)):
            yield port, rule


def _enter(names: Names, port: Port, rule: RuleLine) -> None:
    """Note the address or node port of a top-level rule, once."""
    dport = rule.value("--dport").partition(":")[0]
    number = int(dport) if dport.isdecimal() else 0
    if rule.chain == "KUBE-NODEPORTS" or "--dst-type LOCAL" in rule.words:
        what = "health-check node port" if rule.target == "ACCEPT" else "node port"
        if all(entry.of != port for entry in names.numbers.get(number, ())):
            names.add_number(Entry(what, port, number))
        return
    named = _NAMED.fullmatch(rule.comment)
    what = _KINDS.get(named["kind"] if named and named["kind"] else "", "")
    if not what:
        what = "cluster IP" if rule.chain == "KUBE-SERVICES" else "external address"
    known = names.addresses.get(rule.destination, ())
    if rule.destination and all((one.of, one.number) != (port, number) for one in known):
        names.add(rule.destination, Entry(what, port, number))


def _endpoints(text: str, ports: dict[str, Port]) -> dict[str, Endpoint]:
    """Read the endpoints' chains; a service port that only its own chain names is added."""
    users: dict[str, Port] = {}
    for hashed, words, chain in _DISPATCHES.findall(text):
        if chain not in users:
            if hashed not in ports:
                named = _OF_ENDPOINT.search(words)
                name = named[1].rpartition('"')[2] if named else f"KUBE-SVC-{hashed}"
                ports[hashed] = Port(name, "")
            users[chain] = ports[hashed]
    found = {}
    for chain, address in _TRANSLATES.findall(text):
        port = users.get(chain)
        found[chain] = Endpoint(address, port or Port("no service port of these rules", ""))
    return found
