"""Requests to a Service, a new connection each, and the tally of who answered."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from compiler.family import IPV6
from compiler.lab import netns
from compiler.lab.errors import LabError
from compiler.lab.layout import Member, Role, Target, family_of

# What stands in the tally where nobody answered.
REFUSED = "refused"
TIMED_OUT = "timed out"
UNREACHABLE = "unreachable"

# A request that is let through is answered in well under a millisecond.
TIMEOUT_SECONDS = 2.0
MAX_REPLY = 65536

REQUEST = b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n"

CLUSTER_IP = "cluster-ip"
EXTERNAL_IP = "external-ip"
LOAD_BALANCER = "load-balancer"
NODE_PORT = "node-port"
LOCALHOST = "localhost"
WAYS = (CLUSTER_IP, EXTERNAL_IP, LOAD_BALANCER, NODE_PORT, LOCALHOST)


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered a request, and the client's address as the endpoint saw it.

    Where nobody did, `name` is `refused`, `timed out` or `unreachable` and `seen` is empty.
    """

    name: str
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What to call: an address and port over `TCP` or `UDP`, from `source` if one is given."""

    address: str
    port: int
    protocol: str = "TCP"
    source: str = ""
    timeout: float = TIMEOUT_SECONDS


def call_for(target: Target, via: str, node: Member) -> tuple[str, int]:
    """Return the address and port by which a way leads to the service port.

    Raises LabError where the Service has no such way.
    """
    if via == CLUSTER_IP:
        return target.cluster_ip, target.port
    if via == EXTERNAL_IP and target.external_ips:
        return target.external_ips[0], target.port
    if via == LOAD_BALANCER and target.load_balancer_ips:
        return target.load_balancer_ips[0], target.port
    if via == LOCALHOST and target.node_port:
        return "::1" if target.family == IPV6 else "127.0.0.1", target.node_port
    if via == NODE_PORT and target.node_port:
        own = [one for one in node.addresses if family_of(one) == target.family]
        if own:
            return own[0], target.node_port
    raise LabError(f"{target.name} has no {via} of {target.family}")


def way_for(target: Target, client: Member) -> str:
    """Return the way that a client takes unless told: cluster IPs are not for outside clients.

    Raises LabError where the Service has no way in from outside.
    """
    if client.role is not Role.OUTSIDE:
        return CLUSTER_IP
    ways = (
        (LOAD_BALANCER, target.load_balancer_ips),
        (EXTERNAL_IP, target.external_ips),
        (NODE_PORT, target.node_port),
    )
    for way, there in ways:
        if there:
            return way
    raise LabError(f"{target.name} can't be called from outside; try `--via {CLUSTER_IP}`")


def pick_target(
    targets: Iterable[Target], wanted: str, family: str = "", protocol: str = ""
) -> Target:
    """Find a service port by `[NAMESPACE/]NAME[:PORT]`, PORT its name or number.

    Without a port the Service's first is taken. Raises LabError where nothing fits, saying what
    there is.
    """
    known = list(targets)
    service, _, port = wanted.partition(":")
    if "/" not in service:
        service = f"default/{service}"
    fitting = [
        target
        for target in known
        if target.service == service
        and port in ("", target.port_name, str(target.port))
        and family in ("", target.family)
        and protocol in ("", target.protocol)
    ]
    if fitting:
        return fitting[0]
    names = sorted({f"{target.name} ({target.protocol}, {target.family})" for target in known})
    raise LabError(f"no service port {wanted}; there are: {', '.join(names) or 'none'}")


def request(call: Call) -> Answer:
    """Make one request from the current namespace, over a new connection."""
    family = socket.AF_INET6 if ip_address(call.address).version == 6 else socket.AF_INET
    kind = socket.SOCK_DGRAM if call.protocol == "UDP" else socket.SOCK_STREAM
    with socket.socket(family, kind) as opened:
        opened.settimeout(call.timeout)
        try:
            if call.source:
                opened.bind((call.source, 0))
            opened.connect((call.address, call.port))
            opened.sendall(REQUEST)
            return _answer(_read(opened, kind))
        except (ConnectionRefusedError, ConnectionResetError):
            return Answer(REFUSED)
        except TimeoutError:
            return Answer(TIMED_OUT)
        except OSError:
            # EHOSTUNREACH and ENETUNREACH: no route, or an ICMP that says so.
            return Answer(UNREACHABLE)


def _read(opened: socket.socket, kind: socket.SocketKind) -> str:
    if kind is socket.SOCK_DGRAM:
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
    namespaces: Sequence[str], call: Call, count: int, every: float = 0
) -> Iterator[Answer]:
    """Make `count` rounds of requests, one from each namespace, one after the other.

    `every` is the time from the start of a round to the next, in seconds.
    """
    begin = time.monotonic()
    for number in range(count):
        if number and every:
            time.sleep(max(0.0, begin + number * every - time.monotonic()))
        for namespace in namespaces:
            with netns.entered(namespace):
                answer = request(call)
            yield answer


def tally(names: Iterable[str]) -> list[tuple[int, str]]:
    """Count, most first, then by name."""
    return sorted(
        ((count, name) for name, count in Counter(names).items()),
        key=lambda entry: (-entry[0], entry[1]),
    )
