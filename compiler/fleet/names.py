"""Which node a file is the dump of, by its name and folder."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import NamedTuple

COMPRESSED = (".gz", ".zst", ".zstd")
ARCHIVES = (".tar", ".tgz", ".tzst", ".zip", *(f".tar{suffix}" for suffix in COMPRESSED))

_SAVE = r"ip(?P<six>6?)tables(?:[-_](?:nft|legacy))?(?:[-_.](?:save|rules))?"
_TEXT = r"(?:\.(?:txt|save|rules))?"
# `iptables-save.txt`, `ip6tables-legacy-save`: the folder is the node's
_OF_FOLDER = re.compile(rf"{_SAVE}{_TEXT}\Z")
# Any name may be before that, even one with a newline: a dump is never passed over in silence.
# `NODE.iptables-save`, `NODE-iptables-save.txt`, `NODE_ip6tables.txt`
_AFTER = re.compile(rf"(?P<node>.+?)[-_.]{_SAVE}{_TEXT}\Z", re.DOTALL)
# `iptables-save-NODE.txt`
_BEFORE = re.compile(rf"ip(?P<six>6?)tables-save[-_.](?P<node>.+?){_TEXT}\Z", re.DOTALL)
_PLAIN = re.compile(r"(?P<node>.+)\.(?P<suffix>save|rules|txt)\Z", re.DOTALL)

# What the names of dumps look like, for messages.
EXPECTED = "expected NODE.save, NODE.rules, NODE.txt or NODE/iptables-save.txt"


class Named(NamedTuple):
    """What a file's name says: the node (empty where it says none), and whether of IPv6.

    `sure` is false for a text file that need not be a dump at all: only its content can say so.
    """

    node: str
    is_ipv6: bool
    sure: bool


def named(path: str, known: Collection[str]) -> Named | None:
    """Say whose dump a file is, or None where its name is not that of a dump.

    `path` is relative to the folder or archive; `known` are the names of the cluster's nodes. They
    decide where a name can be read in several ways.
    """
    parts = PurePosixPath(path).parts
    if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    *folders, base = parts
    for suffix in COMPRESSED:
        base = base.removesuffix(suffix)
    if base in known:
        return Named(base, is_ipv6=False, sure=True)
    of_folder = next((name for name in reversed(folders) if name in known), "")
    if found := _OF_FOLDER.match(base):
        return Named(of_folder or (folders or [""])[-1], bool(found["six"]), sure=True)
    readings = [found for pattern in (_BEFORE, _AFTER, _PLAIN) if (found := pattern.match(base))]
    for found in readings:
        if found["node"] in known:
            return Named(found["node"], _is_ipv6(found), sure=True)
    if not readings:
        return None
    found = readings[0]
    sure = found.re is not _PLAIN or found["suffix"] != "txt"
    return Named(of_folder or found["node"], _is_ipv6(found), sure)


def is_archive(path: str) -> bool:
    """Say whether a file's name is that of an archive, which may hold dumps."""
    return path.endswith(ARCHIVES)


def _is_ipv6(found: re.Match[str]) -> bool:
    return "six" in found.re.groupindex and bool(found["six"])
