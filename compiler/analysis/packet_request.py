"""A packet as a person asks for it (`pod` to `default/web:http`), made into one with addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from compiler.kube_rules.destinations import (
    Destination,
    NoSuchServiceError,
    Via,
    destinations,
    find_service_port,
)
from compiler.kube_rules.senders import SENDER_KINDS, Sender, Surroundings, UnknownSenderError
from compiler.netfilter.evaluate import Packet

PROTOCOLS = ("tcp", "udp", "sctp", "icmp")
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
_ADDRESS_PORT = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)|(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))"
    r"(?::(?P<port>\d+))?(?:/(?P<protocol>[A-Za-z]+))?\Z"
)


class RequestError(ValueError):
    """A field of a request is wrong; `field` is its name (`from`, `to`, `via`, …)."""

    def __init__(self, field_: str, message: str, hint: str = "") -> None:
        self.field, self.message, self.hint = field_, message, hint
        super().__init__(f"{field_}: {message}")


@dataclass(frozen=True)
class PacketRequest:
    """What is asked for; empty where it is to be chosen.

    `sender` is a kind (`pod`, `node`, `outside`, `localhost`), an address, or the name of a Pod or
    endpoint. `to` is `ADDRESS:PORT[/PROTOCOL]` or `[NAMESPACE/]SERVICE[:PORT][/PROTOCOL]`, with
    `via` the kind of entry point.
    """

    sender: str = ""
    to: str = ""
    via: Via | None = None
    protocol: str = ""
    state: str = "NEW"
    in_interface: str = ""
    source_port: int = 40000


@dataclass(frozen=True)
class Resolved:
    """A packet, and in words what was chosen for it."""

    packet: Packet
    notes: tuple[str, ...] = ()
    destination: Destination | None = None


@dataclass(frozen=True)
class Resolver:
    """Makes packets for one node's rules.

    `names` finds the address of a Pod or endpoint by its name, None where nothing has names.
    `recent` are the ages in seconds of the stamps that clients have in `xt_recent` lists, by client
    and list.
    """

    surroundings: Surroundings
    names: Callable[[str], str | None] | None = None
    recent: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)

    def resolve(self, request: PacketRequest) -> tuple[Resolved, ...]:
        """Return a packet for each service port that is meant. Raises RequestError."""
        if not request.to:
            raise RequestError("to", "no destination", "give ADDRESS:PORT or a Service")
        if found := _ADDRESS_PORT.match(request.to):
            return (self._to_address(request, found),)
        return tuple(self._to_service(request))

    def _to_address(self, request: PacketRequest, found: re.Match[str]) -> Resolved:
        if request.via is not None:
            raise RequestError("via", "is for a Service", "leave it out, or name a Service")
        address = found["six"] or found["four"] or found["bare"]
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            raise RequestError("to", f'"{address}" is not an IP address') from None
        protocol = _protocol(request, found["protocol"])
        if protocol != "icmp" and found["port"] is None:
            raise RequestError("to", f'"{request.to}" has no port', "give ADDRESS:PORT")
        port = int(found["port"] or 0)
        if port > 65535 or (port == 0 and protocol != "icmp"):
            raise RequestError("to", f"invalid port {port}", "must be between 1 and 65535")
        self._check_family("to", parsed.version)
        sender = self._sender(request, str(parsed))
        return self._packet(request, sender, str(parsed), port, protocol)

    def _to_service(self, request: PacketRequest) -> Iterator[Resolved]:
        rules = self.surroundings.rules
        try:
            keys = find_service_port(rules, request.to)
        except NoSuchServiceError as error:
            raise RequestError("to", str(error), error.hint) from None
        wanted = request.protocol.lower()
        if wanted:
            keys = tuple(key for key in keys if key.protocol == wanted)
            if not keys:
                raise RequestError("protocol", f"{request.to} has no {wanted} port")
        for key in keys:
            known = destinations(rules, key, self.surroundings.addresses)
            chosen, note = _choose(known, request, str(key))
            if not chosen.address:
                message = f"a node port of {key} needs the node's address, which is not known"
                raise RequestError("via", message, "give the node's address")
            sender = self._sender(request, chosen.address)
            made = self._packet(request, sender, chosen.address, chosen.port, key.protocol)
            notes = (*((note,) if note else ()), *made.notes)
            yield replace(made, notes=notes, destination=chosen)

    def _check_family(self, field_: str, version: int) -> None:
        mine = 4 if self.surroundings.family == "ipv4" else 6
        if version != mine:
            message = f"is IPv{version}, but these rules are IPv{mine}"
            raise RequestError(field_, message, f"give an IPv{mine} address")

    def _sender(self, request: PacketRequest, destination: str) -> Sender:
        wanted = request.sender
        loopback = ipaddress.ip_address(destination).is_loopback
        if not wanted:
            wanted = "localhost" if loopback else "pod"
        if wanted == "node" and loopback:
            wanted = "localhost"
        if wanted == "localhost" and not loopback:
            message = "localhost sends to loopback addresses alone"
            raise RequestError("from", message, "use node")
        for kind in SENDER_KINDS:
            if wanted == kind:
                try:
                    return self.surroundings.sender(kind)
                except UnknownSenderError as error:
                    hint = "give the node's address" if kind == "node" else "give an address"
                    raise RequestError("from", str(error), hint) from None
        return self.named_sender(wanted)

    def named_sender(self, wanted: str) -> Sender:
        """Return the sender with an address, or with a Pod's name. Raises RequestError."""
        try:
            parsed = ipaddress.ip_address(wanted.strip("[]"))
        except ValueError:
            parsed = None
        if parsed is not None:
            self._check_family("from", parsed.version)
            return self.surroundings.from_address(str(parsed))
        if self.names is None:
            hint = f"give an address or one of {', '.join(SENDER_KINDS)}"
            raise RequestError("from", f'"{wanted}": rules have no names of Pods', hint)
        address = self.names(wanted)
        if address is None:
            hint = f"give an address, a Pod's name, or one of {', '.join(SENDER_KINDS)}"
            raise RequestError("from", f'no Pod or endpoint "{wanted}" in the manifests', hint)
        sender = self.surroundings.from_address(address)
        return replace(sender, reason=f"is the address of {wanted}")

    def _packet(
        self, request: PacketRequest, sender: Sender, destination: str, port: int, protocol: str
    ) -> Resolved:
        if request.in_interface and sender.local:
            raise RequestError("in-interface", "the node's own packets come in by no interface")
        notes = [f"{sender.address} {sender.reason}"] if sender.reason else []
        if ipaddress.ip_address(destination).is_loopback and not sender.local:
            notes.append(
                "the kernel drops packets from outside to loopback addresses, unless route_localnet"
                " is set"
            )
        if request.state != "NEW":
            notes.append(
                "nat's rules see the first packet of a connection alone: how later ones are"
                " translated is in conntrack, not in rules"
            )
        icmp = protocol == "icmp"
        six = self.surroundings.family != "ipv4"
        packet = Packet(
            source=sender.address,
            destination=destination,
            protocol=("ipv6-icmp" if six else "icmp") if icmp else protocol,
            source_port=request.source_port,
            destination_port=port,
            local=sender.local,
            interface=None if sender.local else request.in_interface or sender.interface,
            state=request.state,
            flags=frozenset(("SYN",) if request.state == "NEW" else ("ACK",)),
            lists=self.recent.get(sender.address, {}),
            icmp_type=("128" if six else "8") if icmp else None,
        )
        return Resolved(packet, tuple(notes))


def _protocol(request: PacketRequest, written: str | None) -> str:
    given = request.protocol.lower()
    in_to = (written or "").lower()
    if given and in_to and given != in_to:
        raise RequestError("protocol", f"{given}, but the destination says {in_to}")
    protocol = given or in_to or "tcp"
    if protocol not in PROTOCOLS:
        raise RequestError("protocol", f'"{protocol}"', f"one of {', '.join(PROTOCOLS)}")
    return protocol


def _choose(
    known: tuple[Destination, ...], request: PacketRequest, name: str
) -> tuple[Destination, str]:
    """Choose an entry point of a service port, and say which where that was not asked for."""
    fitting = [one for one in known if request.via in (None, one.via)]
    if not fitting:
        have = ", ".join(dict.fromkeys(one.via for one in known)) or "none"
        if request.via is None:
            raise RequestError("to", f"{name} has no entry point here", "give ADDRESS:PORT")
        raise RequestError("via", f"{name} has no {request.via}", f"its entry points: {have}")
    chosen = fitting[0]
    same = [one for one in fitting if one.via == chosen.via]
    if request.via is None and len({one.via for one in known}) > 1:
        return chosen, f"to {chosen}: its {chosen.via}"
    if len(same) > 1:
        return chosen, f"to {chosen}: the first of {len(same)} ({chosen.via})"
    return chosen, ""
