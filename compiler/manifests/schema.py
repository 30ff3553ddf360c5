"""The fields of the Kubernetes API that decide what kube-proxy writes, as typed objects.

Only these fields are decoded; whatever else the API has or may add is skipped. Every field may
be absent or null, as in the API's JSON, and the defaults of the API server are applied where a
value is used, not here: these objects hold what was written.

Sources: kubernetes `api/core/v1` and `api/discovery/v1`.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct, field


class Base(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What all objects share: immutable, and untracked by the collector since none has a cycle."""


class Labels(Base, frozen=True, gc=False):
    """The labels that kube-proxy looks at, of Services, EndpointSlices and Nodes."""

    service_proxy_name: str | None = field(
        default=None, name="service.kubernetes.io/service-proxy-name"
    )
    headless: str | None = field(default=None, name="service.kubernetes.io/headless")
    service_name: str | None = field(default=None, name="kubernetes.io/service-name")
    zone: str | None = field(default=None, name="topology.kubernetes.io/zone")


class Annotations(Base, frozen=True, gc=False):
    """The annotations that ask for topology hints, and the one that `lint` looks at."""

    topology_aware_hints: str | None = field(
        default=None, name="service.kubernetes.io/topology-aware-hints"
    )
    topology_mode: str | None = field(default=None, name="service.kubernetes.io/topology-mode")
    lint_ignore: str | None = field(default=None, name="proxyrules.dev/ignore")


class ObjectMeta(Base, frozen=True, gc=False):
    """`metadata`."""

    name: str | None = None
    namespace: str | None = None
    labels: Labels | None = None
    annotations: Annotations | None = None


class ServicePort(Base, frozen=True, gc=False):
    """One of `Service.spec.ports`."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    node_port: int | None = None


class ClientIPConfig(Base, frozen=True, gc=False):
    """`sessionAffinityConfig.clientIP`."""

    timeout_seconds: int | None = None


class SessionAffinityConfig(Base, frozen=True, gc=False):
    """`Service.spec.sessionAffinityConfig`."""

    client_ip: ClientIPConfig | None = field(default=None, name="clientIP")


class ServiceSpec(Base, frozen=True, gc=False):
    """`Service.spec`."""

    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    ip_families: list[str] | None = None
    ports: list[ServicePort] | None = None
    session_affinity: str | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None
    external_ips: list[str] | None = field(default=None, name="externalIPs")
    load_balancer_source_ranges: list[str] | None = None
    health_check_node_port: int | None = None
    # Read by the API server alone; `lint` asks whether it gave node ports.
    allocate_load_balancer_node_ports: bool | None = None


class LoadBalancerIngress(Base, frozen=True, gc=False):
    """One of `Service.status.loadBalancer.ingress`."""

    ip: str | None = None
    ip_mode: str | None = None


class LoadBalancerStatus(Base, frozen=True, gc=False):
    """`Service.status.loadBalancer`."""

    ingress: list[LoadBalancerIngress] | None = None


class ServiceStatus(Base, frozen=True, gc=False):
    """`Service.status`."""

    load_balancer: LoadBalancerStatus | None = None


class Service(Base, frozen=True, gc=False, tag_field="kind", tag="Service"):
    """A `v1` Service."""

    API_VERSION: ClassVar[str] = "v1"

    api_version: str | None = None
    metadata: ObjectMeta | None = None
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


class EndpointConditions(Base, frozen=True, gc=False):
    """One endpoint's `conditions`."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Hint(Base, frozen=True, gc=False):
    """One of `hints.forZones` or `hints.forNodes`."""

    name: str | None = None


class EndpointHints(Base, frozen=True, gc=False):
    """One endpoint's `hints`."""

    for_zones: list[Hint] | None = None
    for_nodes: list[Hint] | None = None


class Endpoint(Base, frozen=True, gc=False):
    """One of `EndpointSlice.endpoints`."""

    addresses: list[str] | None = None
    conditions: EndpointConditions | None = None
    node_name: str | None = None
    hints: EndpointHints | None = None


class EndpointPort(Base, frozen=True, gc=False):
    """One of `EndpointSlice.ports`."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class EndpointSlice(Base, frozen=True, gc=False, tag_field="kind", tag="EndpointSlice"):
    """A `discovery.k8s.io/v1` EndpointSlice."""

    API_VERSION: ClassVar[str] = "discovery.k8s.io/v1"

    api_version: str | None = None
    metadata: ObjectMeta | None = None
    address_type: str | None = None
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None


class NodeSpec(Base, frozen=True, gc=False):
    """`Node.spec`."""

    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")


class NodeAddress(Base, frozen=True, gc=False):
    """One of `Node.status.addresses`."""

    type: str | None = None
    address: str | None = None


class NodeStatus(Base, frozen=True, gc=False):
    """`Node.status`."""

    addresses: list[NodeAddress] | None = None


class Node(Base, frozen=True, gc=False, tag_field="kind", tag="Node"):
    """A `v1` Node."""

    API_VERSION: ClassVar[str] = "v1"

    api_version: str | None = None
    metadata: ObjectMeta | None = None
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


Manifest = Service | EndpointSlice | Node

KINDS: dict[str, type[Service | EndpointSlice | Node]] = {
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Node": Node,
}
