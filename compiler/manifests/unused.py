"""What kube-proxy passes over in silence, and who wrote it did not expect: warnings.

A Service without a cluster IP, a slice that belongs to no Service or whose ports are none of its
Service's, an Endpoints object, a kind in the wrong case: nothing of these is invalid, and none gets
a rule. Sources: kubernetes `pkg/proxy/util/utils.go` (`ShouldSkipService`),
`pkg/proxy/endpointslicecache.go` (`endpointSliceCacheKeys`, `addEndpoints`).
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler.errors import ARGUMENT
from compiler.manifests.convert import shorten
from compiler.manifests.remark import Batch, EndpointsObject, Place, Remark, Remarks
from compiler.manifests.schema import KINDS, EndpointSlice, Service, ServicePort
from compiler.manifests.validate import IP_FAMILIES, PORT_RULE, is_proxied
from compiler.yaml.plain import Path

SERVICE_NAME = "kubernetes.io/service-name"

# Looking for similar names takes 20 µs per name: that is done for this many objects, and among
# this many names.
MAX_GUESSES = 20
MAX_NAMES = 500

# How many ports or names of a Service a hint lists.
_LISTED = 5

_Name = tuple[str, str]
"""Namespace and name."""
_PortKey = tuple[str, str]
"""Name and protocol."""
_Place = tuple[Batch, int]

ENDPOINTS = "Endpoints"
_LISTS = ("List", *(f"{kind}List" for kind in KINDS))
_BY_LOWER_CASE = {kind.lower(): kind for kind in (*KINDS, "Pod", *_LISTS)}
_BY_LOWER_CASE |= {f"{lower}s": kind for lower, kind in _BY_LOWER_CASE.items()}
# Groups that someone who means one of our kinds may write by mistake; any other group may well
# have a kind of that name.
_OUR_GROUPS = {"", "core", "apps", "discovery.k8s.io", "networking.k8s.io"}


def is_noted(kind: str) -> bool:
    """Return whether `note_skipped` needs to see the skipped objects of a kind."""
    if kind == "Pod":  # of any group: many dumps have them, and nothing about them is noted
        return False
    return kind in KINDS or kind.startswith(ENDPOINTS) or kind.lower() in _BY_LOWER_CASE


def note_skipped(value: Mapping[str, object], kind: str, place: Place, remarks: Remarks) -> None:
    """Note an object at `place` of a kind that is not compiled, if that may be a mistake."""
    if not is_noted(kind):
        return
    group = _group(value)
    if kind == f"{ENDPOINTS}List" and group == "":
        items = value.get("items")
        for index, item in enumerate(items if isinstance(items, list) else ()):
            path = (*place.path, "items", index)
            _note_endpoints(item, Place(place.source, place.document, path), remarks)
    elif kind == ENDPOINTS and group == "":
        _note_endpoints(value, place, remarks)
    meant = _BY_LOWER_CASE.get(kind.lower())
    if meant is None or group not in _OUR_GROUPS:
        return
    if kind == meant:  # a kind of ours in a group that has none of that name
        version = KINDS[kind.removesuffix("List")].API_VERSION
        message = f"{shorten(str(value.get('apiVersion')))} has no kind {kind}, so it is skipped"
        path, hint = (*place.path, "apiVersion"), f"did you mean {version}?"
    else:
        message = f"there is no kind {shorten(kind)}, so it is skipped"
        path, hint = (*place.path, "kind"), f"did you mean {meant}?"
    where = Place(place.source, place.document, path)
    subject = " ".join(filter(None, [meant, _full_name(value)]))
    remarks.add_at(Remark(where, message, hint, subject, base=place.path, warning=True))


def _note_endpoints(value: object, place: Place, remarks: Remarks) -> None:
    namespace, _, name = _full_name(value).partition("/")
    remarks.endpoints.append(EndpointsObject(place, namespace, name))


def _group(value: Mapping[str, object]) -> str:
    return str(value.get("apiVersion") or "").rpartition("/")[0]


def _full_name(value: object) -> str:
    """Return `namespace/name` of a plain object; empty where it has no name."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return ""
    name = f"{metadata.get('namespace') or 'default'}/{metadata['name']}"
    return name if name.isprintable() and len(name) < 320 else shorten(name)


def report_unused(
    batches: Sequence[Batch], remarks: Remarks, *, without_cluster_ips: bool = False
) -> None:
    """Warn of objects that get no rules, where whoever wrote them will have expected some.

    `without_cluster_ips` is for hand-written Services, which get their cluster IPs only later, when
    their Endpoints are mirrored too.
    """
    services = {
        (service.metadata.namespace or "default", service.metadata.name or ""): service
        for batch in batches
        for service in batch.objects
        if isinstance(service, Service) and service.metadata
    }
    checks = _Checks(services, remarks, without_cluster_ips=without_cluster_ips)
    for batch in batches:
        for index, manifest in enumerate(batch.objects):
            if isinstance(manifest, EndpointSlice):
                if not _is_usual(manifest, services):
                    checks.check_slice(manifest, batch, index)
            elif isinstance(manifest, Service) and manifest.spec and not manifest.spec.cluster_ip:
                checks.check_service(manifest, batch, index)
    checks.report_ports()
    if remarks.endpoints and not without_cluster_ips:  # they will be mirrored
        slices = (one for batch in batches for one in batch.objects)
        named = {_service_of(one) for one in slices if isinstance(one, EndpointSlice)}
        _report_endpoints(remarks, services, named)


def _is_usual(endpoint_slice: EndpointSlice, services: Mapping[_Name, Service]) -> bool:
    """Return whether a slice has its Service's one port: most have, and need no other look."""
    metadata, ports = endpoint_slice.metadata, endpoint_slice.ports
    if not ports or len(ports) > 1 or metadata is None or metadata.labels is None:
        return False
    service = services.get((metadata.namespace or "default", metadata.labels.service_name or ""))
    if service is None or service.spec is None or not service.spec.ports:
        return False
    port, other = ports[0], service.spec.ports[0]
    return bool(port.port) and port.name == other.name and port.protocol == other.protocol


def lacks_cluster_ip(service: Service) -> bool:
    """Return whether kube-proxy skips a Service only because it has no cluster IP yet."""
    metadata, spec = service.metadata, service.spec
    labels = metadata.labels if metadata else None
    if labels and (labels.service_proxy_name is not None or labels.headless is not None):
        return False
    return spec is not None and spec.cluster_ip in {None, ""} and spec.type != "ExternalName"


def _service_of(endpoint_slice: EndpointSlice) -> _Name:
    metadata = endpoint_slice.metadata
    if metadata is None or metadata.labels is None:
        return "", ""
    return metadata.namespace or "default", metadata.labels.service_name or ""


@dataclass
class _Mismatch:
    """A slice port that its Service does not have: where it is first, and in how many slices."""

    place: _Place
    path: Path
    slices: int = 0


class _Checks:
    """Checks Services and slices, and keeps what is reported once for several slices."""

    def __init__(
        self,
        services: Mapping[_Name, Service],
        remarks: Remarks,
        *,
        without_cluster_ips: bool,
    ) -> None:
        self._services, self._remarks = services, remarks
        self._without_cluster_ips = without_cluster_ips
        self._ports: dict[_Name, frozenset[_PortKey] | None] = {}
        self._mismatches: dict[tuple[_Name, _PortKey], _Mismatch] = {}
        self._guesses = 0

    def check_service(self, service: Service, batch: Batch, index: int) -> None:
        """Warn of a Service that has ports and lacks a cluster IP."""
        spec = service.spec
        if self._without_cluster_ips or spec is None or not spec.ports:
            return
        if not lacks_cluster_ip(service):
            return
        path: Path = ("spec", "clusterIP")
        message = "missing, so kube-proxy skips this Service"
        self._remarks.start(batch, index)
        if spec.cluster_ips:
            hint = f"set it to the first of clusterIPs, {shorten(spec.cluster_ips[0])}"
            self._remarks.add(path, message, hint, warning=True)
        else:
            hint = f"the API server assigns one, as {ARGUMENT} does"
            argument = "complete_manifests()"
            self._remarks.add(path, message, hint, warning=True, argument=argument)

    def check_slice(self, endpoint_slice: EndpointSlice, batch: Batch, index: int) -> None:
        """Warn of a slice of no Service, and keep in mind the ports that its Service lacks."""
        key = _service_of(endpoint_slice)
        ports = self._ports_of(key)
        if ports is None:
            self._remarks.start(batch, index)
            self._check_service_name(endpoint_slice, key)
            return
        for number, port in enumerate(endpoint_slice.ports or ()):
            port_key = (port.name or "", port.protocol or "TCP")
            if port_key not in ports and ports:
                where: Path = ("ports", number)
                mismatch = _Mismatch((batch, index), where)
                self._mismatches.setdefault((key, port_key), mismatch).slices += 1
            elif ports and not port.port:
                self._remarks.start(batch, index)
                message = "missing, so kube-proxy ignores this port"
                self._remarks.add(("ports", number, "port"), message, PORT_RULE, warning=True)

    def _ports_of(self, key: _Name) -> frozenset[_PortKey] | None:
        """Return the ports that a Service's slices may have; none for one that is not proxied.

        None where there is no such Service.
        """
        if key not in self._ports:
            self._ports[key] = self._find_ports(key)
        return self._ports[key]

    def _find_ports(self, key: _Name) -> frozenset[_PortKey] | None:
        service = self._services.get(key)
        if service is None:
            return None
        will_be_proxied = self._without_cluster_ips and lacks_cluster_ip(service)
        if service.spec is None or not (is_proxied(service) or will_be_proxied):
            return frozenset()
        ports = service.spec.ports or ()
        return frozenset((port.name or "", port.protocol or "TCP") for port in ports)

    def _check_service_name(self, endpoint_slice: EndpointSlice, key: _Name) -> None:
        metadata = endpoint_slice.metadata
        labels = metadata.labels if metadata else None
        if metadata is None or endpoint_slice.address_type not in IP_FAMILIES:
            return
        if labels and (labels.service_proxy_name is not None or labels.headless is not None):
            return
        namespace = metadata.namespace or "default"
        path: Path = ("metadata", "labels")
        if labels is None or not labels.service_name:
            message = f"no label {SERVICE_NAME}, so kube-proxy ignores this slice"
            meant = self._service_by_slice_name(namespace, metadata.name or "")
            hint = f"did you mean {SERVICE_NAME}: {meant}?" if meant else ""
            hint = hint or "it names the Service that the endpoints are of"
            self._remarks.add(path, message, hint, warning=True)
            return
        message = (
            f"there is no Service {namespace}/{labels.service_name} among the manifests, "
            "so this slice has no effect"
        )
        hint = self._guess(key) or "add the Service to the manifests"
        self._remarks.add((*path, SERVICE_NAME), message, hint, warning=True)

    def _service_by_slice_name(self, namespace: str, name: str) -> str:
        """Guess a slice's Service by its name, which the controller makes of the Service's."""
        while name:
            if (namespace, name) in self._services:
                return name
            name = name.rpartition("-")[0]
        return ""

    def _guess(self, key: _Name) -> str:
        """Guess which Service was meant by one that isn't there."""
        self._guesses += 1
        if self._guesses > MAX_GUESSES:
            return ""
        namespace, name = key
        if near := _nearest(name, self._names_in.get(namespace, ())):
            return f"did you mean {near}?"
        elsewhere = sorted(other for other, its_name in self._services if its_name == name)
        return f"there is one in the namespace {elsewhere[0]}" if elsewhere else ""

    @cached_property
    def _names_in(self) -> Mapping[str, list[str]]:
        """The names of the Services of each namespace."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for namespace, name in self._services:
            names[namespace].append(name)
        return names

    def report_ports(self) -> None:
        """Warn of each slice port that its Service does not have, once for all of its slices."""
        for (key, (name, protocol)), mismatch in self._mismatches.items():
            self._remarks.start(*mismatch.place)
            described = shorten(name) if name else "without a name"
            more = mismatch.slices - 1
            also = f", here and in {more} more slice{'s' if more > 1 else ''}" if more else ""
            message = (
                f"Service {'/'.join(key)} has no {protocol} port {described}, "
                f"so this port has no effect{also}"
            )
            spec = self._services[key].spec
            hint = _port_hint(name, protocol, (spec.ports if spec else None) or ())
            self._remarks.add(mismatch.path, message, hint, warning=True)


def _port_hint(name: str, protocol: str, ports: Sequence[ServicePort]) -> str:
    """Guess which of a Service's ports was meant, or list them."""
    by_name = {port.name or "": port.protocol or "TCP" for port in ports}
    if name in by_name:
        return f"did you mean protocol: {by_name[name]}?"
    same = [other for other, its_protocol in by_name.items() if its_protocol == protocol]
    meant = same[0] if len(same) == 1 else _nearest(name, same)
    if meant:
        return f"did you mean name: {meant}?"
    if "" in same:
        return "did you mean a port without a name?"
    listed = ", ".join(
        f"{other or 'no name'} {by_name[other]}" for other in list(by_name)[:_LISTED]
    )
    return f"its ports are {listed}" if listed else ""


def _nearest(name: str, names: Iterable[str]) -> str:
    """Return the most similar name; empty where none is similar, or where there are too many."""
    names = list(names)
    if not name or len(names) > MAX_NAMES:
        return ""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return near[0] if near else ""


def _report_endpoints(
    remarks: Remarks, services: Mapping[_Name, Service], sliced: set[_Name]
) -> None:
    """Warn of Endpoints objects that no EndpointSlice stands for."""
    for found in remarks.endpoints:
        key = (found.namespace, found.name)
        service = services.get(key)
        if key in sliced or (service and service.spec and service.spec.cluster_ip == "None"):
            continue
        name = f"{found.namespace}/{found.name}" if found.name else ""
        remarks.add_at(
            Remark(
                found.place,
                "kube-proxy does not read Endpoints, and no EndpointSlice has these",
                "add the EndpointSlices: kubectl get endpointslices -o yaml",
                subject=" ".join(filter(None, [ENDPOINTS, name])),
                base=found.place.path,
                warning=True,
            )
        )
