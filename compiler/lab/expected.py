"""Which answers the node's rules lead a client's requests to, with their shares.

They are the evaluator's, of the rules that the kernel holds: whoever changes these sees it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from compiler.analysis.trace import Trace, Way, trace_packet
from compiler.family import Family
from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.node_rules import NodeRules
from compiler.lab import affinity
from compiler.lab.layout import Layout, Listener, Member, Role, family_of
from compiler.lab.request import REFUSED, TIMED_OUT, UNREACHABLE, Call
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.parse import parse_rules

# What a client's connect() makes of them (`icmp_err_convert` of net/ipv4/icmp.c).
_REFUSING = {"icmp-port-unreachable", "icmp6-port-unreachable", "tcp-reset"}


@dataclass(frozen=True)
class Expected:
    """What the rules do with the requests of one client, by the names that answers have.

    `affinity` is its timeout in seconds, 0 without affinity; the shares are then those of a client
    that no endpoint has. `pinned` says that one had it before the first request. `unknown` says
    why the shares are not known, and is empty where they are.
    """

    shares: Mapping[str, Fraction]
    affinity: int = 0
    pinned: bool = False
    unknown: str = ""


@dataclass(frozen=True)
class NodeView:
    """The lab's node, as far as it decides about requests.

    `interfaces` are those that each member's packets come in by, `pins` the clients (addresses)
    that are pinned, by list. `answering` are the members that answer, by `ADDRESS:PORT`.
    """

    rules: NodeRules
    addresses: frozenset[str]
    interfaces: Mapping[str, str]
    pins: Mapping[str, frozenset[str]]
    answering: Mapping[str, str]


def view_of(
    text: str, layout: Layout, interfaces: Mapping[str, str], pins: Iterable[affinity.Pin] = ()
) -> NodeView:
    """Return a node with the rules of one family, given as iptables-save prints them."""
    held: dict[str, set[str]] = {}
    for pin in pins:
        if pin.remaining > 0:
            held.setdefault(pin.recent, set()).add(pin.client)
    return NodeView(
        NodeRules(parse_rules(text)),
        frozenset(layout.node.addresses),
        interfaces,
        {name: frozenset(clients) for name, clients in held.items()},
        {_address_port(one): one.member for one in layout.listeners},
    )


def expectations(view: NodeView, call: Call, clients: Sequence[Member]) -> tuple[Expected, ...]:
    """Return what the rules do with the requests of each client."""
    return tuple(_expected(view, call, client) for client in clients)


def _expected(view: NodeView, call: Call, client: Member) -> Expected:
    packet = _packet(view, call, client)
    # It has not the packet's source: see `Surroundings.host_for`.
    elsewhere = () if packet.local else (packet.source,)
    host = Host(view.addresses, elsewhere=elsewhere)
    trace = trace_packet(view.rules, packet, host)
    if len(trace.cases) > 1:
        (question, *_) = trace.cases[0].given
        return Expected({}, unknown=f"what the rules do depends on {question.spoken()}")
    shares: dict[str, Fraction] = {}
    for way in trace.ways:
        name = _answer(way, view.answering)
        if not name:
            reason = way.undecided_by or f"nothing in the lab answers at {call.address}"
            return Expected({}, unknown=f"what the rules do is not known: {reason}")
        shares[name] = shares.get(name, Fraction(0)) + way.share
    checks = _affinity_checks(trace)
    pinned = any(packet.source in view.pins.get(name, ()) for name in checks)
    return Expected(shares, max(checks.values(), default=0), pinned)


def _packet(view: NodeView, call: Call, client: Member) -> Packet:
    """Return the first packet of a request, as the node's rules see it."""
    family = family_of(call.address)
    local = client.role is Role.NODE
    return Packet(
        source=_source(call, client, family, local=local),
        destination=call.address,
        protocol=call.protocol.lower(),
        destination_port=call.port,
        local=local,
        interface=None if local else view.interfaces.get(client.name),
    )


def _source(call: Call, client: Member, family: Family, *, local: bool) -> str:
    """Return the address that a client's kernel chooses."""
    if call.source:
        return call.source
    own = [address for address in client.addresses if family_of(address) is family]
    if local and (call.address == family.loopback or call.address in own):
        return call.address
    return own[0] if own else family.loopback


def _answer(way: Way, answering: Mapping[str, str]) -> str:
    """Return what a request's answer is named that goes this way, empty where that is not known."""
    if way.outcome_name == "REJECT":
        return REFUSED if way.answer in _REFUSING else UNREACHABLE
    if way.outcome_name == "DROP":
        return TIMED_OUT
    return answering.get(way.destination, "")


def _address_port(one: Listener) -> str:
    return f"[{one.address}]:{one.port}" if ":" in one.address else f"{one.address}:{one.port}"


def _affinity_checks(trace: Trace) -> dict[str, int]:
    """Return the lists that affinity is kept in on a packet's way, with their timeouts."""
    return {
        match.list_name: match.seconds
        for way in trace.ways
        for step in way.asked
        if step.rule.jumps_to.startswith(ENDPOINT_PREFIX)
        for match in step.rule.matches
        if isinstance(match, Recent) and match.mode == "rcheck"
    }
