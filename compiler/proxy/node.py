"""The node that the rules are for: its name, addresses, zone, and where its node ports listen."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.manifests.address import (
    Address,
    Network,
    canonical,
    family_of,
    network_family,
    parse_network,
)
from compiler.manifests.convert import shorten
from compiler.manifests.schema import Node
from compiler.proxy.configuration import NODE_PORT_KEYWORDS, ProxyConfig
from compiler.proxy.release import Change, Release, since

LOCALHOST = {Family.IPV4: "127.0.0.0/8", Family.IPV6: "::1/128"}
_ALL = {Family.IPV4: "0.0.0.0/0", Family.IPV6: "::/0"}
_FULL_PREFIX = {Family.IPV4: 32, Family.IPV6: 128}
_IPV4_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")

# How many node names a message lists.
_NAMES_LISTED = 10


@dataclass(frozen=True)
class LocalNode:
    """The node as one family's rules see it; `name` is None where it doesn't matter.

    `ip` is kube-proxy's node IP, `addresses` all that node ports may listen on, `pod_cidr` the
    family's first of `spec.podCIDRs`. `is_known` is whether there is a Node object; without one,
    `ip` may be what kube-proxy falls back to, and `addresses` lack the Node's own
    (`knows_ip` and `knows_addresses` are False then).
    """

    name: str | None
    is_known: bool
    knows_ip: bool
    knows_addresses: bool
    ip: str
    zone: str | None
    addresses: tuple[str, ...]
    pod_cidr: str | None

    @property
    def outer_addresses(self) -> tuple[str, ...]:
        """Its addresses without the loopback ones."""
        return tuple(one for one in self.addresses if not ipaddress.ip_address(one).is_loopback)


@dataclass(frozen=True)
class NodePorts:
    """Where node ports listen: on `addresses`, or on every local address where that is None.

    `localhost` is whether the loopback address is among them on purpose (IPv4 only).
    """

    addresses: tuple[str, ...] | None
    localhost: bool


def node_name(node: Node) -> str:
    """Return a Node's name."""
    return (node.metadata.name if node.metadata else None) or ""


def choose_node(nodes: Sequence[Node], wanted: str | None, config: ProxyConfig) -> str | None:
    """Decide which node the rules are for: `--node`, `hostnameOverride`, or the only one there.

    None where nothing names it: what depends on the node must then be rejected. Raises `InputError`
    where the named node is not among the Nodes that are there.
    """
    name = wanted or config.hostname_override
    names = [node_name(node) for node in nodes]
    if name is None:
        return names[0] if len(names) == 1 else None
    if nodes and name not in names:
        message, hint = f"no Node {shorten(name)} in the manifests", list_nodes(names)
        if wanted:
            raise InputError(Problem.of_argument("node", message, hint))
        raise InputError(config.tell("hostname_override", message, hint))
    return name


def list_nodes(names: Iterable[str]) -> str:
    """List the nodes that can be named, as a hint."""
    known = sorted(set(names))
    if not known:
        return "pass the node's name, or add its Node to the manifests"
    more = f" and {len(known) - _NAMES_LISTED} more" if len(known) > _NAMES_LISTED else ""
    return f"nodes: {', '.join(known[:_NAMES_LISTED])}{more}"


def local_node(
    name: str | None,
    node: Node | None,
    config: ProxyConfig,
    family: Family,
    extra_addresses: Sequence[str] = (),
) -> LocalNode:
    """Gather what a family's rules need to know of the node; `node` is None where none is there.

    Node IP: a specific `bindAddress` of the family, else the Node's first InternalIP, else its
    first ExternalIP, else the loopback address. Source: kubernetes `cmd/kube-proxy/app/
    server.go` (`detectNodeIPs`).
    """
    reported = (node.status.addresses if node and node.status else None) or []

    def reported_as(kind: str) -> list[str]:
        ips = [address.address or "" for address in reported if address.type == kind]
        return [canonical(ip) for ip in ips if family_of(ip) is family]

    internal = reported_as("InternalIP")
    bound = _bound_ip(config, family)
    ip = bound or (internal or reported_as("ExternalIP") or [family.loopback])[0]
    extra = [canonical(address) for address in extra_addresses if family_of(address) is family]
    labels = node.metadata.labels if node and node.metadata else None
    pod_cidrs = (node.spec.pod_cidrs if node and node.spec else None) or []
    of_family = [
        cidr
        for cidr in pod_cidrs
        if (network := parse_network(cidr)) and network_family(network) is family
    ]
    return LocalNode(
        name=name,
        is_known=node is not None,
        knows_ip=node is not None or bound is not None,
        knows_addresses=node is not None or bool(extra),
        ip=ip,
        zone=labels.zone if labels else None,
        addresses=tuple(dict.fromkeys([family.loopback, *internal, *extra])),
        pod_cidr=of_family[0] if of_family else None,
    )


def _bound_ip(config: ProxyConfig, family: Family) -> str | None:
    """Return a `bindAddress` of the family that is a specific one."""
    bound = config.bind_address
    if not bound or family_of(bound) is not family or ipaddress.ip_address(bound).is_unspecified:
        return None
    return canonical(bound)


def check_node_port_addresses(config: ProxyConfig, release: Release) -> list[Problem]:
    """Find keywords in `nodePortAddresses` that the release doesn't know."""
    entries = config.node_port_addresses
    keywords = [entry for entry in entries if entry in NODE_PORT_KEYWORDS]
    if release.has(Change.NODE_PORT_KEYWORDS) or not keywords:
        return []
    if keywords == ["primary"] == list(entries):
        if release.has(Change.PRIMARY):
            return []
        subject, hint = '"primary"', f"use Kubernetes {since(Change.PRIMARY)} or later"
    else:
        subject = f"{', '.join(map(shorten, keywords))} beside other entries"
        newer = since(Change.NODE_PORT_KEYWORDS)
        hint = f'use "primary" alone, or Kubernetes {newer} or later'
    message = f"{subject} is not supported in Kubernetes {release}"
    return [config.tell("nodeport_addresses", message, hint)]


def node_ports(config: ProxyConfig, node: LocalNode, family: Family) -> NodePorts:
    """Decide where node ports listen.

    Source: kubernetes `pkg/proxy/util/nodeport_addresses.go`.
    """
    networks = _node_port_networks(config.node_port_addresses, node, family)
    localhost = family is Family.IPV4 and config.localhost_node_ports
    if localhost and networks:
        localhost = any(_covers_loopback(network) for network in networks)
    if not networks or any(network.prefixlen == 0 for network in networks):
        return NodePorts(None, localhost)
    addresses: list[Address] = []
    for text in node.addresses:
        address = ipaddress.ip_address(text)
        if any(address in network for network in networks) and (
            localhost or not address.is_loopback
        ):
            addresses.append(address)
    return NodePorts(tuple(str(address) for address in sorted(addresses, key=int)), localhost)


def _node_port_networks(entries: Sequence[str], node: LocalNode, family: Family) -> list[Network]:
    meanings = {
        "primary": f"{node.ip}/{_FULL_PREFIX[family]}",
        "localhost": LOCALHOST[family],
        "all": _ALL[family],
    }
    networks = [parse_network(meanings.get(entry, entry)) for entry in entries]
    return [network for network in networks if network and network_family(network) is family]


def _covers_loopback(network: Network) -> bool:
    return network.network_address in _IPV4_LOOPBACK or (_IPV4_LOOPBACK.network_address in network)
