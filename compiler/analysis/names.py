"""Names that occur on a node, by what they mean: hashes of chains, addresses, ports.

They come from manifests, where the names of chains are computed, or from a text of rules, where
comments and targets show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.manifests.address import canonical
from compiler.manifests.reader import Manifests
from compiler.manifests.schema import EndpointSlice, Node, Service
from compiler.proxy.chain_name import chain_names
from compiler.yaml.plain import Path


class Port(NamedTuple):
    """A service port: `default/web:http` and `tcp`; `service` and `place` are its manifest's."""

    name: str
    protocol: str
    service: Service | None = None
    place: int = 0

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The name, with the protocol unless it is TCP."""
        return self.name if self.protocol in {"tcp", ""} else f"{self.name}/{self.protocol}"


class Endpoint(NamedTuple):
    """An endpoint of a service port: `10.10.1.2:80`, and where its slice has it."""

    address: str
    port: Port
    endpoint_slice: EndpointSlice | None = None
    place: int = 0
    port_place: int = 0

    @property
    def host(self) -> str:
        """The address without its port."""
        return self.address.rpartition(":")[0].strip("[]")


class Entry(NamedTuple):
    """What an address or a port is: `cluster IP`, `node port`, `endpoint` … of what.

    `number` is the port that belongs to it, 0 without one; `path` is where the object has it.
    """

    what: str
    of: Port | Endpoint | Node
    number: int
    path: Path = ()


@dataclass
class Names:
    """All names of one side.

    `ports` are service ports by the hash of their chains, `endpoints` by the name of their chain;
    `addresses` are what an address may be, `numbers` the node ports and health-check node ports.
    `chains` are the chains of service ports that rules have, None where that is not known.
    """

    ports: Mapping[str, Port] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    addresses: dict[str, list[Entry]] = field(default_factory=dict)
    numbers: dict[int, list[Entry]] = field(default_factory=dict)
    chains: frozenset[str] | None = None

    def add(self, address: str, entry: Entry) -> None:
        """Note what an address is."""
        self.addresses.setdefault(address, []).append(entry)

    def add_number(self, entry: Entry) -> None:
        """Note what a port of the node is."""
        self.numbers.setdefault(entry.number, []).append(entry)

    @cached_property
    def chains_of(self) -> dict[tuple[str, str], list[str]]:
        """The chains of the endpoints of each service port."""
        found: dict[tuple[str, str], list[str]] = {}
        for chain, endpoint in self.endpoints.items():
            found.setdefault(endpoint.port[:2], []).append(chain)
        return found

    @cached_property
    def hashes(self) -> dict[tuple[str, str], str]:
        """The hash of each service port."""
        return {port[:2]: hashed for hashed, port in self.ports.items()}


def names_of(manifests: Manifests) -> Names:
    """Compute every name that the manifests' objects can have on any node, in both IP families.

    So also those of Services that kube-proxy skips and of endpoints that it does not use: a name
    that was left behind is found, too.
    """
    ports = list(_ports(manifests.services))
    by_key = {f"{port.name}{port.protocol}": port for port in ports}
    names = Names()
    endpoints, keys = [], []
    for endpoint in _endpoints(manifests.endpoint_slices, by_key):
        endpoints.append(endpoint)
        keys.append(f"{endpoint.port.name}{endpoint.port.protocol}{endpoint.address}")
    names.endpoints = dict(zip(chain_names(ENDPOINT_PREFIX, keys), endpoints, strict=True))
    # by_key also has service ports that only slices name
    names.ports = dict(zip(chain_names("", list(by_key)), by_key.values(), strict=True))
    for port in ports:
        _enter(names, port)
    for endpoint in endpoints:
        host, _, number = endpoint.address.rpartition(":")
        entry = Entry("endpoint", endpoint, int(number))
        names.add(canonical(host.strip("[]")), entry)
    for node in manifests.nodes:
        for index, one in enumerate((node.status.addresses if node.status else None) or ()):
            if one.address:
                path = ("status", "addresses", index, "address")
                names.add(one.address, Entry("address", node, 0, path))
    return names


def _ports(services: Iterable[Service]) -> Iterator[Port]:
    for service in services:
        metadata, spec = service.metadata, service.spec
        if metadata is None or spec is None:
            continue
        name = f"{metadata.namespace or 'default'}/{metadata.name}"
        for index, port in enumerate(spec.ports or ()):
            full = f"{name}:{port.name}" if port.name else name
            yield Port(full, (port.protocol or "TCP").lower(), service, index)


def _endpoints(slices: Iterable[EndpointSlice], by_key: dict[str, Port]) -> Iterator[Endpoint]:
    for one in slices:
        metadata = one.metadata
        service = metadata.labels.service_name if metadata and metadata.labels else None
        if metadata is None or not service:
            continue
        name = f"{metadata.namespace or 'default'}/{service}"
        for place, slice_port in enumerate(one.ports or ()):
            if not slice_port.port:
                continue
            full = f"{name}:{slice_port.name}" if slice_port.name else name
            protocol = (slice_port.protocol or "TCP").lower()
            port = by_key.setdefault(full + protocol, Port(full, protocol))
            number = slice_port.port
            for index, endpoint in enumerate(one.endpoints or ()):
                if endpoint.addresses:
                    ip = endpoint.addresses[0]
                    address = f"[{ip}]:{number}" if ":" in ip else f"{ip}:{number}"
                    yield Endpoint(address, port, one, index, place)


def _enter(names: Names, port: Port) -> None:
    """Note the addresses and node ports of a service port."""
    service = port.service
    spec = service.spec if service else None
    if service is None or spec is None or not spec.ports:
        return
    number = spec.ports[port.place].port or 0
    for address, what, path in service_addresses(service):
        names.add(address, Entry(what, port, number, path))
    if node_port := spec.ports[port.place].node_port:
        path = ("spec", "ports", port.place, "nodePort")
        names.add_number(Entry("node port", port, node_port, path))
    if spec.health_check_node_port:
        path = ("spec", "healthCheckNodePort")
        names.add_number(Entry("health-check node port", port, spec.health_check_node_port, path))


def service_addresses(service: Service) -> Iterator[tuple[str, str, Path]]:
    """Give a Service's addresses, with what each is and where the object has it."""
    spec = service.spec
    if spec is None:
        return
    cluster: list[Path] = [
        ("spec", "clusterIPs", index) for index in range(len(spec.cluster_ips or ()))
    ]
    ips = spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])
    for path, ip in zip(cluster or [("spec", "clusterIP")], ips, strict=False):
        if ip != "None":
            yield canonical(ip), "cluster IP", path
    for index, ip in enumerate(spec.external_ips or ()):
        yield canonical(ip), "external IP", ("spec", "externalIPs", index)
    balancer = service.status.load_balancer if service.status else None
    for index, ingress in enumerate((balancer.ingress if balancer else None) or ()):
        if ingress.ip:
            path = ("status", "loadBalancer", "ingress", index, "ip")
            yield canonical(ingress.ip), "load-balancer IP", path


def nodes_of_endpoints(slices: Iterable[EndpointSlice]) -> dict[str, str]:
    """Return the node of each endpoint of slices by its address, as far as they name it."""
    return {
        canonical(address): endpoint.node_name
        for one in slices
        for endpoint in one.endpoints or ()
        if endpoint.node_name
        for address in endpoint.addresses or ()
    }


def words_of_endpoints(pods: Mapping[str, str], nodes: Mapping[str, str]) -> dict[str, str]:
    """Write the Pod and node of endpoints by address (`web-1 on worker-1`), as far as known."""
    found = dict(pods)
    for address, node in nodes.items():
        found[address] = f"{pods[address]} on {node}" if address in pods else f"on {node}"
    return found


def slices_of(slices: Iterable[EndpointSlice]) -> dict[str, list[EndpointSlice]]:
    """Group EndpointSlices by the Service that they are of (`default/web`)."""
    found: dict[str, list[EndpointSlice]] = {}
    for one in slices:
        metadata = one.metadata
        if metadata is not None and metadata.labels is not None and metadata.labels.service_name:
            name = f"{metadata.namespace or 'default'}/{metadata.labels.service_name}"
            found.setdefault(name, []).append(one)
    return found
