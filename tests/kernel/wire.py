"""A node's network namespace between interfaces of which the test holds the other ends.

What the test writes to an interface comes in there, from whatever source it likes; what leaves the
node is read at the other end, where nobody answers; and raw sockets inside the node see what is
delivered to it, behind all hooks of netfilter.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import select
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from compiler.family import IPV4, Family
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from tests.kernel.packet_bytes import NUMBERS, Seen, build, read, read_body

T = TypeVar("T")

# The addresses of the node; the first of each family is what masqueraded packets come from.
NODE = ("192.168.0.2", "192.168.0.6", "172.18.0.2", "172.18.0.9", "172.18.0.10")
NODE6 = ("fd00:1::2", "fd00:1::3")
# What leads elsewhere than through eth0, which is the default route.
ROUTES = {
    "cni0": ("10.88.0.0/16", "fd00:88::/64"),
    "veth0": ("10.89.0.0/16", "fd00:89::/64"),
    "docker0": ("172.17.0.0/16", "fd00:17::/64"),
}
INTERFACES = ("eth0", *ROUTES)
HOST = Host(
    addresses=frozenset((*NODE, *NODE6)),
    routes=(
        *(("0.0.0.0/0", "eth0"), ("::/0", "eth0")),
        *((network, name) for name, networks in ROUTES.items() for network in networks),
    ),
)
ACCOUNTS = ("localhost_nps_accepted_pkts", "ct_state_invalid_dropped_pkts")

_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_CLONE_NEWNET = 0x40000000
_OUTGOING = 4  # PACKET_OUTGOING: what the test itself wrote
_RCVBUFFORCE = 33
_IPV6_HDRINCL = 36


class Fate(NamedTuple):
    """What became of a packet: `forward`, `deliver`, `answer` (with it) or `gone`.

    `destination` and `source` are as they were seen; `interface` is the one that it left by.
    """

    kind: str
    answer: str = ""
    destination: str = ""
    destination_port: int = 0
    source: str = ""
    source_port: int = 0
    interface: str = ""


GONE = Fate("gone")


class Wire:
    """The node's namespace and the sockets around it."""

    def __init__(self, name: str) -> None:
        self.node, self.peer = f"{name}-node", f"{name}-peer"
        self._sockets: list[tuple[socket.socket, int]] = []
        self._identifier = 0x10000000
        self.source_port = 1024
        # the programs by which others' rules have been loaded
        self.foreign: set[str] = set()
        self._mac: dict[str, bytes] = {}
        self._mark = 0

    def open(self) -> None:
        """Make the interfaces and open all sockets."""
        self.shell(_setup(self.peer))
        subprocess.run(
            ["ip", "netns", "exec", self.peer, "sh", "-ec", _SETUP_PEER], check=True, timeout=60
        )
        for name in INTERFACES:
            told = self.shell(f"ip -o link show {name}").split(" link/ether ")[1]
            self._mac[name] = bytes.fromhex(told[:17].replace(":", ""))
        self._wire = self._inside(self.peer, _sniffer)
        self._sockets = [(self._wire, 0)]
        for name, number in NUMBERS.items():
            if name != "ipv6-icmp":
                made = self._inside(self.node, partial(_receiver, socket.AF_INET, number))
                self._sockets.append((made, -1))
            if name != "icmp":
                made = self._inside(self.node, partial(_receiver, socket.AF_INET6, number))
                self._sockets.append((made, number))
        self._senders = {
            4: self._inside(self.node, partial(_sender, socket.AF_INET)),
            6: self._inside(self.node, partial(_sender, socket.AF_INET6)),
        }

    def close(self) -> None:
        for made in (*(made for made, _ in self._sockets), *self._senders.values()):
            made.close()

    def shell(self, script: str, text: str = "") -> str:
        """Run a script in the node's namespace."""
        done = self._inside(
            self.node,
            lambda: subprocess.run(
                ["sh", "-ec", script], input=text, capture_output=True, text=True, check=False
            ),
        )
        assert done.returncode == 0, f"{script[:200]} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def listed(self) -> dict[str, dict[str, int]]:
        """Return what the xt_recent lists hold: by list, the number of stamps of each address."""

        def look() -> dict[str, dict[str, int]]:
            folder = Path("/proc/thread-self/net/xt_recent")
            return {
                path.name: dict(map(_stamps, path.read_text().splitlines()))
                for path in (folder.iterdir() if folder.exists() else ())
            }

        return self._inside(self.node, look)

    def pin(self, name: str, address: str) -> None:
        """Put an address on an xt_recent list."""
        path = Path("/proc/thread-self/net/xt_recent") / name
        self._inside(self.node, lambda: path.write_text(f"+{address}\n"))

    def next_port(self) -> int:
        """Return a source port that no packet has had (until they run out)."""
        self.source_port = self.source_port + 1 if self.source_port < 65000 else 1025
        return self.source_port

    def send(
        self, packets: Sequence[Packet], patient: Callable[[int], bool] = lambda place: True
    ) -> list[Fate]:
        """Send packets and return what became of each.

        `patient` says which are waited for; the others must show up while these do.
        """
        first = self._identifier
        self._identifier += len(packets)
        awaited = {first + place for place in range(len(packets)) if patient(place)}
        fates: dict[int, Fate] = {}
        for place, packet in enumerate(packets):
            self._send_one(packet, first + place)
            if place % 50 == 49:
                self._gather(fates, 0)
        deadline = time.monotonic() + 2
        while not awaited <= fates.keys() and time.monotonic() < deadline:
            self._gather(fates, 0.05)
        self._gather(fates, 0.01)
        self._gather(fates, 0)
        return [fates.get(first + place, GONE) for place in range(len(packets))]

    def _send_one(self, packet: Packet, identifier: int) -> None:
        data = build(packet, identifier)
        version = data[0] >> 4
        if packet.local:
            sender = self._senders[version]
            if packet.mark != self._mark:
                for each in self._senders.values():
                    each.setsockopt(
                        socket.SOL_SOCKET, socket.SO_MARK, struct.pack("@I", packet.mark)
                    )
                self._mark = packet.mark
            try:
                sender.sendto(data, (packet.destination, 0))
            except PermissionError:
                # dropped in OUTPUT or POSTROUTING
                return
            return
        assert packet.interface is not None
        head = self._mac[packet.interface] * 2 + struct.pack("!H", _ETHERTYPE[version])
        self._wire.sendto(head + data, (packet.interface, 0))

    def _gather(self, fates: dict[int, Fate], seconds: float) -> None:
        """Read all that waits in the sockets."""
        if seconds:
            select.select([made for made, _ in self._sockets], [], [], seconds)
        for made, number in self._sockets:
            while True:
                try:
                    data, ancillary, _, address = made.recvmsg(2048, 64)
                except BlockingIOError:
                    break
                if number == 0 and address[2] == _OUTGOING:
                    continue
                seen = _read(data, ancillary, address, number)
                if seen is not None:
                    self._note(fates, seen, address[0] if number == 0 else "")

    def _note(self, fates: dict[int, Fate], seen: Seen, interface: str) -> None:
        kind = "answer" if seen.answer else "forward" if interface else "deliver"
        old = fates.get(seen.identifier, GONE)
        if kind == "answer" and old.kind in ("deliver", "answer"):
            # the node's own stack answers what nobody listens for
            return
        assert old.kind in ("gone", "answer"), f"a packet that came twice: {old}, {seen}"
        fates[seen.identifier] = (
            Fate(kind, seen.answer)
            if kind == "answer"
            else Fate(kind, "", *seen[3:5], *seen[1:3], interface=interface)
        )

    def _inside(self, name: str, function: Callable[[], T]) -> T:
        return inside(name, function)


def inside(name: str, function: Callable[[], T]) -> T:
    """Call a function in a thread that has entered a network namespace."""
    results: list[T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            handle = os.open(f"/run/netns/{name}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"can't enter {name}")
            finally:
                os.close(handle)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _sniffer() -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    made.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 1 << 24)
    made.setblocking(False)
    return made


def _receiver(kind: socket.AddressFamily, number: int) -> socket.socket:
    made = socket.socket(kind, socket.SOCK_RAW, number)
    made.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 1 << 22)
    if kind == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    made.setblocking(False)
    return made


def _sender(kind: socket.AddressFamily) -> socket.socket:
    return socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)


def _read(
    data: bytes, ancillary: Sequence[tuple[int, int, bytes]], address: tuple[str, ...], number: int
) -> Seen | None:
    """Read what a socket gave: a frame, an IPv4 packet, or what follows an IPv6 header."""
    if number == 0:
        return read(data[14:])
    if number < 0:
        return read(data)
    for _, kind, value in ancillary:
        if kind == socket.IPV6_PKTINFO:
            destination = socket.inet_ntop(socket.AF_INET6, value[:16])
            return read_body(address[0], destination, number, data)
    return None


def _stamps(line: str) -> tuple[str, int]:
    """Read a line of an xt_recent list: the address, and how many stamps it has."""
    source, _, stamps = line.removeprefix("src=").partition(" ")
    return str(ipaddress.ip_address(source)), stamps.partition("oldest_pkt:")[2].count(",") + 1


_SETUP_PEER = "\n".join(
    f"echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6; ip link set {name} up"
    for name in INTERFACES
)


def _setup(peer: str) -> str:
    """Return the script that makes the node's interfaces, and everything that drops packets quiet.

    Without ARP a packet leaves for whatever address; the sysctls let through what a node would
    take for spoofed, and answers however many there are.
    """
    lines = ["ip link set lo up"]
    for conf in ("all", "default"):
        lines += [
            f"echo {value} > /proc/sys/net/{path}"
            for path, value in (
                (f"ipv4/conf/{conf}/rp_filter", 0),
                (f"ipv4/conf/{conf}/accept_local", 1),
                (f"ipv4/conf/{conf}/route_localnet", 1),
                (f"ipv4/conf/{conf}/send_redirects", 0),
                (f"ipv4/conf/{conf}/forwarding", 1),
                (f"ipv6/conf/{conf}/forwarding", 1),
                (f"ipv6/conf/{conf}/accept_dad", 0),
            )
        ]
    lines += [
        "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
        "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit",
    ]
    for name in INTERFACES:
        lines += [
            f"ip link add {name} type veth peer name {name} netns {peer}",
            f"ip link set {name} arp off",
            f"ip link set {name} up",
        ]
    lines += [f"ip address add {address}/32 dev eth0" for address in NODE]
    lines += [f"ip address add {address}/128 dev eth0 nodad" for address in NODE6]
    for name, networks in ROUTES.items():
        lines += [f"ip route add {network} dev {name}" for network in networks]
    lines += ["ip route add default dev eth0", "ip -6 route add default dev eth0"]
    lines += [f"nfacct add {account}" for account in ACCOUNTS]
    # the first one loads connection tracking
    lines += ["conntrack -C > /dev/null", "echo 0 > /proc/sys/net/netfilter/nf_conntrack_checksum"]
    return "\n".join(lines)


@contextmanager
def fresh_wire() -> Iterator[Wire]:
    """Make the namespaces, and remove them again."""
    wire = Wire(f"prwire-{uuid.uuid4().hex[:8]}")
    made: list[str] = []
    try:
        for name in (wire.node, wire.peer):
            subprocess.run(["ip", "netns", "add", name], check=True, timeout=60)
            made.append(name)
        wire.open()
        yield wire
        wire.close()
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=True, timeout=60)


def program(backend: str, family: Family) -> str:
    """Return the iptables of a backend and family."""
    return f"{'iptables' if family == IPV4 else 'ip6tables'}-{backend}"


def lists_of(listed: Mapping[str, Mapping[str, int]], source: str) -> dict[str, tuple[float, ...]]:
    """Return what the lists hold of an address, as `Packet.lists`: stamps of this very moment."""
    return {name: (0.0,) * rows[source] for name, rows in listed.items() if source in rows}
