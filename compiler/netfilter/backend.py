"""The two implementations of iptables: both may hold rules on one machine."""

from __future__ import annotations

from enum import StrEnum


class Backend(StrEnum):
    """Which kernel interface the rules go through: `iptables-nft` or `iptables-legacy`."""

    NFT = "nft"
    LEGACY = "legacy"
