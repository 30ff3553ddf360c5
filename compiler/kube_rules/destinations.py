"""Where a client sends to: a service port's entry points, as addresses that a packet can have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, Protocol, get_args

from compiler.family import Family
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import EntryPoint, Key

Via = Literal["cluster-ip", "node-port", "external-ip", "load-balancer", "localhost"]
VIAS: tuple[Via, ...] = get_args(Via)

_KINDS: dict[str, tuple[Via, ...]] = {
    "cluster IP": ("cluster-ip",),
    "external IP": ("external-ip",),
    "load-balancer IP": ("load-balancer",),
    # without endpoints the rules don't tell these two apart
    "external address": ("external-ip", "load-balancer"),
    "node port": ("node-port", "localhost"),
}
PROTOCOLS = ("tcp", "udp", "sctp")


class NoSuchServiceError(LookupError):
    """Rules have no such service port, or several; the message and `hint` are for people."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Destination:
    """An entry point of a service port: `via` is its kind, `address` and `port` where it is.

    `address` is empty for a node port of a node whose addresses are not known.
    """

    key: Key
    via: Via
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}/{self.key.protocol}"


def destinations(
    rules: NodeRules, key: Key, node_addresses: Sequence[str] = ()
) -> tuple[Destination, ...]:
    """Return the entry points of a service port, in the order of the rules, each once.

    A node port is one at each address of the node, and one at localhost.
    """
    found: dict[Destination, None] = {}
    for entry in rules.entry_points(key):
        for via in _KINDS.get(entry.kind, ()):
            for one in _at(key, via, entry.address, node_addresses, rules.ruleset.family):
                found[one] = None
    return tuple(found)


def _at(
    key: Key, via: Via, address: str, node_addresses: Sequence[str], family: Family
) -> Iterator[Destination]:
    host, _, printed = address.rpartition(":")
    if not printed.isdigit():
        return  # a rule that takes a range of ports is none of kube-proxy's
    host, port = host.strip("[]"), int(printed)
    if via == "localhost":
        yield Destination(key, via, family.loopback, port)
    elif via == "node-port":
        for one in node_addresses or ("",):
            yield Destination(key, via, one, port)
    elif host:
        yield Destination(key, via, host, port)


class ServicePorts(Protocol):
    """What has service ports by name: `NodeRules`, or Services that no rules were made of yet."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """All service ports."""

    def entry_points(self, key: Key) -> tuple[EntryPoint, ...]:
        """Return the entry points of a service port."""


class ServicePortsOf:
    """The service ports of several nodes or sides."""

    def __init__(self, parts: Sequence[ServicePorts]) -> None:
        self._parts = parts

    @property
    def keys(self) -> tuple[Key, ...]:
        """All service ports of any part."""
        return tuple(sorted({key for part in self._parts for key in part.keys}))

    def entry_points(self, key: Key) -> tuple[EntryPoint, ...]:
        """Return the entry points that a service port has in any part."""
        return tuple(entry for part in self._parts for entry in part.entry_points(key))


def find_service_port(rules: ServicePorts, wanted: str) -> tuple[Key, ...]:
    """Return the service ports that `[NAMESPACE/]SERVICE[:PORT][/PROTOCOL]` names.

    PORT is a port's name or its number at the cluster IP. Raises NoSuchServiceError where there is
    none, or where a name without its namespace is in several.
    """
    name, protocol = wanted, ""
    head, slash, tail = wanted.rpartition("/")
    if slash and tail.lower() in PROTOCOLS:
        name, protocol = head, tail.lower()
    service, _, port = name.partition(":")
    keys = [key for key in rules.keys if _is_service(key, service)]
    if not keys:
        services = {key.name.partition(":")[0] for key in rules.keys}
        raise NoSuchServiceError(f'no Service "{service}" in the rules', _close(service, services))
    namespaces = {key.name.partition("/")[0] for key in keys}
    if len(namespaces) > 1:
        listed = ", ".join(sorted({key.name.partition(":")[0] for key in keys}))
        raise NoSuchServiceError(f'several Services are called "{service}"', f"one of {listed}")
    found = [
        key
        for key in keys
        if (not protocol or key.protocol == protocol) and (not port or _has_port(rules, key, port))
    ]
    if not found:
        ports = ", ".join(dict.fromkeys(_port_in_words(key) for key in keys))
        hint = f"its ports are {ports}"
        raise NoSuchServiceError(f'Service {service} has no port "{wanted}"', hint)
    return tuple(found)


def _port_in_words(key: Key) -> str:
    name = key.name.partition(":")[2] or "(no name)"
    return f"{name}/{key.protocol}"


def _is_service(key: Key, service: str) -> bool:
    full = key.name.partition(":")[0]
    return full == service or full.partition("/")[2] == service


def _has_port(rules: ServicePorts, key: Key, port: str) -> bool:
    if key.name.partition(":")[2] == port:
        return True
    return port.isdigit() and any(
        entry.address.rpartition(":")[2] == port
        for entry in rules.entry_points(key)
        if entry.kind == "cluster IP"
    )


def _close(service: str, services: set[str]) -> str:
    close = get_close_matches(service, sorted(services), n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    some = sorted(services)[:5]
    more = f" and {len(services) - len(some)} more" if len(services) > len(some) else ""
    return f"Services: {', '.join(some)}{more}" if some else "the rules have no Services"
