"""From manifests to a lab's layout: its namespaces, their addresses, what listens where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from compiler.control_plane.address_pool import AddressPool, ExhaustedError
from compiler.control_plane.families import POD_NETWORKS
from compiler.control_plane.objects import at, list_at, text_at
from compiler.family import IPV4, IPV6, Family
from compiler.lab.errors import LabUsageError, OutsideAddressError
from compiler.lab.layout import NODE, Interfaces, Layout, Listener, Member, Role, family_of
from compiler.lab.services import of_kind, targets_of, without_ports
from compiler.manifests.address import canonical
from compiler.manifests.address import family_of as valid_family
from compiler.manifests.validate import is_subdomain
from compiler.proxy.plan import LocalTraffic, Plan

# Set aside for benchmarks (RFC 2544, RFC 5180), so no cluster uses them.
OUTSIDE_NETWORKS = {IPV4: "198.18.0.0/15", IPV6: "2001:2::/48"}

# The namespace of places that are Nodes; no Kubernetes namespace has a capital letter.
HOSTS = "Node"

# Of a Node's `status.addresses`; `Hostname`, `InternalDNS` and `ExternalDNS` are names.
ADDRESS_TYPES = {"InternalIP", "ExternalIP"}

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

    `pods` is how many `client-N` there are; `outside` has an address for each further `outside-N`,
    in the API's form (see `outside_problem` for what it may be).
    """

    pods: int = 1
    outside: tuple[str, ...] = ()


@dataclass
class _Place:
    """A pod or another node in the making: its name, where it runs, its addresses and ports."""

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
    clients. Addresses of the node itself are served in the node's own namespace. Raises
    LabUsageError where a network has no address left for a client, OutsideAddressError where an
    outside client's address can't be used.
    """
    drawing = _Drawing(objects, plans, node)
    members = [*drawing.node_and_pods(), *drawing.clients(clients)]
    local = next(iter(plans.values())).local_traffic or LocalTraffic()
    targets = targets_of(objects, plans)
    return Layout(
        members=tuple(members),
        listeners=tuple(drawing.listeners),
        targets=tuple(targets),
        families=tuple(plans),
        interfaces=Interfaces(
            pod_prefix=local.interface_prefix or "pod", bridge=local.interface or ""
        ),
        localhost_node_ports=any(one.node_ports.localhost for one in plans.values()),
        without_ports=without_ports(objects, targets),
    )


def outside_problem(text: str) -> str:
    """Say why no lab can have an outside client at this address; empty where one can.

    What else may be in the way depends on the lab: `layout_of` raises OutsideAddressError then.
    """
    if valid_family(text) is None:
        return "is not an IP address"
    address = ip_address(text)
    # Private ones are fine, and 192.0.2.0/24 and the like, which examples use.
    kinds = {
        "an unspecified address": address.is_unspecified,
        "a loopback address": address.is_loopback,
        "a multicast address": address.is_multicast,
        "a link-local address": address.is_link_local,
        "a reserved address": address.version == 4 and address.is_reserved,
    }
    return next((f"is {kind}" for kind, found in kinds.items() if found), "")


class _Drawing:
    def __init__(
        self, objects: Sequence[Mapping[str, Any]], plans: Mapping[Family, Plan], node: NodeFacts
    ) -> None:
        self.plans = plans
        self.node = node
        self.places: dict[tuple[str, str], _Place] = {}
        self.owners: dict[str, _Place] = {}
        self.hosts = dict(_node_addresses(objects))
        for found in of_kind(objects, "EndpointSlice"):
            self._take_slice(found)
        for found in of_kind(objects, "Pod"):
            self._take_pod(found)
        self.taken = self._taken()
        self.outside = {
            family: AddressPool(network, self.taken) for family, network in OUTSIDE_NETWORKS.items()
        }
        self.node_addresses = (*node.addresses, *self._missing_node_addresses())
        self.listeners: list[Listener] = []

    def _taken(self) -> dict[str, str]:
        """Return the addresses that no client may have, and what each of them is."""
        taken = {one: f"an address of Node {name}" for one, name in self.hosts.items()}
        for plan in self.plans.values():
            for port in plan.service_ports:
                taken[port.cluster_ip] = f"the cluster IP of {port.name}"
                taken |= dict.fromkeys(port.external_ips, f"an external IP of {port.name}")
                ips = port.load_balancer_ips
                taken |= dict.fromkeys(ips, f"a load-balancer IP of {port.name}")
        for address, place in self.owners.items():
            if address not in self.hosts:
                taken[address] = f"the address of the endpoint {place.namespace}/{place.name}"
        return taken | dict.fromkeys(self.node.addresses, "the node's address")

    def _missing_node_addresses(self) -> Iterator[str]:
        """Give the node an address of every family in use: without one it could call nobody."""
        known = {family_of(address) for address in self.node.addresses}
        for family in self.plans:
            if family not in known:
                address = self.outside[family].take(NODE)
                self.taken[address] = "the node's address"
                yield address

    def _place(self, key: tuple[str, str], name: str, node: str, address: str) -> _Place:
        """Find the pod that has the address, else the one of this key, else begin one.

        A Node's address is the Node's, whichever Pods share it in their host network.
        """
        if host := self.hosts.get(address):
            key, name, node = (HOSTS, host), host, host
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
            if not isinstance(address, str) or valid_family(address) not in self.plans:
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
            if valid_family(address) in self.plans:
                self._place(key, name, text_at(found, "spec", "nodeName"), canonical(address))

    def node_and_pods(self) -> list[Member]:
        """Return the node and the pods, and note what is listened on in them."""
        members = [Member(name=NODE, role=Role.NODE, addresses=self.node_addresses)]
        own = set(self.node_addresses)
        names = self._names()
        for key, place in self.places.items():
            addresses = tuple(one for one in place.addresses if one not in own)
            if addresses:
                role = self._role(place)
                members.append(Member(name=names[key], role=role, addresses=addresses))
            self.listeners += [
                Listener(
                    member=NODE if address in own else names[key],
                    address=address,
                    port=port,
                )
                for address, port in place.listening
            ]
        return members

    def _role(self, place: _Place) -> Role:
        if place.namespace == HOSTS:
            return Role.OTHER_NODE
        local = self.node.name is not None and place.node == self.node.name
        return Role.LOCAL_POD if local else Role.FAR_POD

    def _names(self) -> dict[tuple[str, str], str]:
        """Name each pod as its manifest does, or `namespace_name` where that is not unique."""
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
                self.taken |= dict.fromkeys(addresses, f"the address of {name}")
                yield Member(name=name, role=Role.LOCAL_POD, addresses=addresses)
            first = tuple(self.outside[family].take("outside-1") for family in self.plans)
        except ExhaustedError:
            raise LabUsageError(
                f"no address is left in {self._networks()} for the clients"
            ) from None
        yield Member(name="outside-1", role=Role.OUTSIDE, addresses=first)
        self.taken |= dict.fromkeys(first, "the address of outside-1")
        for number, address in enumerate(wanted.outside, start=2):
            self._check_outside(address)
            self.taken[address] = f"the address of outside-{number} already"
            yield Member(name=f"outside-{number}", role=Role.OUTSIDE, addresses=(address,))

    def _check_outside(self, address: str) -> None:
        family = family_of(address)
        if family not in self.plans:
            names = " and ".join(one.api_name for one in self.plans)
            raise OutsideAddressError(
                address, f"is an {family.api_name} address, and the lab's Services are {names}"
            )
        if address in self.taken:
            raise OutsideAddressError(address, f"is {self.taken[address]}")

    def _pod_network(self, family: Family) -> str:
        """Return where this node's pods have their addresses, as its rules see it."""
        local = self.plans[family].local_traffic
        return (local and local.cidr) or POD_NETWORKS[family]

    def _networks(self) -> str:
        return " or ".join(self._pod_network(family) for family in self.plans)


def _node_addresses(objects: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Give the Nodes' addresses, each with its Node's name."""
    for found in of_kind(objects, "Node"):
        name = text_at(found, "metadata", "name")
        for entry in list_at(found, "status", "addresses"):
            address = text_at(entry, "address")
            is_address = text_at(entry, "type") in ADDRESS_TYPES and valid_family(address)
            # The name may become part of a namespace's file name.
            if is_address and is_subdomain(name):
                yield canonical(address), name
