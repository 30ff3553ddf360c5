"""What rules about exposure ask: where node ports are open, and what source ranges limit."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from enum import Enum

from compiler.analysis.lint.context import Context
from compiler.family import Family
from compiler.manifests.address import Network, network_family, parse_network
from compiler.proxy.configuration import NODE_PORT_KEYWORDS, ProxyConfig
from compiler.proxy.node import node_name, node_ports

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


class Reach(Enum):
    """On which addresses of the nodes, beside the loopback ones, node ports accept connections."""

    EVERY = "on every address of the nodes"
    SOME = "on the addresses that nodePortAddresses selects"
    NONE = "on no address"
    UNKNOWN = "on addresses that are not known"


def reach(context: Context, family: Family) -> Reach:
    """Return where node ports of a family accept connections from other machines.

    Without kube-proxy's configuration this is its default, every address. UNKNOWN where networks
    are configured and there is no Node that has its addresses.
    """
    entries = entries_for(context.config, family)
    if not entries:
        return Reach.EVERY
    asked = context.given.node or context.config.hostname_override
    names = [name for name in map(node_name, context.nodes) if asked in {None, name}]
    if not names and "primary" in entries:
        return Reach.SOME
    nodes = [context.local_node(family, name) for name in names]
    places = [node_ports(context.config, node, family).addresses for node in nodes]
    if None in places or "all" in entries or covers_everything(_networks(entries)):
        return Reach.EVERY
    if not nodes:
        return Reach.UNKNOWN
    some = (ipaddress.ip_address(address) for place in places for address in place or ())
    return Reach.SOME if any(not address.is_loopback for address in some) else Reach.NONE


def _networks(entries: Sequence[str]) -> list[Network]:
    return [network for entry in entries if (network := parse_network(entry))]
