"""The matches and targets that the parser knows, as tables.

Options stand in the order in which iptables-save prints them. What is not here is not refused: its
words are kept as they are, compared as text, and counted (`Ruleset.unknown`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.values import Fix


class Option(NamedTuple):
    """An option of a match or target.

    `name` is the one that is printed (`--dport` for `--destination-port`); `rank` its place in
    print; `words` how many words follow it; `fix` brings one of them into printed form; an option
    whose value is `default` is not printed.
    """

    name: str
    rank: int
    words: int
    fix: Fix
    default: str | None = None


# An option that a rule has: rank, printed words (with `! ` in front where it is negated).
Held = list[tuple[int, str]]


class Extension(NamedTuple):
    """A match or target.

    `options` are found by every name that iptables takes for them. A match is `pure` where asking
    it changes nothing, so that its place among other pure ones doesn't matter. `finish` completes
    the options of one rule (defaults that iptables-save prints).
    """

    options: Mapping[str, Option]
    pure: bool = True
    finish: Callable[[Held, Family], None] | None = None


def _table(*rows: tuple[str, int, Fix] | tuple[str, int, Fix, str | None]) -> Mapping[str, Option]:
    """Make an option table; a row's first word lists the names, the printed one first."""
    table: dict[str, Option] = {}
    for rank, row in enumerate(rows):
        names = row[0].split()
        default = row[3] if len(row) > 3 else None
        for name in names:
            table[name] = Option(names[0], rank, row[1], row[2], default)
    return MappingProxyType(table)


def _renamed(printed: str, rank: int, *rows: tuple[str, Fix]) -> dict[str, Option]:
    """Make options that are all printed as one (`--or-mark` as `--set-xmark`)."""
    return {name: Option(printed, rank, 1, fix) for name, fix in rows}


def _finish_recent(held: Held, family: Family) -> None:
    """Add what `-m recent` defaults to and iptables-save prints."""
    had = {rank for rank, _ in held}
    full = "255.255.255.255" if family == "ipv4" else ":".join(["ffff"] * 8)
    for rank, words in ((8, "--name DEFAULT"), (9, f"--mask {full}"), (10, "--rsource")):
        # --rsource and --rdest exclude one another
        if rank not in had and not (rank == 10 and 11 in had):
            held.append((rank, words))


def _finish_reject(held: Held, family: Family) -> None:
    """Add the default answer."""
    if not held:
        kind = "icmp" if family == "ipv4" else "icmp6"
        held.append((0, f"--reject-with {kind}-port-unreachable"))


def _finish_icmp(held: Held, family: Family) -> None:
    """`-m icmp` alone takes any type."""
    if not held and family == "ipv4":
        held.append((0, "--icmp-type any"))


_PORTS = (
    ("--sport --source-port", 1, values.port, ""),
    ("--dport --destination-port", 1, values.port, ""),
)
_NAT_FLAGS = (
    ("--random", 0, values.verbatim),
    ("--random-fully", 0, values.verbatim),
    ("--persistent", 0, values.verbatim),
)
_STATES = "INVALID NEW RELATED ESTABLISHED UNTRACKED SNAT DNAT"
_ADDRESS_TYPES = values.upper_list(
    "UNSPEC UNICAST LOCAL BROADCAST ANYCAST MULTICAST BLACKHOLE UNREACHABLE PROHIBIT THROW NAT"
    " XRESOLVE"
)
_STATEFUL = False

MATCHES: Mapping[str, Extension] = MappingProxyType(
    {
        "comment": Extension(_table(("--comment", 1, values.text))),
        "tcp": Extension(
            _table(
                *_PORTS,
                ("--tcp-option", 1, values.decimal),
                ("--tcp-flags", 2, values.verbatim),
                ("--syn", 0, values.verbatim),
            )
        ),
        "udp": Extension(_table(*_PORTS)),
        "udplite": Extension(_table(*_PORTS)),
        "sctp": Extension(_table(*_PORTS)),
        "dccp": Extension(_table(*_PORTS)),
        "multiport": Extension(
            _table(
                ("--sports --source-ports", 1, values.ports),
                ("--dports --destination-ports", 1, values.ports),
                ("--ports", 1, values.ports),
            )
        ),
        "icmp": Extension(_table(("--icmp-type", 1, values.icmp_type)), finish=_finish_icmp),
        "icmp6": Extension(_table(("--icmpv6-type", 1, values.icmp_type))),
        "conntrack": Extension(
            _table(
                ("--ctstate", 1, values.upper_list(_STATES)),
                ("--ctproto", 1, values.protocol),
                ("--ctorigsrc", 1, values.verbatim),
                ("--ctorigdst", 1, values.verbatim),
                ("--ctreplsrc", 1, values.verbatim),
                ("--ctrepldst", 1, values.verbatim),
                ("--ctorigsrcport", 1, values.port),
                ("--ctorigdstport", 1, values.port),
                ("--ctreplsrcport", 1, values.port),
                ("--ctrepldstport", 1, values.port),
                ("--ctstatus", 1, values.upper_list("NONE EXPECTED SEEN_REPLY ASSURED CONFIRMED")),
                ("--ctexpire", 1, values.verbatim),
                ("--ctdir", 1, values.upper_list("ORIGINAL REPLY")),
            )
        ),
        "state": Extension(
            _table(("--state", 1, values.upper_list("INVALID NEW RELATED ESTABLISHED UNTRACKED")))
        ),
        "mark": Extension(_table(("--mark", 1, values.mark))),
        "connmark": Extension(_table(("--mark", 1, values.mark))),
        "addrtype": Extension(
            _table(
                ("--src-type", 1, _ADDRESS_TYPES),
                ("--dst-type", 1, _ADDRESS_TYPES),
                ("--limit-iface-in", 0, values.verbatim),
                ("--limit-iface-out", 0, values.verbatim),
            )
        ),
        "set": Extension(_table(("--match-set", 2, values.verbatim)), _STATEFUL),
        "statistic": Extension(
            _table(
                ("--mode", 1, values.verbatim),
                ("--probability", 1, values.probability),
                ("--every", 1, values.decimal),
                ("--packet", 1, values.decimal),
            ),
            _STATEFUL,
        ),
        "recent": Extension(
            _table(
                ("--set", 0, values.verbatim),
                ("--rcheck", 0, values.verbatim),
                ("--update", 0, values.verbatim),
                ("--remove", 0, values.verbatim),
                ("--seconds", 1, values.decimal),
                ("--reap", 0, values.verbatim),
                ("--hitcount", 1, values.decimal),
                ("--rttl", 0, values.verbatim),
                ("--name", 1, values.verbatim),
                ("--mask", 1, values.recent_mask),
                ("--rsource", 0, values.verbatim),
                ("--rdest", 0, values.verbatim),
            ),
            _STATEFUL,
            _finish_recent,
        ),
        "nfacct": Extension(_table(("--nfacct-name", 1, values.verbatim)), _STATEFUL),
        "limit": Extension(
            _table(
                ("--limit", 1, values.rate, "3/hour"), ("--limit-burst", 1, values.decimal, "5")
            ),
            _STATEFUL,
        ),
        "physdev": Extension(
            _table(
                ("--physdev-is-in", 0, values.verbatim),
                ("--physdev-in", 1, values.verbatim),
                ("--physdev-is-out", 0, values.verbatim),
                ("--physdev-out", 1, values.verbatim),
                ("--physdev-is-bridged", 0, values.verbatim),
            )
        ),
    }
)

TARGETS: Mapping[str, Extension] = MappingProxyType(
    {
        "ACCEPT": Extension({}),
        "DROP": Extension({}),
        "RETURN": Extension({}),
        "REJECT": Extension(
            _table(("--reject-with", 1, values.reject_with)), finish=_finish_reject
        ),
        "DNAT": Extension(_table(("--to-destination", 1, values.nat_address), *_NAT_FLAGS)),
        "SNAT": Extension(_table(("--to-source", 1, values.nat_address), *_NAT_FLAGS)),
        "MASQUERADE": Extension(_table(("--to-ports", 1, values.verbatim), *_NAT_FLAGS[:2])),
        "REDIRECT": Extension(_table(("--to-ports", 1, values.verbatim), *_NAT_FLAGS[:1])),
        "MARK": Extension(
            _renamed(
                "--set-xmark",
                0,
                ("--set-xmark", values.set_xmark),
                ("--set-mark", values.set_mark),
                ("--and-mark", values.and_mark),
                ("--or-mark", values.or_mark),
                ("--xor-mark", values.xor_mark),
            )
        ),
        "LOG": Extension(
            _table(
                ("--log-prefix", 1, values.text),
                ("--log-level", 1, values.log_level, "4"),
                ("--log-tcp-sequence", 0, values.verbatim),
                ("--log-tcp-options", 0, values.verbatim),
                ("--log-ip-options", 0, values.verbatim),
                ("--log-uid", 0, values.verbatim),
                ("--log-macdecode", 0, values.verbatim),
            )
        ),
    }
)

# Targets of other extensions: what follows them is kept as text, and a jump to one of them is no
# jump to a chain.
OTHER_TARGETS = frozenset(
    (
        "AUDIT", "CHECKSUM", "CLASSIFY", "CLUSTERIP", "CONNMARK", "CONNSECMARK", "CT", "DNPT",
        "DSCP", "ECN", "HL", "HMARK", "IDLETIMER", "LED", "MIRROR", "NETMAP", "NFLOG", "NFQUEUE",
        "NOTRACK", "QUEUE", "RATEEST", "SAME", "SECMARK", "SET", "SNPT", "SYNPROXY", "TCPMSS",
        "TCPOPTSTRIP", "TEE", "TOS", "TPROXY", "TRACE", "TTL", "ULOG",
    )
)  # fmt: skip

# `-p tcp --dport 80` loads the match of the protocol by itself.
IMPLIED = MappingProxyType(
    {
        "tcp": "tcp", "udp": "udp", "udplite": "udplite", "sctp": "sctp", "dccp": "dccp",
        "icmp": "icmp", "ipv6-icmp": "icmp6",
    }
)  # fmt: skip
