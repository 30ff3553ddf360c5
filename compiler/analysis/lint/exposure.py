"""What rules about exposure ask: where node ports are open, and what source ranges limit."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from compiler.family import Family
from compiler.manifests.address import Network, network_family, parse_network
from compiler.proxy.configuration import NODE_PORT_KEYWORDS, ProxyConfig

_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


def entries_for(config: ProxyConfig, family: Family) -> list[str]:
    """Return the entries of `nodePortAddresses` that limit a family's node ports.

    Without one, kube-proxy opens them on every address, also where there are entries of the other
    family. Source: kubernetes `pkg/proxy/util/nodeport_addresses.go` (`NewNodePortAddresses`).
    """
    return [
        entry
        for entry in config.node_port_addresses
        if entry in NODE_PORT_KEYWORDS
        or ((network := parse_network(entry)) and network_family(network) is family)
    ]


def covers_loopback(entry: str) -> bool:
    """Tell whether an entry of `nodePortAddresses` has IPv4's loopback addresses.

    Source: kubernetes `pkg/proxy/util/nodeport_addresses.go` (`ContainsIPv4Loopback`).
    """
    if entry in NODE_PORT_KEYWORDS:
        return entry in {"localhost", "all"}
    network = parse_network(entry)
    return isinstance(network, ipaddress.IPv4Network) and network.overlaps(_LOOPBACK)


def on_loopback_alone(config: ProxyConfig, family: Family) -> bool:
    """Tell whether node ports of a family are open on loopback addresses at most."""
    entries = entries_for(config, family)
    return bool(entries) and all(map(_is_loopback, entries))


def _is_loopback(entry: str) -> bool:
    if entry in NODE_PORT_KEYWORDS:
        return entry == "localhost"
    network = parse_network(entry)
    return network is not None and network.is_loopback


def covers_everything(networks: Sequence[Network]) -> bool:
    """Tell whether networks of one family have all of its addresses."""
    v4 = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    v6 = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    merged: list[Network] = [*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6)]
    return any(one.prefixlen == 0 for one in merged)
