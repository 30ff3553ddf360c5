"""Values of rule options in the form in which iptables-save prints them.

Every function takes the word as written and the family, and returns the printed form; a word that
iptables would refuse raises ValueError, whose text says what would be right.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import lru_cache

from compiler.family import IPV4, IPV6, Family
from compiler.netfilter.words import needs_quotes, quote

Fix = Callable[[str, Family], str]

_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})\Z")
_PORT_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.+]{0,63}\Z")
_DECIMAL = re.compile(r"(?:[0-9]{1,20}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})\Z")
_FULL = 0xFFFFFFFF

# iproto names as libxtables prints them (xtables_chain_protos, then /etc/protocols).
PROTOCOLS = {
    "1": "icmp", "2": "igmp", "4": "ipencap", "6": "tcp", "17": "udp", "33": "dccp", "41": IPV6,
    "47": "gre", "50": "esp", "51": "ah", "58": "ipv6-icmp", "88": "eigrp", "89": "ospf",
    "103": "pim", "108": "ipcomp", "112": "vrrp", "115": "l2tp", "132": "sctp", "135": "mobility",
    "136": "udplite", "icmpv6": "ipv6-icmp", "icmp6": "ipv6-icmp", "mh": "mobility", "all": "",
    "0": "",
}  # fmt: skip


def number(word: str) -> int:
    """Read a number as strtoul does with base 0: decimal, 0x hexadecimal, 0 octal."""
    if not _NUMBER.match(word):
        raise ValueError("a number")
    if word[0] == "0" and word.isdigit():
        if "8" in word or "9" in word:
            raise ValueError("a number (one that begins with 0 is octal)")
        return int(word, 8)
    return int(word, 0)


def decimal(word: str, family: Family) -> str:  # noqa: ARG001
    """Write a plain number."""
    return str(number(word))


def verbatim(word: str, family: Family) -> str:  # noqa: ARG001
    """Keep a word, in quotes where it needs them."""
    return quote(word) if needs_quotes(word) else word


def text(word: str, family: Family) -> str:  # noqa: ARG001
    """Write free text, quoted as xtables_save_string does."""
    return quote(word)


def upper_list(order: str) -> Fix:
    """Return a fix for a comma-separated list, printed in the order in which iptables knows it."""
    rank = {name: place for place, name in enumerate(order.split())}

    @lru_cache(maxsize=256)
    def fix(word: str, family: Family) -> str:  # noqa: ARG001
        names = set(word.upper().split(","))
        if not names <= rank.keys():
            raise ValueError(f"a list of {', '.join(rank)}")
        return ",".join(sorted(names, key=rank.__getitem__))

    return fix


@lru_cache(maxsize=256)
def protocol(word: str, family: Family) -> str:  # noqa: ARG001
    """Write a protocol by its name, empty for all of them."""
    name = word.lower()
    if name.isascii() and name.isdigit():
        if len(name) > 3 or number(str(int(name))) > 255:
            raise ValueError("a protocol name or a number from 0 to 255")
        name = str(int(name))
    elif not re.match(r"[a-z0-9][-a-z0-9+._/]*\Z", name):
        raise ValueError("a protocol name or a number from 0 to 255")
    return PROTOCOLS.get(name, name)


def address(word: str, family: Family) -> str:
    """Write an address with its prefix, host bits cleared; empty for any address.

    A mask that is not a prefix is kept as a mask, as iptables does.
    """
    host, _, mask = word.partition("/")
    if family == IPV4:
        packed = _pton(socket.AF_INET, host, "an IPv4 address")
        if not mask or mask == "32":
            return host + "/32"
        return _masked(packed, mask, socket.AF_INET)
    packed = _pton(socket.AF_INET6, host, "an IPv6 address")
    if not mask or mask == "128":
        return socket.inet_ntop(socket.AF_INET6, packed) + "/128"
    return _masked(packed, mask, socket.AF_INET6)


def _pton(kind: socket.AddressFamily, word: str, hint: str) -> bytes:
    try:
        return socket.inet_pton(kind, word)
    except (OSError, ValueError) as error:
        raise ValueError(f"{hint}; names are not looked up") from error


def _masked(packed: bytes, mask: str, kind: socket.AddressFamily) -> str:
    """Clear the bits outside the mask and write address and mask."""
    bits = len(packed) * 8
    full = (1 << bits) - 1
    if mask.isascii() and mask.isdigit():
        length = int(mask) if len(mask) < 4 else bits + 1
        if length > bits:
            raise ValueError(f"a prefix length from 0 to {bits}")
        ones = full ^ (full >> length)
    else:
        ones = int.from_bytes(_pton(kind, mask, "a prefix length or a mask"), "big")
    kept = (int.from_bytes(packed, "big") & ones).to_bytes(len(packed), "big")
    holes = full ^ ones
    if holes & (holes + 1):
        told = socket.inet_ntop(kind, ones.to_bytes(len(packed), "big"))
        return f"{socket.inet_ntop(kind, kept)}/{told}"
    length = ones.bit_count()
    return f"{socket.inet_ntop(kind, kept)}/{length}" if length else ""


def interface(word: str, family: Family) -> str:  # noqa: ARG001
    """Write an interface name; empty for `+`, which is any."""
    if not word or len(word) > 15 or any(char in word for char in ' \t"/'):
        raise ValueError("an interface name of at most 15 characters")
    return "" if word == "+" else word


def port(word: str, family: Family) -> str:  # noqa: ARG001
    """Write a port or a range of ports; empty for all ports."""
    if word.isascii() and word.isdigit() and word[0] != "0" and len(word) < 6:
        if int(word) > 65535:
            raise ValueError("a port from 0 to 65535")
        return word
    low, colon, high = word.partition(":")
    first = _port_number(low) if low or not colon else 0
    if not colon:
        return str(first)
    last = _port_number(high) if high else 65535
    if last < first:
        raise ValueError("a range whose first port is the smaller")
    if (first, last) == (0, 65535):
        return ""
    return str(first) if first == last else f"{first}:{last}"


@lru_cache(maxsize=1024)
def _port_number(word: str) -> int:
    if word.isascii() and word.isdigit():
        value = int(word) if len(word) < 7 else 65536
        if value > 65535:
            raise ValueError("a port from 0 to 65535")
        return value
    if _PORT_NAME.match(word):
        try:
            return socket.getservbyname(word)
        except OSError:
            pass
    raise ValueError("a port from 0 to 65535 or the name of a service")


def ports(word: str, family: Family) -> str:
    """Write a list of ports and ranges (multiport)."""
    return ",".join(port(part, family) or "0:65535" for part in word.split(","))


def mark(word: str, family: Family) -> str:  # noqa: ARG001
    """Write the value and mask of `-m mark --mark`."""
    value, mask = mark_and_mask(word)
    return f"{value:#x}" if mask == _FULL else f"{value:#x}/{mask:#x}"


def mark_and_mask(word: str) -> tuple[int, int]:
    """Read `value[/mask]` of 32 bits each; the mask is all ones where it is left out."""
    value, slash, mask = word.partition("/")
    pair = (number(value), number(mask) if slash else _FULL)
    if max(pair) > _FULL:
        raise ValueError("a mark of 32 bits")
    return pair


def set_mark(word: str, family: Family) -> str:  # noqa: ARG001
    """Write `--set-mark value/mask` as `--set-xmark`: its mask covers the value's bits too."""
    value, mask = mark_and_mask(word)
    return f"{value:#x}/{value | mask:#x}"


def set_xmark(word: str, family: Family) -> str:  # noqa: ARG001
    """Write `--set-xmark value/mask`."""
    value, mask = mark_and_mask(word)
    return f"{value:#x}/{mask:#x}"


def and_mark(word: str, family: Family) -> str:  # noqa: ARG001
    """Write `--and-mark bits` as `--set-xmark`."""
    return f"0x0/{~mark_and_mask(word)[0] & _FULL:#x}"


def or_mark(word: str, family: Family) -> str:  # noqa: ARG001
    """Write `--or-mark bits` as `--set-xmark`."""
    value = mark_and_mask(word)[0]
    return f"{value:#x}/{value:#x}"


def xor_mark(word: str, family: Family) -> str:  # noqa: ARG001
    """Write `--xor-mark bits` as `--set-xmark`."""
    return f"{mark_and_mask(word)[0]:#x}/0x0"


@lru_cache(maxsize=65536)
def probability(word: str, family: Family) -> str:  # noqa: ARG001
    """Write a probability as the kernel keeps it: a fraction of 2**31, with eleven decimals."""
    if not _DECIMAL.match(word) or float(word) > 1:
        raise ValueError("a probability from 0 to 1")
    # lround(): halves away from zero.
    return f"{int(float(word) * 0x80000000 + 0.5) / 0x80000000:.11f}"


@lru_cache(maxsize=1024)
def rate(word: str, family: Family) -> str:  # noqa: ARG001
    """Write a rate (`-m limit`) in the largest unit that tells it exactly, as iptables does."""
    amount, slash, unit = word.partition("/")
    scale = 10000
    units = (("day", 86400 * scale), ("hour", 3600 * scale), ("min", 60 * scale), ("sec", scale))
    full = {"day": "day", "hour": "hour", "min": "minute", "sec": "second"}
    size = units[3][1]
    if slash:
        sizes = [n for name, n in units if unit and full[name].startswith(unit.lower())]
        if not sizes:
            raise ValueError("a rate such as 5/min")
        size = sizes[-1]
    count = number(amount)
    if not count or count > size:
        raise ValueError("a rate such as 5/min")
    period = size // count
    place = 1
    while place < 4 and not (
        period > units[place][1] or units[place][1] // period < units[place][1] % period
    ):
        place += 1
    name, per = units[place - 1]
    return f"{per // period}/{name}"


@lru_cache(maxsize=256)
def tcp_flags(mask: str, wanted: str) -> str:
    """Write the two lists of `--tcp-flags` in the order of the header's bits."""
    order = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
    parts = []
    for word in (mask, wanted):
        names = set(word.upper().split(","))
        if "ALL" in names:
            names = set(order)
        names.discard("NONE")
        if not names <= set(order):
            raise ValueError(f"a list of {', '.join(order)}, ALL or NONE")
        parts.append(",".join(name for name in order if name in names) or "NONE")
    return " ".join(parts)


def nat_address(word: str, family: Family) -> str:
    """Write the address, range and ports of `--to-destination` and `--to-source`."""
    if family == IPV4:
        host, colon, rest = word.partition(":")
        if "-" not in host:
            if host:
                _pton(socket.AF_INET, host, "an address, with :PORT")
            if not colon:
                return host
            if rest.isascii() and rest.isdigit() and len(rest) < 6 and int(rest) < 65536:
                return f"{host}:{int(rest)}"
        return _nat_range(host, socket.AF_INET) + (colon and f":{_nat_ports(rest)}")
    if not word.startswith("["):
        return _nat_range(word, socket.AF_INET6)
    host, bracket, rest = word[1:].partition("]")
    if not bracket or (rest and rest[0] != ":"):
        raise ValueError("[ADDRESS]:PORT")
    inner = _nat_range(host.replace("]-[", "-"), socket.AF_INET6)
    return f"[{inner}]:{_nat_ports(rest[1:])}" if rest else inner


def _nat_range(word: str, kind: socket.AddressFamily) -> str:
    if not word:
        return ""
    ends = word.split("-")
    if len(ends) > 2:
        raise ValueError("an address or a range of two")
    packed = [_pton(kind, end, "an address or a range of two") for end in ends]
    return "-".join(dict.fromkeys(socket.inet_ntop(kind, end) for end in packed))


def _nat_ports(word: str) -> str:
    ends, slash, base = word.partition("/")
    told = "-".join(dict.fromkeys(str(_port_number(end)) for end in ends.split("-", 1)))
    return f"{told}/{_port_number(base)}" if slash else told


_REJECTS: dict[Family, dict[str, str]] = {
    IPV4: {
        "net-unreach": "icmp-net-unreachable", "host-unreach": "icmp-host-unreachable",
        "proto-unreach": "icmp-proto-unreachable", "port-unreach": "icmp-port-unreachable",
        "net-prohib": "icmp-net-prohibited", "host-prohib": "icmp-host-prohibited",
        "admin-prohib": "icmp-admin-prohibited", "tcp-rst": "tcp-reset",
    },
    IPV6: {
        "no-route": "icmp6-no-route", "adm-prohibited": "icmp6-adm-prohibited",
        "addr-unreach": "icmp6-addr-unreachable", "port-unreach": "icmp6-port-unreachable",
        "policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route",
    },
}  # fmt: skip


def reject_with(word: str, family: Family) -> str:
    """Write the answer of `-j REJECT` by its full name."""
    if not re.match(r"[-a-z0-9]+\Z", word):
        raise ValueError("an answer such as icmp-port-unreachable")
    return _REJECTS[family].get(word, word)


_LOG_LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")


def log_level(word: str, family: Family) -> str:  # noqa: ARG001
    """Write a log level by its number."""
    names = {name: place for place, name in enumerate(_LOG_LEVELS)}
    level = (names | {"panic": 0, "err": 3, "warn": 4}).get(word.lower())
    if level is None:
        level = number(word)
    if level > 7:
        raise ValueError(f"a level from 0 to 7, or one of {', '.join(_LOG_LEVELS)}")
    return str(level)


_ICMP: dict[Family, dict[str, str]] = {
    IPV4: {
        "echo-reply": "0", "pong": "0", "destination-unreachable": "3",
        "network-unreachable": "3/0", "host-unreachable": "3/1", "protocol-unreachable": "3/2",
        "port-unreachable": "3/3", "fragmentation-needed": "3/4", "source-route-failed": "3/5",
        "source-quench": "4", "redirect": "5", "echo-request": "8", "ping": "8",
        "router-advertisement": "9", "router-solicitation": "10", "time-exceeded": "11",
        "ttl-exceeded": "11", "parameter-problem": "12", "timestamp-request": "13",
        "timestamp-reply": "14", "address-mask-request": "17", "address-mask-reply": "18",
        "255": "any",
    },
    IPV6: {
        "destination-unreachable": "1", "no-route": "1/0", "communication-prohibited": "1/1",
        "beyond-scope": "1/2", "address-unreachable": "1/3", "port-unreachable": "1/4",
        "failed-policy": "1/5", "reject-route": "1/6", "packet-too-big": "2", "time-exceeded": "3",
        "ttl-exceeded": "3", "ttl-zero-during-transit": "3/0", "parameter-problem": "4",
        "bad-header": "4/0", "unknown-header-type": "4/1", "unknown-option": "4/2",
        "echo-request": "128", "ping": "128", "echo-reply": "129", "pong": "129",
        "router-solicitation": "133", "router-advertisement": "134",
        "neighbour-solicitation": "135", "neighbor-solicitation": "135",
        "neighbour-advertisement": "136", "neighbor-advertisement": "136", "redirect": "137",
    },
}  # fmt: skip


def icmp_type(word: str, family: Family) -> str:
    """Write an ICMP type by its number; a name without one here is kept."""
    if not re.match(r"[-a-zA-Z0-9/]+\Z", word):
        raise ValueError("an ICMP type such as 8 or 3/1")
    return _ICMP[family].get(word.lower(), word)


def recent_mask(word: str, family: Family) -> str:
    """Write the mask of `-m recent` as an address."""
    kind = socket.AF_INET if family == IPV4 else socket.AF_INET6
    return socket.inet_ntop(kind, _pton(kind, word, "a mask"))
