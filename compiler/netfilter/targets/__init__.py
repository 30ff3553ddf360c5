"""The targets that the parser knows, one file per kind.

`TARGETS` have tables of their options. `OTHER_TARGETS` are extensions too, and not chains: what
follows them is kept and compared as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from compiler.netfilter.extension import Extension
from compiler.netfilter.targets.mark import MARK
from compiler.netfilter.targets.nat import DNAT, MASQUERADE, REDIRECT, SNAT
from compiler.netfilter.targets.other import (
    ALTERS,
    CONNECTION_TRACKING,
    GOES_ON,
    LOG,
    REJECT,
    UNKNOWN,
    VERDICT,
)

TARGETS: Mapping[str, Extension] = MappingProxyType(
    {
        "ACCEPT": VERDICT,
        "DROP": VERDICT,
        "RETURN": VERDICT,
        "REJECT": REJECT,
        "DNAT": DNAT,
        "SNAT": SNAT,
        "MASQUERADE": MASQUERADE,
        "REDIRECT": REDIRECT,
        "MARK": MARK,
        "LOG": LOG,
    }
)

# They look at packets only.
_GOING_ON = ("AUDIT", "IDLETIMER", "LED", "NFLOG", "RATEEST", "TRACE", "ULOG")
# They change what no match here reads, or send a copy.
_ALTERING = (
    "CHECKSUM", "CLASSIFY", "CONNSECMARK", "DSCP", "ECN", "HL", "SECMARK", "TCPMSS", "TCPOPTSTRIP",
    "TEE", "TOS", "TTL",
)  # fmt: skip
_UNDECIDED = (
    "CLUSTERIP", "CONNMARK", "DNPT", "HMARK", "MIRROR", "NETMAP", "NFQUEUE", "QUEUE", "SAME",
    "SET", "SNPT", "SYNPROXY", "TPROXY",
)  # fmt: skip
OTHER_TARGETS: Mapping[str, Extension] = MappingProxyType(
    dict.fromkeys(_GOING_ON, GOES_ON)
    | dict.fromkeys(_ALTERING, ALTERS)
    | dict.fromkeys(_UNDECIDED, UNKNOWN)
    | dict.fromkeys(("CT", "NOTRACK"), CONNECTION_TRACKING)
)
