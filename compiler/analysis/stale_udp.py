"""What a delta leaves stale in connection tracking, read from rules alone."""

from __future__ import annotations

from compiler.analysis.conntrack import Command, Endpoint, UdpServicePort, stale_entry_commands
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Key
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import differing


def stale_udp_commands(old: Ruleset, new: Ruleset) -> list[Command]:
    """Return the `conntrack -D` commands for after a delta from `old` to `new` was loaded.

    Rules show the endpoints that they use, not all that serve: an entry that leads to an endpoint
    which ends but still serves is deleted too.
    """
    if not _udp_rules_differ(old, new):
        return []
    sides = NodeRules(old), NodeRules(new)
    keys = [key for key in dict.fromkeys((*sides[0].keys, *sides[1].keys)) if key.protocol == "udp"]
    ports = [[_udp_port(side, key) for key in keys if key in side] for side in sides]
    return stale_entry_commands(ports[0], ports[1], new.family)


def _udp_rules_differ(old: Ruleset, new: Ruleset) -> bool:
    """Say whether any rule about UDP is on one side alone; most deltas change none."""
    for _, was, now in differing(old.table("nat"), new.table("nat")):
        if was is not None and now is not None and was.content is now.content:
            continue
        texts = [set(chain.texts()) if chain is not None else set() for chain in (was, now)]
        if any(" -p udp " in f" {text} " for text in texts[0] ^ texts[1]):
            return True
    return False


def _udp_port(side: NodeRules, key: Key) -> UdpServicePort:
    """Read one service port."""
    found = side.service_port(key)
    addresses: list[str] = []
    port = node_port = 0
    for entry in found.entry_points:
        host, _, number = entry.address.rpartition(":")
        if entry.kind == "node port":
            node_port = int(entry.address)
        elif entry.kind != "health-check node port":
            addresses.append(host.strip("[]"))
            port = int(number)
    endpoints: set[Endpoint] = set()
    for dispatch in (found.cluster, found.local):
        for endpoint in dispatch.endpoints if dispatch else ():
            host, _, number = endpoint.address.rpartition(":")
            if number.isdigit():
                endpoints.add((host.strip("[]"), int(number)))
    return UdpServicePort(tuple(dict.fromkeys(addresses)), port, node_port, frozenset(endpoints))
