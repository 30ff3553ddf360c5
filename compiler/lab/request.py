"""Requests to a Service, each over a new connection, and the tally of the answers."""

from __future__ import annotations

import itertools
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address

from compiler.family import Family
from compiler.lab import netns
from compiler.lab.errors import LabUsageError
from compiler.lab.layout import Layout, Member, Role, Target, family_of
from compiler.lab.services import resolve_service

# What the tally counts where no endpoint answered.
REFUSED = "refused"
TIMED_OUT = "timed out"
UNREACHABLE = "unreachable"
FAILURES = (REFUSED, TIMED_OUT, UNREACHABLE)

# A request that passes is answered in well under a millisecond.
TIMEOUT_SECONDS = 2.0
MAX_REPLY = 65536

REQUEST = b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n"

CLUSTER_IP = "cluster-ip"
EXTERNAL_IP = "external-ip"
LOAD_BALANCER = "load-balancer"
NODE_PORT = "node-port"
LOCALHOST = "localhost"
ENTRY_POINTS = (CLUSTER_IP, EXTERNAL_IP, LOAD_BALANCER, NODE_PORT, LOCALHOST)
# What a Service lacks that doesn't have one of them.
_SPELLED = {
    EXTERNAL_IP: "external IP",
    LOAD_BALANCER: "load-balancer IP",
    NODE_PORT: "node port",
    LOCALHOST: "node port",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered a request, and the client's address as the endpoint saw it.

    Where there was no answer, `name` is one of `FAILURES` and `seen` is empty.
    """

    name: str
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: which client made it (its place among them), when, who answered.

    `at` is in seconds since the first request.
    """

    client: int
    at: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class Call:
    """What to call: an address and port over `TCP` or `UDP`, from `source` if one is given."""

    address: str
    port: int
    protocol: str = "TCP"
    source: str = ""
    timeout: float = TIMEOUT_SECONDS


def address_of(target: Target, via: str, node: Member) -> tuple[str, int]:
    """Return the address and port of one of a service port's entry points (`ENTRY_POINTS`).

    Raises LabUsageError where the Service doesn't have it.
    """
    if via == CLUSTER_IP:
        return target.cluster_ip, target.port
    if via == EXTERNAL_IP and target.external_ips:
        return target.external_ips[0], target.port
    if via == LOAD_BALANCER and target.load_balancer_ips:
        return target.load_balancer_ips[0], target.port
    if via == LOCALHOST and target.node_port:
        return target.family.loopback, target.node_port
    if via == NODE_PORT and target.node_port:
        own = [one for one in node.addresses if family_of(one) == target.family]
        if own:
            return own[0], target.node_port
    raise LabUsageError(f"{target.name} has no {target.family.api_name} {_SPELLED[via]}")


def default_entry_point(target: Target, client: Member) -> str:
    """Return the entry point that a client calls by default.

    Pods and the node call the cluster IP. Outside clients call the first that the Service has of a
    load-balancer IP, an external IP and a node port: the one that is most likely meant for them.
    Raises LabUsageError where it has none of these.
    """
    if client.role is not Role.OUTSIDE:
        return CLUSTER_IP
    external = (
        (LOAD_BALANCER, target.load_balancer_ips),
        (EXTERNAL_IP, target.external_ips),
        (NODE_PORT, target.node_port),
    )
    for entry_point, addresses in external:
        if addresses:
            return entry_point
    raise LabUsageError(
        f"{target.name} has no load-balancer IP, external IP or node port for {client.name}; "
        f"try `--via {CLUSTER_IP}`"
    )


def pick_target(layout: Layout, wanted: str, *, family: str = "", protocol: str = "") -> Target:
    """Find a service port by `[NAMESPACE/]NAME[:PORT]`, PORT its name or number.

    Without a port the Service's first is taken. `family` and `protocol` (in upper case) choose
    where several fit. Raises LabUsageError where nothing fits, with what the Service has.
    """
    name, _, port = wanted.partition(":")
    service = resolve_service(layout, name)
    ports = [target for target in layout.targets if target.service == service]
    fitting = [
        target
        for target in ports
        if port in {"", target.port_name, str(target.port)}
        and family in {"", target.family}
        and protocol in {"", target.protocol}
    ]
    if fitting:
        return fitting[0]
    family_name = Family(family).api_name if family else ""
    asked = " ".join(part for part in (port and f'"{port}"', protocol, family_name) if part)
    known = ", ".join(
        f"{target.port_name + ' ' if target.port_name else ''}"
        f"({target.port}/{target.protocol}, {target.family.api_name})"
        for target in ports
    )
    raise LabUsageError(f"Service {service} has no port {asked}; its ports are: {known}")


def request(opened: socket.socket, call: Call) -> Answer:
    """Make one request over a socket that was just opened in the client's namespace."""
    opened.settimeout(call.timeout)
    try:
        if call.source:
            opened.bind((call.source, 0))
        opened.connect((call.address, call.port))
        opened.sendall(REQUEST)
        return _answer(_read(opened))
    except (ConnectionRefusedError, ConnectionResetError):
        return Answer(REFUSED)
    except TimeoutError:
        return Answer(TIMED_OUT)
    except OSError:
        # EHOSTUNREACH and ENETUNREACH: no route, or an ICMP error of that kind.
        return Answer(UNREACHABLE)


def _open(namespace: str, call: Call) -> socket.socket:
    """Open a socket in a namespace, where it belongs from then on."""
    family = socket.AF_INET6 if ip_address(call.address).version == 6 else socket.AF_INET
    kind = socket.SOCK_DGRAM if call.protocol == "UDP" else socket.SOCK_STREAM
    with netns.entered(namespace):
        return socket.socket(family, kind)


def _read(opened: socket.socket) -> str:
    if opened.type is socket.SOCK_DGRAM:
        return opened.recv(MAX_REPLY).decode()
    parts = []
    while part := opened.recv(MAX_REPLY):
        parts.append(part)
    return b"".join(parts).decode()


def _answer(reply: str) -> Answer:
    """Read an endpoint's reply (see `compiler.lab.server.body`)."""
    fields = dict(line.split(": ", 1) for line in reply.splitlines() if ": " in line)
    return Answer(fields.get("Hostname", "(no name)"), fields.get("Client", ""))


def requests(
    namespaces: Sequence[str], call: Call, count: int | None, every: float = 0
) -> Iterator[Reply]:
    """Make `count` rounds of requests, one from each namespace, one after the other.

    `every` is the time from the start of a round to the next, in seconds; without a count there is
    no last round. Raises NamespaceGoneError where the lab is removed meanwhile.
    """
    begin = time.monotonic()
    # Sockets are opened by a thread of their own: `lab down` kills the processes whose main thread
    # is in one of its namespaces, and this one has a tally to print first.
    with ThreadPoolExecutor(max_workers=1) as opener:
        for number in itertools.count() if count is None else range(count):
            if number and every:
                time.sleep(max(0.0, begin + number * every - time.monotonic()))
            for place, namespace in enumerate(namespaces):
                with opener.submit(_open, namespace, call).result() as opened:
                    at = time.monotonic() - begin
                    yield Reply(place, at, request(opened, call))


def tally(names: Iterable[str]) -> list[tuple[int, str]]:
    """Count the names: the most frequent first, then by name."""
    return sorted(
        ((count, name) for name, count in Counter(names).items()),
        key=lambda entry: (-entry[0], entry[1]),
    )
