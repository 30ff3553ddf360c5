"""Names of the chains that belong to a service port or an endpoint.

kube-proxy hashes what a chain is for with SHA-256, writes the hash in base32 and takes the first 16
characters, so that a name fits iptables' 28. Source: kubernetes `pkg/proxy/iptables/proxier.go`
(`portProtoHash`, `servicePortEndpointChainName`).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_LENGTH = 16
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DIGEST_BYTES = 32

# base32 makes eight characters of five bytes. The n-th character's five bits lie in one byte, or
# across two; each table moves a byte's share of them to where it belongs in the character.
_SHARES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((0, 3),),
    ((0, -2), (1, 6)),
    ((1, 1),),
    ((1, -4), (2, 4)),
    ((2, -1), (3, 7)),
    ((3, 2),),
    ((3, -3), (4, 5)),
    ((4, 0),),
)


def _shift_table(shift: int) -> bytes:
    return bytes((b >> shift if shift >= 0 else b << -shift) & 31 for b in range(256))


_TABLES = [[(byte, _shift_table(shift)) for byte, shift in shares] for shares in _SHARES]
_LETTERS = ALPHABET + bytes(256 - len(ALPHABET))


def chain_names(prefix: str, keys: Sequence[str]) -> list[str]:
    """Name the chains of one kind: the prefix, and each key's hash in 16 characters.

    A base32 at a time takes longer than the SHA-256 before it, and a large cluster has 100,000
    names: so all names are written at once, character column by character column.
    """
    digests = b"".join([sha256(key.encode()).digest() for key in keys])
    text = bytearray((prefix.encode() + bytes(HASH_LENGTH)) * len(keys))
    width = len(prefix) + HASH_LENGTH
    for place in range(HASH_LENGTH):
        group, character = divmod(place, len(_TABLES))
        bits = [
            digests[group * 5 + byte :: _DIGEST_BYTES].translate(table)
            for byte, table in _TABLES[character]
        ]
        text[len(prefix) + place :: width] = _or(bits).translate(_LETTERS)
    names = text.decode("ascii")
    return [names[start : start + width] for start in range(0, len(names), width)]


def _or(parts: Sequence[bytes]) -> bytes:
    """Combine columns whose bits don't overlap."""
    if len(parts) == 1:
        return parts[0]
    left, right = (int.from_bytes(part, "little") for part in parts)
    return (left | right).to_bytes(len(parts[0]), "little")
