"""A cluster that was read once, and the rules of as many of its nodes as are asked for."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from compiler.compilation import Compilation, Inputs, compile_inputs
from compiler.errors import InputError, Problem
from compiler.kube_rules.service_port import EntryPoint, Key
from compiler.manifests.address import canonical
from compiler.manifests.convert import shorten
from compiler.manifests.schema import EndpointSlice
from compiler.netfilter.index import index_rules
from compiler.netfilter.ruleset import Ruleset
from compiler.proxy.endpoint import ServiceName, slices_by_service
from compiler.proxy.node import LocalNode, list_nodes, local_node, node_name
from compiler.proxy.release import resolve_features
from compiler.proxy.service_port import ServicePortInfo, service_ports


@dataclass(frozen=True)
class NodeOfCluster:
    """The rules of one node. `name` is empty where the rules are the same on every node.

    `addresses` are the node's own but for the loopback ones, as far as its Node object has them,
    and `pod_cidr` is its `spec.podCIDRs` of the family, else the cluster's, empty without either.
    """

    name: str
    ruleset: Ruleset
    addresses: tuple[str, ...]
    pod_cidr: str
    compilation: Compilation


@dataclass(frozen=True)
class Cluster:
    """Manifests, configuration and release; the node comes last.

    `node_addresses`, `nfacct` and `random_fully` are `compile_rules`' own.
    """

    inputs: Inputs
    node_addresses: tuple[str, ...] = ()
    nfacct: bool = False
    random_fully: bool = True

    @cached_property
    def node_names(self) -> tuple[str, ...]:
        """The names of all Nodes, in the order of the manifests."""
        return tuple(node_name(node) for node in self.inputs.manifests.nodes)

    def all_nodes(self) -> tuple[str, ...]:
        """Return the names of all Nodes. Raises `InputError` where there is none."""
        if not self.node_names:
            message = "there are no Nodes in the manifests"
            hint = "add the output of kubectl get nodes -o yaml"
            raise InputError(Problem.of_argument("all_nodes", message, hint))
        return self.node_names

    def choose_nodes(
        self, wanted: Sequence[str], *, argument: str = "nodes"
    ) -> tuple[str | None, ...]:
        """Return the nodes that are meant: those wanted, else hostnameOverride's, else all.

        None stands for the one node of manifests without Nodes. Raises `InputError` for names that
        no Node has; `argument` is what they were given as.
        """
        known = self.node_names
        unknown = [name for name in wanted if known and name not in known]
        if unknown:
            hint = list_nodes(known)
            raise InputError(
                Problem.of_argument(argument, f"no Node {shorten(name)} in the manifests", hint)
                for name in unknown
            )
        if wanted:
            return tuple(dict.fromkeys(wanted))
        override = self.inputs.config.hostname_override
        return (None,) if override or not known else known

    @cached_property
    def _infos(self) -> list[ServicePortInfo]:
        features, _ = resolve_features(self.inputs.release, self.inputs.config.feature_gates)
        return service_ports(self.inputs.manifests.services, self.inputs.family, features)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The service ports of the family, in byte order of their names."""
        return tuple(sorted(Key(info.name, info.protocol.lower()) for info in self._infos))

    def entry_points(self, key: Key) -> tuple[EntryPoint, ...]:
        """Return the cluster IP of a service port, as rules name it."""
        return tuple(
            EntryPoint("cluster IP", _address(info.cluster_ip, info.port), "")
            for info in self._by_key.get(key, ())
        )

    @cached_property
    def _by_key(self) -> dict[Key, list[ServicePortInfo]]:
        found: dict[Key, list[ServicePortInfo]] = {}
        for info in self._infos:
            found.setdefault(Key(info.name, info.protocol.lower()), []).append(info)
        return found

    def only(self, keys: Iterable[Key]) -> Cluster:
        """Return the cluster with these service ports' Services and all whose rules may take part.

        A Service takes part where it has an address and port, or a node port, in common with one
        that does, or with an endpoint of one that does: its rules may take the packet instead, or
        reject it once it is translated. All other rules are for other addresses and ports.
        """
        manifests, family = self.inputs.manifests, self.inputs.family
        groups = slices_by_service(manifests.endpoint_slices, family)
        claims = _Claims(self._infos)
        waiting = [(info.namespace, info.service) for key in keys for info in self._by_key[key]]
        kept: set[ServiceName] = set()
        while waiting:
            service = waiting.pop()
            if service in kept:
                continue
            kept.add(service)
            endpoints = {
                (canonical(address), port.port or 0)
                for one in groups.get(service, ())
                for port in one.ports or ()
                for endpoint in one.endpoints or ()
                for address in endpoint.addresses or ()
            }
            waiting += claims.meeting(service, endpoints)
        some = [
            service
            for service in manifests.services
            if (metadata := service.metadata) is not None
            and (metadata.namespace or "default", metadata.name or "") in kept
        ]
        slices = [one for name in kept for one in groups.get(name, ())]
        chosen = replace(manifests, services=some, endpoint_slices=slices)
        return replace(self, inputs=replace(self.inputs, manifests=chosen))

    def sending_to(self, keys: Iterable[Key]) -> set[Key]:
        """Return the service ports of Services with an endpoint at an address of one of these.

        Their packets are translated to that address and port, and pass the filter table's rules of
        its owner then. An endpoint may be at an address of the node that no manifest shows: at a
        node port, all addresses count.
        """
        owners = [info for key in keys for info in self._by_key.get(key, ())]
        addresses: dict[int, set[str]] = {}
        for info in owners:
            addresses.setdefault(info.port, set()).update(_addresses(info))
        node_ports = {port for info in owners for port in _node_ports(info)}
        groups = slices_by_service(self.inputs.manifests.endpoint_slices, self.inputs.family)
        found = {
            name for name, some in groups.items() if _has_endpoint_at(some, addresses, node_ports)
        }
        return {
            Key(info.name, info.protocol.lower())
            for info in self._infos
            if (info.namespace, info.service) in found
        }

    def node(self, name: str | None) -> NodeOfCluster:
        """Compile the rules of a node. Raises `InputError` as `compile_rules` does."""
        compilation = compile_inputs(
            self.inputs,
            name,
            node_addresses=self.node_addresses,
            nfacct=self.nfacct,
            random_fully=self.random_fully,
        )
        known = self.node_names
        name = name or self.inputs.config.hostname_override or (known[0] if len(known) == 1 else "")
        facts = self._facts(name)
        ruleset = index_rules(compilation.chunks(), self.inputs.family)
        pods = facts.pod_cidr or self.inputs.config.cluster_cidrs.get(self.inputs.family) or ""
        return NodeOfCluster(name, ruleset, facts.outer_addresses, pods, compilation)

    def _facts(self, name: str) -> LocalNode:
        inputs = self.inputs
        found = next((n for n in inputs.manifests.nodes if node_name(n) == name), None)
        return local_node(name or None, found, inputs.config, inputs.family, self.node_addresses)


class _Claims:
    """Who has which address and port.

    A node port is one at every address that the node may have, so it meets every address with its
    port; protocols are left out of it, which is on the safe side.
    """

    def __init__(self, infos: Sequence[ServicePortInfo]) -> None:
        self.own: dict[ServiceName, list[ServicePortInfo]] = {}
        self.at: dict[tuple[str, int], list[ServiceName]] = {}
        self.by_port: dict[int, list[ServiceName]] = {}
        self.node_ports: dict[int, list[ServiceName]] = {}
        for info in infos:
            name = info.namespace, info.service
            self.own.setdefault(name, []).append(info)
            for address in _addresses(info):
                self.at.setdefault((address, info.port), []).append(name)
            self.by_port.setdefault(info.port, []).append(name)
            for port in _node_ports(info):
                self.node_ports.setdefault(port, []).append(name)

    def meeting(
        self, service: ServiceName, endpoints: Iterable[tuple[str, int]]
    ) -> list[ServiceName]:
        """Return the Services that a Service or its endpoints meet, itself among them."""
        found: list[ServiceName] = []
        for info in self.own.get(service, ()):
            for address in _addresses(info):
                found += self.at[address, info.port]
            found += self.node_ports.get(info.port, ())
            for port in _node_ports(info):
                found += self.node_ports[port]
                found += self.by_port.get(port, ())
        for address, port in endpoints:
            found += self.at.get((address, port), ())
            found += self.node_ports.get(port, ())
        return found


def _has_endpoint_at(
    slices: Iterable[EndpointSlice],
    addresses: Mapping[int, Container[str]],
    node_ports: Container[int],
) -> bool:
    """Say whether slices have an endpoint at one of `addresses`, by port, or at a node port."""
    for one in slices:
        ports = [port.port or 0 for port in one.ports or ()]
        if one.endpoints and any(port in node_ports for port in ports):
            return True
        wanted = [addresses[port] for port in ports if port in addresses]
        for endpoint in one.endpoints or () if wanted else ():
            for address in map(canonical, endpoint.addresses or ()):
                if any(address in some for some in wanted):
                    return True
    return False


def _addresses(info: ServicePortInfo) -> tuple[str, ...]:
    return (info.cluster_ip, *info.external_ips, *info.load_balancer_ips)


def _node_ports(info: ServicePortInfo) -> list[int]:
    return [port for port in (info.node_port, info.health_check_node_port) if port]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
