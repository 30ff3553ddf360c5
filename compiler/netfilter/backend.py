"""The two implementations of iptables: both may hold rules on one machine."""

from __future__ import annotations

from enum import StrEnum


class Backend(StrEnum):
    """Which kernel interface the rules go through: `iptables-nft` or `iptables-legacy`."""

    NFT = "nft"
    LEGACY = "legacy"


def tables_of(backend: Backend | None) -> str:
    """Name the tables of a backend, of which a dump has those of one more."""
    return f"iptables-{backend} tables" if backend else "tables of the other backend"
