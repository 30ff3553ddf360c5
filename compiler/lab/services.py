"""The lab's Services: their service ports, and why some have none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from compiler.control_plane.objects import at, list_at, map_at, text_at
from compiler.family import Family
from compiler.lab.errors import LabUsageError
from compiler.lab.layout import Layout, Target
from compiler.manifests.address import canonical, family_of
from compiler.proxy.iptables_plan import IptablesServicePort, project
from compiler.proxy.plan import Plan

# Which API group the kinds that the lab looks at belong to; other groups have kinds of these names.
GROUPS = {"Service": "", "Node": "", "Pod": "", "EndpointSlice": "discovery.k8s.io"}

SERVICE_NAME = "kubernetes.io/service-name"
OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"

_Object = Mapping[str, Any]


def of_kind(objects: Iterable[_Object], kind: str) -> Iterator[_Object]:
    """Give the objects of one of the kinds in `GROUPS`, and none of another API group."""
    for found in objects:
        group, slash, _ = text_at(found, "apiVersion").rpartition("/")
        if found.get("kind") == kind and (group if slash else "") == GROUPS[kind]:
            yield found


def targets_of(objects: Sequence[_Object], plans: Mapping[Family, Plan]) -> list[Target]:
    """Return the service ports of every family, in the order in which their rules are written."""
    return [
        _target(one, family, serving[one.port.name, one.port.protocol.upper()])
        for family, plan in plans.items()
        for serving in [_serving_endpoints(objects, family)]
        for one in project(plan).service_ports
    ]


def without_ports(objects: Sequence[_Object], targets: Iterable[Target]) -> dict[str, str]:
    """Return by Service (`namespace/name`) why it has no service port in the lab."""
    served = {target.service for target in targets}
    return {
        name: _why_no_port(found)
        for found in of_kind(objects, "Service")
        if (name := _name(found)) not in served
    }


def resolve_service(layout: Layout, wanted: str) -> str:
    """Return the full name (`namespace/name`) of a Service that has service ports in the lab.

    `wanted` may be the bare name: of the Service in the namespace `default`, else of the only one.
    Raises LabUsageError where there is no such Service, where several namespaces have one, and
    where it has no service port, with the reason.
    """
    known = sorted({target.service for target in layout.targets} | layout.without_ports.keys())
    found = [name for name in known if wanted in {name, name.partition("/")[2]}]
    if f"default/{wanted}" in found:
        found = [f"default/{wanted}"]
    if not found:
        names = ", ".join(known) or "none"
        raise LabUsageError(f'no Service "{wanted}" in the lab; its Services are: {names}')
    if len(found) > 1:
        raise LabUsageError(f'several namespaces have a Service "{wanted}": {", ".join(found)}')
    (name,) = found
    if reason := layout.without_ports.get(name):
        raise LabUsageError(f"kube-proxy writes no rules for Service {name}: {reason}")
    return name


def _name(found: _Object) -> str:
    namespace = text_at(found, "metadata", "namespace") or "default"
    return f"{namespace}/{text_at(found, 'metadata', 'name')}"


def _why_no_port(service: _Object) -> str:
    labels = map_at(service, "metadata", "labels")
    if text_at(service, "spec", "type") == "ExternalName":
        return "its type is ExternalName, which is an alias in DNS"
    if OTHER_PROXY in labels:
        return f"its label {OTHER_PROXY} leaves it to another proxy"
    if text_at(service, "spec", "clusterIP") == "None" or HEADLESS in labels:
        return "it is headless, so its clients connect to the Pods"
    if not list_at(service, "spec", "ports"):
        return "it has no ports"
    return "it has no cluster IP of the lab's IP families"


def _serving_endpoints(
    objects: Sequence[_Object], family: Family
) -> Mapping[tuple[str, str], Iterable[tuple[str, int]]]:
    """Return by service port (its name, its protocol) the serving endpoints, each once.

    Those are what conntrack entries may lead to, used by this node's rules or not. Source:
    kubernetes `pkg/proxy/endpointslicecache.go` (`serving` counts as true where it is not set).
    """
    found: defaultdict[tuple[str, str], dict[tuple[str, int], None]] = defaultdict(dict)
    for one in of_kind(objects, "EndpointSlice"):
        namespace = text_at(one, "metadata", "namespace") or "default"
        service = f"{namespace}/{text_at(one, 'metadata', 'labels', SERVICE_NAME)}"
        addresses = [
            canonical(address)
            for endpoint in list_at(one, "endpoints")
            if at(endpoint, "conditions", "serving") is not False
            for address in list_at(endpoint, "addresses")[:1]
            if isinstance(address, str) and family_of(address) is family
        ]
        for port in list_at(one, "ports"):
            number, name = at(port, "port"), text_at(port, "name")
            key = (f"{service}:{name}" if name else service, text_at(port, "protocol") or "TCP")
            if isinstance(number, int) and number:
                found[key].update(dict.fromkeys((address, number) for address in addresses))
    return found


def _target(
    planned: IptablesServicePort, family: Family, serving: Iterable[tuple[str, int]]
) -> Target:
    port, chains = planned
    nothing = "" if port.has_endpoints else "it has no endpoints"
    inside = "it has no local endpoints" if port.internal_block else ""
    outside = "it has no local endpoints" if port.external_block else ""
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
        endpoints=tuple(serving),
        unserved_inside=nothing or inside,
        unserved_outside=nothing or outside,
    )
