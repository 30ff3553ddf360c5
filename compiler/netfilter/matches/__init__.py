"""The matches that the parser knows, one file per kind.

What is not here is not rejected: its words are kept as they are, compared as text, and counted
(`Ruleset.unknown`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from compiler.netfilter.extension import Extension
from compiler.netfilter.matches.addrtype import ADDRTYPE
from compiler.netfilter.matches.conntrack import CONNTRACK, STATE
from compiler.netfilter.matches.inert import COMMENT, NFACCT
from compiler.netfilter.matches.mark import CONNMARK, MARK
from compiler.netfilter.matches.other import ICMP, ICMP6, LIMIT, PHYSDEV, SET
from compiler.netfilter.matches.ports import MULTIPORT, TCP, TRANSPORT
from compiler.netfilter.matches.recent import RECENT
from compiler.netfilter.matches.statistic import STATISTIC

MATCHES: Mapping[str, Extension] = MappingProxyType(
    {
        "comment": COMMENT,
        "tcp": TCP,
        "udp": TRANSPORT,
        "udplite": TRANSPORT,
        "sctp": TRANSPORT,
        "dccp": TRANSPORT,
        "multiport": MULTIPORT,
        "icmp": ICMP,
        "icmp6": ICMP6,
        "conntrack": CONNTRACK,
        "state": STATE,
        "mark": MARK,
        "connmark": CONNMARK,
        "addrtype": ADDRTYPE,
        "set": SET,
        "statistic": STATISTIC,
        "recent": RECENT,
        "nfacct": NFACCT,
        "limit": LIMIT,
        "physdev": PHYSDEV,
    }
)

# `-p tcp --dport 80` loads the match of the protocol by itself.
IMPLIED: Mapping[str, str] = MappingProxyType(
    {
        "tcp": "tcp", "udp": "udp", "udplite": "udplite", "sctp": "sctp", "dccp": "dccp",
        "icmp": "icmp", "ipv6-icmp": "icmp6",
    }
)  # fmt: skip
