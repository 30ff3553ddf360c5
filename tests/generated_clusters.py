"""Made-up clusters with all that the rules of `lint` look at, from a seed.

They are small and full of odd combinations, all of them valid. Equal seeds give equal clusters. To
try a new rule, add what it looks at here, with `self.chance(...)`, at the end of the method that
makes the object: what is drawn before keeps its values then.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from compiler.manifests.source import Source
from tests.generated_balancers import with_balancers
from tests.generated_endpoints import with_endpoints
from tests.generated_nodes import Dump, dumps_of, settings_of

Object = dict[str, Any]
T = TypeVar("T")

COUNT = 200
ZONES = ("a", "b", "c")
SHARED_IPS = ("192.0.2.10", "192.0.2.11", "2001:db8::10")
PORTS: tuple[tuple[str, str, int, int], ...] = (
    ("http", "TCP", 80, 8080),
    ("https", "TCP", 443, 8443),
    ("dns", "UDP", 53, 5353),
    ("game", "UDP", 7777, 7777),
    ("peer", "SCTP", 9000, 9000),
)


@dataclass(frozen=True)
class Cluster:
    """A cluster: its objects, kube-proxy's configuration (None where it is not known), options."""

    seed: int
    objects: tuple[Object, ...]
    config: Object | None
    options: dict[str, Any] = field(default_factory=dict)
    # What nodes have (text by name), with what is wrong there.
    dumps: tuple[Dump, ...] = ()

    @property
    def sources(self) -> list[Source]:
        """The objects as a text."""
        value = {"apiVersion": "v1", "kind": "List", "items": list(self.objects)}
        return [Source(f"cluster-{self.seed}.json", json.dumps(value, indent=1).encode())]

    @property
    def config_source(self) -> Source | None:
        """The configuration as a text."""
        if self.config is None:
            return None
        return Source("kube-proxy.json", json.dumps(self.config).encode())

    def of(self, kind: str) -> list[Object]:
        """Return the objects of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    @property
    def version(self) -> tuple[int, int]:
        """The release that is asked for; the newest if none is."""
        major, minor = self.options.get("kube_version", "1.37").split(".")
        return int(major), int(minor)

    @property
    def node_names(self) -> list[str]:
        """The nodes that lint looks at: Nodes, or those that endpoints name."""
        return [node["metadata"]["name"] for node in self.of("Node")] or sorted(
            {
                endpoint["nodeName"]
                for one in self.of("EndpointSlice")
                for endpoint in one["endpoints"]
                if endpoint.get("nodeName")
            }
        )


def name_of(one: Object) -> str:
    """Return `namespace/name`."""
    return f"{one['metadata'].get('namespace', 'default')}/{one['metadata']['name']}"


def subject(one: Object) -> str:
    """Name an object as findings do."""
    if one["kind"] == "Node":
        return f"Node {one['metadata']['name']}"
    return f"{one['kind']} {name_of(one)}"


@cache
def clusters() -> tuple[Cluster, ...]:
    """Return all clusters."""
    return tuple(_with_nodes(_Maker(seed).cluster()) for seed in range(COUNT))


def _with_nodes(made: Cluster) -> Cluster:
    """Add what has draws of its own: settings, DaemonSets, balancers, endpoints, dumps."""
    objects, config, options = settings_of(made.seed, made.objects, made.config, made.options)
    objects = with_endpoints(made.seed, with_balancers(made.seed, objects))
    dumps = dumps_of(made.seed, objects)
    return Cluster(made.seed, objects, config, options, dumps)


class _Maker:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.dual = self.chance(0.2)
        self.number = 0
        self.pod = 10
        # The node ports that are free, the same for all protocols.
        self.node_ports = list(range(30000, 30200))
        self.random.shuffle(self.node_ports)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def one_of(self, some: Sequence[T]) -> T:
        return self.random.choice(some)

    def cluster(self) -> Cluster:
        nodes = [f"worker-{number}" for number in range(self.random.randint(1, 5))]
        objects: list[Object] = []
        for _ in range(self.random.randint(1, 6)):
            service = self.service()
            objects += [service, *self.slices(service, nodes)]
        if self.chance(0.8):
            objects += [self.node(name, place) for place, name in enumerate(nodes)]
        if self.chance(0.5):
            objects += self.pods(nodes)
        if self.chance(0.2):
            self.random.shuffle(objects)
        return Cluster(self.seed, tuple(objects), self.config(), self.options())

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.chance(0.4):
            options["kube_version"] = f"1.{self.random.randint(30, 37)}"
        if self.chance(0.3):
            options["clients"] = self.one_of([50, 100, 101, 500, 100_000])
        return options

    def config(self) -> Object | None:
        if self.chance(0.4):
            return None
        config: Object = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
        }
        if self.chance(0.6):
            config["clusterCIDR"] = "10.244.0.0/16" + (",fd00:10:244::/56" if self.dual else "")
        if self.chance(0.2):
            config["detectLocalMode"] = self.one_of(["NodeCIDR", "ClusterCIDR"])
        iptables: Object = {}
        if self.chance(0.3):
            iptables["masqueradeBit"] = self.one_of([14, 15, 16])
        if self.chance(0.3):
            iptables["localhostNodePorts"] = self.chance(0.5)
        if self.chance(0.2):
            iptables["masqueradeAll"] = self.chance(0.5)
        if iptables:
            config["iptables"] = iptables
        if self.chance(0.3):
            config["nodePortAddresses"] = [self.one_of(["172.18.0.0/16", "0.0.0.0/0"])]
        if self.chance(0.3):
            config["conntrack"] = {"tcpBeLiberal": self.chance(0.5)}
        if self.chance(0.2):
            config["mode"] = "iptables"
        return config

    def node(self, name: str, place: int) -> Object:
        labels = {} if self.chance(0.1) else {"topology.kubernetes.io/zone": ZONES[place % 3]}
        addresses = [{"type": "InternalIP", "address": f"172.18.0.{place + 2}"}]
        if self.dual:
            addresses.append({"type": "InternalIP", "address": f"fc00:f853::{place + 2}"})
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"podCIDRs": [f"10.244.{place}.0/24", f"fd00:10:244:{place}::/64"]},
            "status": {"addresses": addresses},
        }

    def service(self) -> Object:
        self.number += 1
        number = self.number
        ips = [f"10.96.0.{number}", f"fd00:10:96::{number}"][: 1 + self.dual]
        ports = self.random.sample(PORTS, self.random.randint(1, 3))
        type_ = self.one_of(["ClusterIP", "NodePort", "LoadBalancer"])
        spec: Object = {
            "type": type_,
            "clusterIP": ips[0],
            "clusterIPs": ips,
            "ipFamilies": ["IPv4", "IPv6"][: 1 + self.dual],
            "selector": {"app": f"app-{number}"},
            "ports": [self.port(*port, named=len(ports) > 1) for port in ports],
        }
        if self.chance(0.5):
            spec["sessionAffinity"] = "ClientIP"
            if self.chance(0.7):
                seconds = self.one_of([1, 10, 59, 60, 300, 3600, 10800, 86399, 86400])
                spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
        if self.chance(0.3):
            spec["internalTrafficPolicy"] = self.one_of(["Local", "Cluster"])
        if self.chance(0.3):
            spec["externalIPs"] = self.random.sample(SHARED_IPS, self.random.randint(1, 2))
        metadata: Object = {"name": f"app-{number}", "namespace": self.one_of(["default", "shop"])}
        if self.chance(0.2):
            metadata["annotations"] = {
                "service.kubernetes.io/topology-mode": self.one_of(["Auto", "disabled"])
            }
        service: Object = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": spec,
        }
        if type_ != "ClusterIP" or "externalIPs" in spec:
            spec["externalTrafficPolicy"] = self.one_of(["Local", "Cluster"])
        if type_ == "LoadBalancer":
            self.load_balancer(service)
        self.annotate(service)
        with_node_ports = type_ == "NodePort" or (
            type_ == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
        )
        if with_node_ports:
            for port in spec["ports"]:
                port["nodePort"] = self.node_ports.pop()
        return service

    def annotate(self, service: Object) -> None:
        if self.chance(0.1):
            ignored = ["PR101: one port matters", "PR101", "PR999: gone", "PR101 PR301: both"]
            annotations = service["metadata"].setdefault("annotations", {})
            annotations["proxyrules.dev/ignore"] = self.one_of(ignored)

    def port(self, name: str, protocol: str, number: int, target: int, *, named: bool) -> Object:
        target_port = self.one_of([target, name])
        port: Object = {"protocol": protocol, "port": number, "targetPort": target_port}
        return {"name": name, **port} if named or self.chance(0.5) else port

    def load_balancer(self, service: Object) -> None:
        spec = service["spec"]
        if self.chance(0.3):
            spec["allocateLoadBalancerNodePorts"] = self.chance(0.5)
        if self.chance(0.4):
            spec["loadBalancerSourceRanges"] = self.one_of(
                [["198.51.100.0/24"], ["0.0.0.0/0"], ["172.18.0.0/16", "2001:db8::/32"]]
            )
        if self.chance(0.85):
            ip = self.one_of([f"203.0.113.{self.number}", *SHARED_IPS[:1]])
            ingress: Object = {"ip": ip}
            if self.chance(0.4):
                ingress["ipMode"] = self.one_of(["VIP", "Proxy"])
            service["status"] = {"loadBalancer": {"ingress": [ingress]}}

    def slices(self, service: Object, nodes: Sequence[str]) -> Iterator[Object]:
        if self.chance(0.1):
            return
        hinted = self.one_of(["none", "none", "zones", "some", "nodes"])
        for family in service["spec"]["ipFamilies"]:
            for copy in range(self.random.randint(1, 2)):
                yield self.slice(service, nodes, family, copy, hinted)

    def slice(
        self, service: Object, nodes: Sequence[str], family: str, copy: int, hinted: str
    ) -> Object:
        name = service["metadata"]["name"]
        labels = {} if self.chance(0.05) else {"kubernetes.io/service-name": name}
        used = self.random.sample(nodes, self.random.randint(1, len(nodes)))
        ports = [
            {
                **({"name": port["name"]} if "name" in port else {}),
                "protocol": port["protocol"],
                "port": next(one[3] for one in PORTS if one[2] == port["port"]),
            }
            for port in service["spec"]["ports"]
        ]
        if self.chance(0.1):
            ports[0]["name"] = "other"
        if self.chance(0.05):
            ports[-1]["protocol"] = "UDP" if ports[-1]["protocol"] == "TCP" else "TCP"
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-{family.lower()}-{copy}",
                "namespace": service["metadata"]["namespace"],
                "labels": labels,
            },
            "addressType": family,
            "ports": ports,
            "endpoints": [
                self.endpoint(used, nodes, family, hinted) for _ in range(self.random.randint(0, 5))
            ],
        }

    def endpoint(
        self, used: Sequence[str], nodes: Sequence[str], family: str, hinted: str
    ) -> Object:
        self.pod += 1
        node = self.one_of(used)
        place = nodes.index(node)
        outside = self.chance(0.03)
        if family == "IPv4":
            ip = f"10.99.0.{self.pod}" if outside else f"10.244.{place}.{self.pod}"
        else:
            ip = f"fd99::{self.pod}" if outside else f"fd00:10:244:{place}::{self.pod}"
        endpoint: Object = {"addresses": [ip], "nodeName": node}
        state = self.random.random()
        if state < 0.15:
            endpoint["conditions"] = {"ready": False, "serving": False, "terminating": False}
        elif state < 0.25:
            endpoint["conditions"] = {"ready": False, "serving": True, "terminating": True}
        elif state < 0.6:
            endpoint["conditions"] = {"ready": True}
        if hinted == "zones" or (hinted == "some" and self.chance(0.7)):
            endpoint["hints"] = {"forZones": [{"name": self.one_of(ZONES)}]}
        elif hinted == "nodes":
            endpoint["hints"] = {"forNodes": [{"name": node}]}
        return endpoint

    def pods(self, nodes: Sequence[str]) -> Iterator[Object]:
        for number in range(1, self.number + 1):
            if self.chance(0.3):
                continue
            yield self.workload(number, nodes)

    def workload(self, number: int, nodes: Sequence[str]) -> Object:
        ports = [
            {"name": name, "containerPort": target, "protocol": protocol}
            for name, protocol, _, target in self.random.sample(PORTS, self.random.randint(1, 5))
        ]
        if self.chance(0.15):
            ports[0]["hostPort"] = self.one_of([80, *self.node_ports[-5:]])
        labels = {"app": f"app-{number}"}
        spec: Object = {"containers": [{"name": "main", "image": "app:1", "ports": ports}]}
        namespace = self.one_of(["default", "shop"])
        if self.chance(0.5):
            return {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": f"app-{number}", "namespace": namespace},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": spec},
                },
            }
        spec["nodeName"] = self.one_of(nodes)
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"app-{number}-x", "namespace": namespace, "labels": labels},
            "spec": spec,
            "status": {"phase": "Running"},
        }
