"""What belongs to which service port, read straight from kube-proxy's own words.

A second opinion for the tests of `diff` and `verify`: plain text, no canonical form, no model.
"""

from __future__ import annotations

import re

PORTALS = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL")
_COMMENT = re.compile(r' -m comment --comment ("[^"]*"|\S+)')
_NFACCT = re.compile(r" -m nfacct --nfacct-name \w+")
_NAME = re.compile(r'--comment "?([^"\s]+/[^"\s]+)(?:"|\s)')

Port = tuple[str, str]


def traffic_lines(text: str) -> dict[Port | None, list[str]]:
    """Map each service port, and None for the whole node, to its rules.

    Rules are sorted and have neither comments nor nfacct; the masquerade mark is the node's matter
    and stands as MARK in the rules of service ports.
    """
    rows = _rows(text)
    owner = _owners(rows)
    found: dict[Port | None, list[str]] = {}
    health: list[tuple[str, str]] = []
    for table, chain, line in rows:
        bare = table + _COMMENT.sub("", _NFACCT.sub("", line))
        if "-m nfacct" in line and "-d 127.0.0.0/8" in line:
            continue
        if "health check node port" in line and (name := _NAME.search(line)):
            health.append((name[1], bare))
            continue
        own = _portal(line) if chain in PORTALS else owner.get(chain) or owner.get(chain[-16:])
        found.setdefault(own, []).append(re.sub("0x0000[48]000", "MARK", bare) if own else bare)
    for name_, bare in health:
        # the health check is TCP whatever the service port is
        known = [port for port in found if port and port[0] == name_]
        found.setdefault(known[0] if known else (name_, "tcp"), []).append(bare)
    return {port: sorted(lines) for port, lines in found.items()}


def _rows(text: str) -> list[tuple[str, str, str]]:
    """Return table, chain and line of every rule."""
    rows: list[tuple[str, str, str]] = []
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line
        elif line.startswith("-A "):
            rows.append((table, line.split(" ")[1], line))
    return rows


def _owners(rows: list[tuple[str, str, str]]) -> dict[str, Port]:
    """Map the hashes of service ports' chains, and the endpoints' chains, to the service port."""
    owner: dict[str, Port] = {}
    for _, chain, line in rows:
        target = re.search(r"-j (KUBE-(?:SVC|SVL|EXT|FW)-\w{16})$", line)
        if target and chain in PORTALS and (port := _portal(line)):
            owner[target[1][-16:]] = port
    for _, chain, line in rows:
        if (target := re.search(r"-j (KUBE-SEP-\w{16})$", line)) and chain[-16:] in owner:
            owner[target[1]] = owner[chain[-16:]]
    return owner


def _portal(line: str) -> Port | None:
    name = _NAME.search(line)
    protocol = re.search(r"-p (\w+)", line)
    return (name[1], protocol[1]) if name and protocol else None
