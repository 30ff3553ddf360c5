"""Which service port and endpoint a rule is about."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from compiler.analysis.names import Endpoint, Names, Port
from compiler.analysis.rule_names import named_in, port_in
from compiler.kube_rules.chains import FILTER_TOP_LEVEL, NAT_TOP_LEVEL
from compiler.kube_rules.rule_line import GROUPS, RuleLine, chain_group, single_address
from compiler.manifests.address import canonical, family_of
from compiler.proxy.chain_name import chain_names


class Facts(NamedTuple):
    """What a chain or a rule is about; `address` is the destination that a rule asks for."""

    port: Port | None = None
    endpoint: Endpoint | None = None
    address: str = ""


def facts_of(rule: RuleLine, names: Names) -> tuple[Facts, list[str]]:
    """Find what a rule is about, by the hashes of its chains, else by its comment.

    Also returns notes: where the comment names something else than the hash.
    """
    endpoint = names.endpoints.get(rule.target) or names.endpoints.get(rule.chain)
    if endpoint is not None:
        port: Port | None = endpoint.port
    elif chain_group(rule.target) in GROUPS:
        port = names.ports.get(rule.target[-16:])
    else:
        port = names.ports.get(rule.chain[-16:]) if chain_group(rule.chain) in GROUPS else None
    # only the whole node's chains ask for addresses of several kinds
    address = rule.destination if rule.chain in TOP_LEVEL_CHAINS else ""
    notes: list[str] = []
    if port is not None and address and not _has_address(names, port, address):
        notes.append(f"{address} is not an address of {port}")
    if endpoint is not None and rule.chain.startswith("KUBE-SEP-"):
        endpoint = _as_translated(rule, endpoint, notes)
    if "--comment" not in rule.words or (port and _is_named(rule.words, port.name)):
        if endpoint is None and port is not None:
            endpoint = _shown_endpoint(rule, port)
        return Facts(port, endpoint, address), notes
    commented = named_in(rule)
    if port is not None and commented and commented != port.name and "/" in port.name:
        notes.append(f"its comment names {commented}, its chains are of {port.name}")
    if port is None and commented:
        port = _by_name(rule, names)
        notes += _disagreement(rule, port, searched=bool(names.ports))
    if endpoint is None and port is not None:
        endpoint = _shown_endpoint(rule, port)
    return Facts(port, endpoint, address), notes


TOP_LEVEL_CHAINS = frozenset((*NAT_TOP_LEVEL, *FILTER_TOP_LEVEL))


def _has_address(names: Names, port: Port, address: str) -> bool:
    """Say whether an address is a service port's, or is no single address."""
    found = names.addresses.get(canonical(address) if family_of(address) else address, ())
    if any(isinstance(e.of, Port) and e.of[:2] == port[:2] for e in found):
        return True
    # the rule that counts node ports on localhost asks for a network
    return "/" in address or address.startswith("!")


def _as_translated(rule: RuleLine, endpoint: Endpoint, notes: list[str]) -> Endpoint:
    """Return the endpoint that an endpoint's chain has in its rule, which may be another one.

    What a rule does is what it says; where that is not its chain's endpoint, a note says so.
    """
    address = endpoint.address
    if rule.target == "DNAT" and not rule.action.endswith(f" {address}"):
        shown = rule.value("--to-destination")
        if shown and _canonical(shown) != _canonical(address):
            notes.append(f"{rule.chain} is the chain of endpoint {address}")
            return Endpoint(shown, endpoint.port)
    elif rule.target == "KUBE-MARK-MASQ" and f" -s {endpoint.host}" not in rule.words:
        source = single_address(rule.value("-s"))
        if source and _canonical(f"[{source}]:0") != _canonical(f"[{endpoint.host}]:0"):
            notes.append(f"it is for packets from {source}, which is not that endpoint")
    return endpoint


def _canonical(address_port: str) -> str:
    """Write an address and port as kube-proxy prints them, as far as it is one."""
    host, colon, port = address_port.rpartition(":")
    bare = host.strip("[]")
    return f"{canonical(bare)}{colon}{port}" if family_of(bare) else address_port


def _is_named(words: str, name: str) -> bool:
    """Say whether a rule has a name as a word, which its comment then is about."""
    at = words.find(name)
    return at > 0 and words[at - 1] in ' "' and words[at + len(name) : at + len(name) + 1] in ' "'


def _by_name(rule: RuleLine, names: Names) -> Port | None:
    """Return the service port that a comment names, of those that are known if it is one."""
    shown = port_in(rule)
    if shown is None:
        return None
    for protocol in (shown.protocol, "tcp", "udp", "sctp"):
        if hashed := names.hashes.get((shown.name, protocol)):
            return names.ports[hashed]
    return shown


def _disagreement(rule: RuleLine, port: Port | None, *, searched: bool) -> Iterator[str]:
    """Check hashes against a comment: they are computed from the name that it has."""
    if port is None or not port.protocol:
        return
    (hashed,) = chain_names("", [port.name + port.protocol])
    for chain in (rule.chain, rule.target):
        group = chain_group(chain)
        if group in GROUPS and group != "KUBE-SEP" and chain[-16:] != hashed:
            yield f"its comment names {port}, but {chain} is not that service port's chain"
        elif group in GROUPS and searched:
            yield f"{chain} is no chain of what was searched: known by the rule's comment only"


def _shown_endpoint(rule: RuleLine, port: Port) -> Endpoint | None:
    """Return the endpoint that a rule's own words show."""
    address = rule.value("--to-destination") or rule.comment.partition(" -> ")[2]
    if not address and chain_group(rule.chain) == "KUBE-SEP":
        address = single_address(rule.value("-s"))
    return Endpoint(address, port) if address else None


def said(does: str, facts: Facts, rule: RuleLine | None = None) -> str:
    """Fill in what a kind says that rules or chains do."""
    if "{" not in does:
        return does
    wanted, endpoint = _wanted(does), facts.endpoint
    if facts.port is not None:
        does = does.replace("{port}", facts.port.text)
    does = does.replace("{endpoint}", endpoint.address if endpoint else "of an unknown address")
    for name, place, option in wanted:
        value = rule.value(option).removeprefix("! ") if rule is not None else ""
        shown = _share(value) if name == "probability" else single_address(value)
        does = does.replace(place, shown or "any")
    return does


_OPTIONS = {
    "destination": "-d",
    "source": "-s",
    "interface": "-i",
    "dport": "--dport",
    "seconds": "--seconds",
    "probability": "--probability",
}


@cache
def _wanted(does: str) -> tuple[tuple[str, str, str], ...]:
    """Return the values that a text has from its rule: name, place, and the option that has it."""
    places = ((name, f"{{{name}}}", option) for name, option in _OPTIONS.items())
    return tuple(one for one in places if one[1] in does)


@cache
def _share(probability: str) -> str:
    try:
        return f"{float(probability) * 100:.3g} %"
    except ValueError:
        return probability
