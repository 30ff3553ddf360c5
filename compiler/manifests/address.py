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
_IPV4_LINES = re.compile(rf"(?:{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}\n)*")


def family_of(text: str) -> Family | None:
    """Return the family of an address; None where the text is no address.

    Stricter than kube-proxy in one thing: `010.0.0.1` is rejected, since kube-proxy reads it as
    decimal and iptables as octal. IPv4-mapped IPv6 (`::ffff:10.0.0.1`) is rejected likewise: Go
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


# First octets of addresses that may have a special use, and how their lines begin.
_SPECIAL_OCTETS = frozenset({"0", "127", "169", *map(str, range(224, 240))})
_SPECIAL_LINES = ("\n127.", "\n169.254.", "\n224.0.0.", "\n0.0.0.0\n")
_LINK_LOCAL_MULTICAST = ipaddress.ip_network("224.0.0.0/24")


def are_ordinary_ipv4(texts: Sequence[str]) -> bool:
    """Return whether each is an IPv4 address that an endpoint may have.

    This is `family_of` and `special_use` of all of them at once.
    """
    lines = "\n".join(("", *texts, ""))
    if _IPV4_LINES.fullmatch(lines, 1) is None or lines.count("\n") != len(texts) + 1:
        return False
    return not any(special in lines for special in _SPECIAL_LINES)


def special_use(text: str) -> str:
    """Name the special use of a valid address, such as `loopback`; empty for an ordinary one.

    The API server rejects endpoints and external IPs of the uses that its `ValidateNonSpecialIP`
    lists, which are all of these but `multicast` (that is, multicast beyond the link).
    """
    if ":" in text:
        if text[0] not in ":0" and text[:2].lower() not in {"fe", "ff"}:
            return ""
    elif text.partition(".")[0] not in _SPECIAL_OCTETS:
        return ""
    address = ipaddress.ip_address(text)
    if address.is_multicast:
        if address.version == 4:
            is_link_local = address in _LINK_LOCAL_MULTICAST
        else:
            is_link_local = address.packed[1] & 0x0F == 2  # the scope, RFC 4291 section 2.7
        return "link-local multicast" if is_link_local else "multicast"
    uses = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
    }
    return next((use for use, applies in uses.items() if applies), "")


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
    """Return the family of a network."""
    return IPV4 if network.version == 4 else IPV6
