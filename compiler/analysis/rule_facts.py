"""Which service port and endpoint a rule is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.analysis.names import Endpoint, Names, Port
from compiler.analysis.rule_names import named_in, port_in
from compiler.kube_rules.rule_line import GROUPS, RuleLine, chain_group, single_address
from compiler.proxy.chain_name import chain_names


@dataclass(frozen=True, slots=True)
class Facts:
    """What a chain or a rule is about; `address` is the destination that a rule asks for."""

    port: Port | None = None
    endpoint: Endpoint | None = None
    address: str = ""


def facts_of(rule: RuleLine, names: Names) -> tuple[Facts, list[str]]:
    """Find what a rule is about, by the hashes of its chains, else by its comment.

    Also returns notes: where the comment names something else than the hash.
    """
    port = endpoint = None
    for chain in (rule.target, rule.chain):
        if found := names.endpoints.get(chain):
            endpoint, port = found, found.port
        elif chain_group(chain) in GROUPS and (known := names.ports.get(chain[-16:])):
            port = known
    notes = []
    commented = named_in(rule)
    if port is not None and commented and commented != port.name and "/" in port.name:
        notes.append(f"its comment names {commented}, its chains are of {port.name}")
    if port is None and commented:
        port = _by_name(rule, names)
        notes += _disagreement(rule, port, searched=bool(names.ports))
    if endpoint is None and port is not None:
        endpoint = _shown_endpoint(rule, port)
    return Facts(port, endpoint, rule.destination), notes


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
    address = rule.options.get("--to-destination") or rule.comment.partition(" -> ")[2]
    if not address and chain_group(rule.chain) == "KUBE-SEP":
        address = single_address(rule.options.get("-s", ""))
    return Endpoint(address, port) if address else None


def said(does: str, facts: Facts, rule: RuleLine | None = None) -> str:
    """Fill in what a kind says that rules or chains do."""
    if "{" not in does:
        return does
    options = rule.options if rule is not None else {}
    share = options.get("--probability", "")
    return does.format(
        port=facts.port or "",
        endpoint=facts.endpoint.address if facts.endpoint else "of an unknown address",
        destination=rule.destination if rule is not None else "",
        source=single_address(options.get("-s", "").removeprefix("! ")),
        interface=options.get("-i", "").removeprefix("! "),
        dport=options.get("--dport", ""),
        seconds=options.get("--seconds", ""),
        probability=f"{float(share) * 100:.3g} %" if share else "",
    )
