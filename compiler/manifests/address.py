"""IP addresses and networks as Kubernetes manifests write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_pton

from compiler.family import IPV4, IPV6, Family

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Python's ip_network takes 10.0.0.0/255.0.0.0 too; Go's ParseCIDR, which kube-proxy uses, doesn't.
_PREFIX = re.compile(r"/[0-9]{1,3}\Z")


_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4_LINES = re.compile(rf"(?:{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}\n)*+")


def family_of(text: str) -> Family | None:
    """Tell the family of an address; None where it is none.

    Stricter than kube-proxy in one thing: `010.0.0.1` is refused, since kube-proxy reads it as
    decimal and iptables as octal. IPv4-mapped IPv6 (`::ffff:10.0.0.1`) is refused likewise: Go
    takes it for IPv4 and the kernel for IPv6.
    """
    try:
        if ":" in text:
            packed = inet_pton(AF_INET6, text)
            return None if packed.startswith(b"\0" * 10 + b"\xff\xff") else IPV6
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return None
    return IPV4


def are_ipv4(texts: Sequence[str]) -> bool:
    """Tell whether every one is an IPv4 address: `family_of` of all of them at once."""
    lines = "\n".join(texts) + "\n"
    return _IPV4_LINES.fullmatch(lines) is not None and lines.count("\n") == len(texts)


def canonical(text: str) -> str:
    """Write a valid address as kube-proxy prints it: IPv6 compressed and in lower case."""
    return str(ipaddress.ip_address(text)) if ":" in text else text


def parse_network(text: str) -> Network | None:
    """Read `ADDRESS/BITS`, host bits cleared; None where it is none."""
    address, slash, _ = text.partition("/")
    if not slash or not _PREFIX.search(text) or family_of(address) is None:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def network_family(network: Network) -> Family:
    """Tell the family of a network."""
    return IPV4 if network.version == 4 else IPV6
