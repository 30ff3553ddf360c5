"""From manifests to a lab's layout: its namespaces, their addresses, what listens where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compiler.control_plane.address_pool import AddressPool, ExhaustedError
from compiler.control_plane.complete import POD_NETWORKS
from compiler.control_plane.objects import at, list_at, text_at
from compiler.family import Family
from compiler.lab.errors import LabError
from compiler.lab.layout import NODE, Interfaces, Layout, Listener, Member, Role, Target
from compiler.manifests.address import canonical, family_of
from compiler.manifests.validate import is_subdomain
from compiler.proxy.iptables_plan import IptablesServicePort, project
from compiler.proxy.plan import LocalTraffic, Plan

# Set aside for benchmarks (RFC 2544, RFC 5180), so no cluster uses them.
OUTSIDE_NETWORKS = {Family.IPV4: "198.18.0.0/15", Family.IPV6: "2001:2::/48"}

# What the lab calls members that no manifest names.
OWN_NAMES = re.compile(r"node|(client|outside)-\d+")


@dataclass(frozen=True)
class NodeFacts:
    """The node: its name (None where it does not matter) and its own addresses, the main first."""

    name: str | None
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Clients:
    """Which clients there are besides the node, the Pods and one outside.

    `pods` is how many `client-N` there are; `outside` has an address for each further `outside-N`.
    """

    pods: int = 1
    outside: tuple[str, ...] = ()


@dataclass
class _Place:
    """A pod in the making: what it is called, where it runs, its addresses, what it serves."""

    namespace: str
    name: str
    node: str
    addresses: list[str] = field(default_factory=list)
    listening: dict[tuple[str, int], None] = field(default_factory=dict)


def layout_of(
    objects: Sequence[Mapping[str, Any]],
    plans: Mapping[Family, Plan],
    node: NodeFacts,
    clients: Clients = Clients(),
) -> Layout:
    """Work out the lab for these objects and the plans (by family) that were made from them.

    Every address in an EndpointSlice gets a namespace, Pods that serve nothing too: they are
    clients. Addresses of the node itself are served in the node's own namespace. Raises LabError
    where a network has no address left for a client.
    """
    drawing = _Drawing(objects, plans, node)
    members = [*drawing.node_and_pods(), *drawing.clients(clients)]
    local = next(iter(plans.values())).local_traffic or LocalTraffic()
    return Layout(
        members=tuple(members),
        listeners=tuple(drawing.listeners),
        targets=tuple(
            _target(port, family)
            for family, one in plans.items()
            for port in project(one).service_ports
        ),
        families=tuple(plans),
        interfaces=Interfaces(
            pod_prefix=local.interface_prefix or "pod", bridge=local.interface or ""
        ),
        localhost_node_ports=any(one.node_ports.localhost for one in plans.values()),
    )


def _target(planned: IptablesServicePort, family: Family) -> Target:
    port, chains = planned
    return Target(
        name=port.name,
        protocol=port.protocol.upper(),
        family=family,
        port=port.port,
        cluster_ip=port.cluster_ip,
        external_ips=port.external_ips,
        load_balancer_ips=port.load_balancer_ips,
        node_port=port.node_port,
        chains=(chains.cluster, chains.local, chains.external, chains.firewall, *chains.endpoints),
    )


class _Drawing:
    def __init__(
        self, objects: Sequence[Mapping[str, Any]], plans: Mapping[Family, Plan], node: NodeFacts
    ) -> None:
        self.plans = plans
        self.node = node
        self.places: dict[tuple[str, str], _Place] = {}
        self.owners: dict[str, _Place] = {}
        for found in objects:
            if found.get("kind") == "EndpointSlice":
                self._take_slice(found)
        for found in objects:
            if found.get("kind") == "Pod":
                self._take_pod(found)
        self.taken = {*self.owners, *node.addresses, *self._virtual(), *_node_addresses(objects)}
        self.outside = {
            family: AddressPool(network, self.taken) for family, network in OUTSIDE_NETWORKS.items()
        }
        self.node_addresses = (*node.addresses, *self._missing_node_addresses())
        self.listeners: list[Listener] = []

    def _virtual(self) -> Iterator[str]:
        for plan in self.plans.values():
            for port in plan.service_ports:
                yield from (port.cluster_ip, *port.external_ips, *port.load_balancer_ips)

    def _missing_node_addresses(self) -> Iterator[str]:
        """Give the node an address of every family in use: without one it could call nobody."""
        known = {family_of(address) for address in self.node.addresses}
        for family in self.plans:
            if family not in known:
                yield self.outside[family].take(NODE)

    def _place(self, key: tuple[str, str], name: str, node: str, address: str) -> _Place:
        """Find the pod that has the address, else the one of this key, else begin one."""
        place = self.owners.get(address) or self.places.get(key)
        if place is None:
            place = self.places[key] = _Place(key[0], name, node)
        if address not in self.owners:
            self.owners[address] = place
            place.addresses.append(address)
        return place

    def _take_slice(self, found: Mapping[str, Any]) -> None:
        namespace = text_at(found, "metadata", "namespace") or "default"
        numbers = [at(port, "port") for port in list_at(found, "ports")]
        for endpoint in list_at(found, "endpoints"):
            # Only the first address counts, to kube-proxy too.
            address = next((one for one in list_at(endpoint, "addresses")), None)
            if not isinstance(address, str) or family_of(address) not in self.plans:
                continue
            address = canonical(address)
            # Nothing but a Kubernetes name may become part of a namespace's file name.
            named = text_at(endpoint, "targetRef", "name")
            named = named if is_subdomain(named) else ""
            key = (text_at(endpoint, "targetRef", "namespace") or namespace, named or address)
            place = self._place(key, named or address, text_at(endpoint, "nodeName"), address)
            for number in numbers:
                if isinstance(number, int) and number:
                    place.listening[address, number] = None

    def _take_pod(self, found: Mapping[str, Any]) -> None:
        name = text_at(found, "metadata", "name")
        key = (text_at(found, "metadata", "namespace") or "default", name)
        ips = [text_at(entry, "ip") for entry in list_at(found, "status", "podIPs")]
        for address in ips or [text_at(found, "status", "podIP")]:
            if family_of(address) in self.plans:
                self._place(key, name, text_at(found, "spec", "nodeName"), canonical(address))

    def node_and_pods(self) -> list[Member]:
        """Return the node and the pods, and note what is listened on in them."""
        members = [Member(name=NODE, role=Role.NODE, addresses=self.node_addresses)]
        own = set(self.node_addresses)
        names = self._names()
        for key, place in self.places.items():
            addresses = tuple(one for one in place.addresses if one not in own)
            local = self.node.name is not None and place.node == self.node.name
            if addresses:
                role = Role.LOCAL_POD if local else Role.FAR_POD
                members.append(Member(name=names[key], role=role, addresses=addresses))
            self.listeners += [
                Listener(
                    member=NODE if address in own else names[key],
                    address=address,
                    port=port,
                    answer=place.name,
                )
                for address, port in place.listening
            ]
        return members

    def _names(self) -> dict[tuple[str, str], str]:
        """Call each pod by its name, or where two have the same by `namespace_name`."""
        counts = Counter(place.name for place in self.places.values())
        return {
            # No Kubernetes name has an underscore, so this can't be another pod's name.
            key: f"{place.namespace}_{place.name}"
            if counts[place.name] > 1 or OWN_NAMES.fullmatch(place.name)
            else place.name
            for key, place in self.places.items()
        }

    def clients(self, wanted: Clients) -> Iterator[Member]:
        """Return the clients that no manifest names."""
        pods = {family: AddressPool(self._pod_network(family), self.taken) for family in self.plans}
        try:
            for number in range(1, wanted.pods + 1):
                name = f"client-{number}"
                addresses = tuple(pool.take(name) for pool in pods.values())
                yield Member(name=name, role=Role.LOCAL_POD, addresses=addresses)
            first = tuple(self.outside[family].take("outside-1") for family in self.plans)
        except ExhaustedError:
            raise LabError(f"no address is left in {self._networks()} for a client") from None
        yield Member(name="outside-1", role=Role.OUTSIDE, addresses=first)
        for number, address in enumerate(wanted.outside, start=2):
            if address in self.taken:
                raise LabError(f"{address} is taken; an outside client needs one of its own")
            yield Member(name=f"outside-{number}", role=Role.OUTSIDE, addresses=(address,))

    def _pod_network(self, family: Family) -> str:
        """Return where this node's pods have their addresses, as its rules see it."""
        local = self.plans[family].local_traffic
        return (local and local.cidr) or POD_NETWORKS[family]

    def _networks(self) -> str:
        return " or ".join(self._pod_network(family) for family in self.plans)


def _node_addresses(objects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for found in objects:
        if found.get("kind") == "Node":
            for entry in list_at(found, "status", "addresses"):
                yield text_at(entry, "address")
