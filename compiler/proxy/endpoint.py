"""Endpoints of a service port, gathered from its EndpointSlices.

Source: kubernetes `pkg/proxy/endpointslicecache.go` and `pkg/proxy/endpoint.go`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec import Struct

from compiler.family import Family
from compiler.manifests.schema import EndpointSlice, Hint
from compiler.proxy.release import Change, Release

ServiceName = tuple[str, str]
"""Namespace and name."""


class EndpointInfo(Struct, frozen=True, gc=False):
    """One endpoint of a service port: `address_port` is `ip:port`, or `[ip]:port` for IPv6.

    The address is as it was written. `zones` and `nodes` are its hints; None where it has none.
    """

    address_port: str
    ip: str
    node: str | None
    ready: bool
    serving: bool
    terminating: bool
    zones: tuple[str | None, ...] | None
    nodes: tuple[str | None, ...] | None

    @property
    def serves_while_terminating(self) -> bool:
        """Whether it may be used where no endpoint is ready (KEP-1669)."""
        return self.serving and self.terminating


class Endpoints(Struct, frozen=True, gc=False):
    """A service port's endpoints, sorted by address and port.

    `copies_differ` where the node decides which of several copies of an endpoint counts, and no
    node is named.
    """

    all: list[EndpointInfo]
    copies_differ: bool


def slices_by_service(
    slices: Iterable[EndpointSlice], family: Family
) -> dict[ServiceName, list[EndpointSlice]]:
    """Group the slices that kube-proxy looks at by Service, each group in name order."""
    groups: defaultdict[ServiceName, list[EndpointSlice]] = defaultdict(list)
    for endpoint_slice in slices:
        metadata = endpoint_slice.metadata
        labels = metadata.labels if metadata else None
        if (
            metadata is None
            or labels is None
            or not labels.service_name
            or labels.service_proxy_name is not None
            or labels.headless is not None
            or endpoint_slice.address_type != family.api_name
        ):
            continue
        groups[metadata.namespace or "default", labels.service_name].append(endpoint_slice)
    for group in groups.values():
        if len(group) > 1:
            group.sort(key=lambda item: (item.metadata.name if item.metadata else None) or "")
    return groups


def gather_endpoints(
    slices: Sequence[EndpointSlice],
    family: Family,
    release: Release,
    *,
    port_name: str,
    protocol: str,
    node_name: str | None,
) -> Endpoints:
    """Gather the endpoints of a service port, each once.

    Of an endpoint that is in several slices the first copy counts, but a local copy replaces it;
    from 1.36 a later copy that isn't terminating does.
    """
    found: dict[str, EndpointInfo] = {}
    copies_differ = False
    for endpoint_slice in slices:
        for port in endpoint_slice.ports or ():
            if (
                not port.port
                or (port.name or "") != port_name
                or (port.protocol or "TCP") != protocol
            ):
                continue
            infos = _endpoints_of(endpoint_slice, port.port, family)
            fresh = {info.address_port: info for info in infos}
            if len(fresh) == len(infos) and found.keys().isdisjoint(fresh):
                found = found | fresh if found else fresh
            elif _merge(found, infos, release, node_name):
                copies_differ = True
    return Endpoints(sorted(found.values(), key=attrgetter("address_port")), copies_differ)


def _merge(
    found: dict[str, EndpointInfo],
    infos: Sequence[EndpointInfo],
    release: Release,
    node_name: str | None,
) -> bool:
    """Add endpoints to those found before; tell whether the node decides which copy counts."""
    copies_differ = False
    for info in infos:
        known = found.get(info.address_port)
        if known is None:
            found[info.address_port] = info
        elif release.has(Change.NOT_TERMINATING_COPY_WINS):
            if not info.terminating:
                found[info.address_port] = info
        elif node_name is None:
            copies_differ = copies_differ or (info.node is not None and info != known)
        elif info.node == node_name:
            found[info.address_port] = info
    return copies_differ


def _endpoints_of(endpoint_slice: EndpointSlice, port: int, family: Family) -> list[EndpointInfo]:
    """Read a slice's endpoints of a family; only the first address of each counts."""
    is_ipv6 = family is Family.IPV6
    head, tail = ("[", f"]:{port}") if is_ipv6 else ("", f":{port}")
    return [
        EndpointInfo(  # by position: a large cluster has 100,000, and names would cost half as much
            f"{head}{ip}{tail}",
            ip,
            endpoint.node_name,
            (conditions := endpoint.conditions) is None or conditions.ready is not False,
            conditions is None or conditions.serving is not False,
            conditions is not None and conditions.terminating is True,
            _names(hints.for_zones) if (hints := endpoint.hints) else None,
            _names(hints.for_nodes) if hints else None,
        )
        for endpoint in endpoint_slice.endpoints or ()
        # Addresses were found to be valid before.
        if endpoint.addresses and (":" in (ip := endpoint.addresses[0])) is is_ipv6
    ]


def _names(hints: list[Hint] | None) -> tuple[str | None, ...] | None:
    return tuple(hint.name for hint in hints) if hints else None
