"""Which fields of manifests and settings of kube-proxy a rule is due to, with their places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from compiler.analysis.names import Endpoint, Port, service_addresses
from compiler.manifests.origins import Origin, Origins
from compiler.manifests.schema import EndpointSlice, Node, Service
from compiler.proxy.configuration import DEFAULT_MASQUERADE_BIT, PATHS, ProxyConfig
from compiler.yaml.plain import Path, field_path

# How many slices of a Service are named; it may have a hundred.
_SLICES = 3
# Fields that say which thing it is, rather than why there is a rule for it.
IDENTITY = frozenset(("endpoint", "destination", "ports.port", "ports.nodePort", "spec.clusterIP"))


@dataclass(frozen=True, slots=True)
class Cause:
    """A field that a chain or rule is due to. `identity` where it says what the thing is."""

    origin: Origin
    identity: bool = False


class Causes:
    """Finds the fields that causes name (`kube_rules.chain_kinds.Kind.causes`).

    Without manifests (`origins` None) it returns the fields without places and, where the rule
    itself shows it, with their value.
    """

    def __init__(
        self,
        origins: Origins | None,
        config: ProxyConfig | None,
        slices: dict[str, list[EndpointSlice]],
    ) -> None:
        self._origins = origins
        self._config = config
        self._slices = slices

    def find(
        self, causes: tuple[str, ...], port: Port | None, endpoint: Endpoint | None, address: str
    ) -> list[Cause]:
        """Find the fields. `address` is the destination that a rule asks for."""
        return [
            Cause(origin, cause in IDENTITY)
            for cause in causes
            for origin in self._find(cause, port, endpoint, address)
        ]

    def forget(self) -> None:
        """Drop what was read of the manifests; it is read again when asked for."""
        if self._origins is not None:
            self._origins.forget()

    def _find(
        self, cause: str, port: Port | None, endpoint: Endpoint | None, address: str
    ) -> Iterator[Origin]:
        name, _, implied = cause.partition("=")
        if name in PATHS or name == "local_traffic":
            yield from self._setting(name)
        elif name == "endpoint":
            yield from self._endpoint(endpoint)
        elif port is None:
            return
        elif port.service is None or self._origins is None:
            yield from _without_manifest(name, implied, port)
        elif name == "endpoints":
            yield from self._slices_of(port.service)
        else:
            for path in _paths(name, port, port.service, address):
                yield self.field(port.service, path)

    def field(self, manifest: Service | Node | EndpointSlice, path: Path) -> Origin:
        """Return the origin of a field of an object of the manifests."""
        assert self._origins is not None  # noqa: S101  # there are manifests
        return self._origins.origin(manifest, path, _shown(_value(manifest, path)))

    def _endpoint(self, endpoint: Endpoint | None) -> Iterator[Origin]:
        one = endpoint.endpoint_slice if endpoint else None
        if endpoint is None or one is None or self._origins is None:
            return
        host, _, number = endpoint.address.rpartition(":")
        path: Path = ("endpoints", endpoint.place, "addresses", 0)
        yield self._origins.origin(one, path, host.strip("[]"))
        yield self._origins.origin(one, ("ports", endpoint.port_place, "port"), number)

    def _slices_of(self, service: Service) -> Iterator[Origin]:
        assert self._origins is not None  # noqa: S101
        metadata = service.metadata
        name = f"{(metadata and metadata.namespace) or 'default'}/{metadata and metadata.name}"
        slices = self._slices.get(name, [])
        for one in slices[:_SLICES]:
            endpoints = one.endpoints or ()
            ready = sum(
                (e.conditions is None or e.conditions.ready is not False) for e in endpoints
            )
            text = f"{len(endpoints)} endpoints, {ready} of them ready" if endpoints else "none"
            yield self._origins.origin(one, ("endpoints",), text)
        if not slices:
            subject = f"Service {name}"
            yield Origin("", None, None, subject, "EndpointSlices", "none in the manifests")

    def _setting(self, name: str) -> Iterator[Origin]:
        """Return a setting of kube-proxy's, with the line of its configuration if that has it."""
        config = self._config
        key, value, default = _setting(name, config)
        field = field_path(PATHS[key])
        if config is None:
            yield Origin("", None, None, "kube-proxy", field, None)
        elif value == "":
            yield Origin("", None, None, "kube-proxy", field, "")
        elif value == default:
            yield Origin("", None, None, "kube-proxy", field, f"{_shown(value)} (the default)")
        else:
            told = config.tell(key, "", "")
            yield Origin(told.file, told.line, told.column, "kube-proxy", field, _shown(value))


def _setting(name: str, config: ProxyConfig | None) -> tuple[str, Any, Any]:
    """Return a setting's name in `PATHS`, its value and its default."""
    config = config or ProxyConfig(tell=lambda *_: None)  # type: ignore[arg-type]
    if name == "local_traffic":
        if config.pod_interface is not None:
            bridge = config.detect_local_mode == "BridgeInterface"
            key = "pod_bridge_interface" if bridge else "pod_interface_name_prefix"
            return key, config.pod_interface, ""
        if config.detect_local_mode != "ClusterCIDR":
            return "detect_local_mode", config.detect_local_mode, "ClusterCIDR"
        return "cluster_cidr", ",".join(config.cluster_cidrs.values()), ""
    value, default = {
        "masquerade_all": (config.masquerade_all, False),
        "iptables_masquerade_bit": (config.masquerade_bit, DEFAULT_MASQUERADE_BIT),
        "iptables_localhost_nodeports": (config.localhost_node_ports, True),
        "nodeport_addresses": (config.node_port_addresses, ()),
        "conntrack_tcp_be_liberal": (config.tcp_be_liberal, False),
    }[name]
    return name, value, default


def _without_manifest(name: str, implied: str, port: Port) -> Iterator[Origin]:
    """Name the field that a rule shows, without its place."""
    if implied or name in {"spec.loadBalancerSourceRanges", "spec.healthCheckNodePort"}:
        service = port.name.partition(":")[0]
        yield Origin("", None, None, f"Service {service}", name, implied or None)


def _paths(name: str, port: Port, service: Service, address: str) -> Iterator[Path]:
    """Return the paths of a Service's fields that a cause names."""
    spec = service.spec
    if name.startswith("ports."):
        yield "spec", "ports", port.place, name.removeprefix("ports.")
    elif name in {"destination", "spec.clusterIP", "external"}:
        wanted = {"spec.clusterIP": {"cluster IP"}}.get(name, {"external IP", "load-balancer IP"})
        for one, what, path in service_addresses(service):
            if (what in wanted and not address) or one == address:
                yield path
        if name == "external" and spec and spec.ports and spec.ports[port.place].node_port:
            yield "spec", "ports", port.place, "nodePort"
    elif name == "local_policies":
        for policy in ("internalTrafficPolicy", "externalTrafficPolicy"):
            if _value(service, ("spec", policy)) == "Local":
                yield "spec", policy
    else:
        yield tuple(name.split("."))


def _value(manifest: object, path: Path) -> object:
    """Return the value of a field as the API has it, None where it is not set."""
    value: Any = msgspec.to_builtins(manifest)
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "every address"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
