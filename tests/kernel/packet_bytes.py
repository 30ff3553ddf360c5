"""Packets as bytes: what the tests send, and what they find on the wire.

Every packet carries an identifier that no translation of addresses changes: TCP's sequence number,
SCTP's initiate tag, and else the first bytes of the payload. It comes back in a reset's
acknowledgement and in what an ICMP error quotes.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from compiler.netfilter.evaluate import Packet

NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132}
_NAMES = {number: name for name, number in NUMBERS.items()}
_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}
# ICMP type and code of what REJECT answers (net/ipv4/netfilter/ipt_REJECT.c, ip6t_REJECT.c).
_ANSWERS = {
    (1, 3, 0): "icmp-net-unreachable",
    (1, 3, 1): "icmp-host-unreachable",
    (1, 3, 2): "icmp-proto-unreachable",
    (1, 3, 3): "icmp-port-unreachable",
    (1, 3, 9): "icmp-net-prohibited",
    (1, 3, 10): "icmp-host-prohibited",
    (1, 3, 13): "icmp-admin-prohibited",
    (58, 1, 0): "icmp6-no-route",
    (58, 1, 1): "icmp6-adm-prohibited",
    (58, 1, 3): "icmp6-addr-unreachable",
    (58, 1, 4): "icmp6-port-unreachable",
}


class Seen(NamedTuple):
    """A packet as it was found. `answer` is what rejects the packet that the identifier names."""

    identifier: int
    source: str
    source_port: int
    destination: str
    destination_port: int
    answer: str = ""


def build(packet: Packet, identifier: int) -> bytes:
    """Write a packet from its IP header on."""
    source, destination = map(ipaddress.ip_address, (packet.source, packet.destination))
    number = NUMBERS[packet.protocol]
    ports = struct.pack("!HH", packet.source_port, packet.destination_port)
    tag = struct.pack("!I", identifier)
    if packet.protocol == "tcp":
        flags = sum(_FLAGS[flag] for flag in packet.flags)
        body = ports + tag + struct.pack("!IBBHHH", 0, 5 << 4, flags, 64240, 0, 0)
        place = 16
    elif packet.protocol == "udp":
        body, place = ports + struct.pack("!HH", 12, 0) + tag, 6
    elif packet.protocol == "sctp":
        # INIT; its checksum is not looked at (nf_conntrack_checksum is 0)
        chunk = struct.pack("!BBH", 1, 0, 20) + tag + struct.pack("!IHHI", 65536, 1, 1, 1)
        body, place = ports + bytes(8) + chunk, -1
    else:
        echo = 8 if packet.protocol == "icmp" else 128
        body, place = struct.pack("!BBHHH", echo, 0, 0, packet.source_port, 1) + tag, 2
    if place >= 0:
        over = source.packed + destination.packed + struct.pack("!II", len(body), number)
        sum_ = _checksum((b"" if packet.protocol == "icmp" else over) + body)
        body = body[:place] + struct.pack("!H", sum_) + body[place + 2 :]
    if source.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(body), number, 64)
        return head + source.packed + destination.packed + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, number, 0)
    sum_ = _checksum(head + source.packed + destination.packed)
    return head[:10] + struct.pack("!H", sum_) + source.packed + destination.packed + body


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def read(data: bytes) -> Seen | None:
    """Read a packet from its IP header on; None for what none of the tests' packets can cause."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        source, destination = (str(ipaddress.IPv4Address(data[at : at + 4])) for at in (12, 16))
        return read_body(source, destination, data[9], data[(data[0] & 15) * 4 :])
    if len(data) >= 40 and data[0] >> 4 == 6:
        source, destination = (str(ipaddress.IPv6Address(data[at : at + 16])) for at in (8, 24))
        return read_body(source, destination, data[6], data[40:])
    return None


def read_body(source: str, destination: str, number: int, body: bytes) -> Seen | None:
    """Read what follows an IP header."""
    name = _NAMES.get(number)
    if name is None or len(body) < 8:
        return None
    if name in ("icmp", "ipv6-icmp"):
        return _read_icmp(source, destination, number, body)
    ports = struct.unpack("!HH", body[:4])
    answer = ""
    if name == "tcp":
        (identifier,) = struct.unpack("!I", body[4:8])
        if len(body) >= 20 and body[13] & 20 == 20:
            identifier, answer = struct.unpack("!I", body[8:12])[0] - 1, "tcp-reset"
    else:
        at = 8 if name == "udp" else 16
        if len(body) < at + 4:
            return None
        (identifier,) = struct.unpack("!I", body[at : at + 4])
    return Seen(identifier, source, ports[0], destination, ports[1], answer)


def _read_icmp(source: str, destination: str, number: int, body: bytes) -> Seen | None:
    answer = _ANSWERS.get((number, body[0], body[1]))
    if answer is not None:
        quoted = read(body[8:])
        return quoted and Seen(quoted.identifier, source, 0, destination, 0, answer)
    if body[0] != (8 if number == 1 else 128) or len(body) < 12:
        return None
    number_, identifier = struct.unpack("!H2xI", body[4:12])
    return Seen(identifier, source, number_, destination, 0)
