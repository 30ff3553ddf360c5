"""Dumps of made-up clusters, as `kubectl get services,endpointslices,nodes -A` prints them.

`python -m tests.benchmarks.generate --services 1000 --endpoints 10 dump.yaml` writes one.

The objects carry what the API server adds to real ones (uid, resourceVersion, owner references,
annotations, a Node's status), since a reader has to get past all of it. Equal shapes give equal
bytes: everything comes from one seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tests.benchmarks.kubectl_yaml import yaml_lines

Object = dict[str, Any]

# What the EndpointSlice controller puts into one slice at most by default.
ENDPOINTS_PER_SLICE = 100
PODS_PER_NODE = 110
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
NAMESPACES = ("default", "shop", "payments", "search", "monitoring", "team-blue", "team-green")
NODE_PORTS = range(30000, 32768)
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what the API server makes generated names of


@dataclass(frozen=True, slots=True)
class Shape:
    """How big a made-up cluster is, and which share (0 to 1) of its Services has what."""

    services: int
    endpoints: int
    """Endpoints of each Service."""
    affinity: float = 0.1
    """Services with ClientIP affinity."""
    node_ports: float = 0.05
    """Services of type NodePort; no more than there are node ports."""
    local: float = 0.5
    """Those of the node-port Services whose external traffic policy is Local."""
    applied: float = 0.3
    """Objects that `kubectl apply` made, which carry their last applied configuration."""
    zone_hints: float = 0.0
    """Services with `trafficDistribution: PreferClose`, whose endpoints have hints for zones."""
    on_nodes: int = 0
    """How many Nodes there are; 0 is as many as the pods behind the Services need."""
    seed: int = 1

    @property
    def nodes(self) -> int:
        """The number of Nodes."""
        return self.on_nodes or max(3, -(-self.services * self.endpoints // PODS_PER_NODE))


class _Cluster:
    """Makes one cluster's objects; what is random about them comes from the shape's seed."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.random = random.Random(shape.seed)
        self.versions = itertools.count(40_000_000, 7)
        self.pods = itertools.count(2)
        self.free_node_ports = list(NODE_PORTS)
        self.random.shuffle(self.free_node_ports)

    def uid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def suffix(self, length: int = 5) -> str:
        return "".join(self.random.choices(NAME_LETTERS, k=length))

    def time(self) -> str:
        day, hour, minute = (self.random.randint(*span) for span in ((1, 28), (0, 23), (0, 59)))
        return f"2024-0{self.random.randint(1, 9)}-{day:02}T{hour:02}:{minute:02}:17Z"

    def metadata(self, name: str, namespace: str, **more: Any) -> Object:
        meta = {
            "creationTimestamp": self.time(),
            "name": name,
            "resourceVersion": str(next(self.versions)),
            "uid": self.uid(),
        }
        return meta | ({"namespace": namespace} if namespace else {}) | more

    def service(self, index: int) -> Object:
        name, namespace = f"svc-{index:05}", NAMESPACES[index % len(NAMESPACES)]
        cluster_ip = f"10.{96 + (index >> 16)}.{(index >> 8) & 255}.{index & 255}"
        port: Object = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
        spec: Object = {
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [port],
            "selector": {"app.kubernetes.io/name": name},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        }
        if self.random.random() < self.shape.affinity:
            spec["sessionAffinity"] = "ClientIP"
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
        if self.random.random() < self.shape.node_ports and self.free_node_ports:
            port["nodePort"] = self.free_node_ports.pop()
            is_local = self.random.random() < self.shape.local
            spec |= {
                "type": "NodePort",
                "externalTrafficPolicy": "Local" if is_local else "Cluster",
            }
        if self.shape.zone_hints and self.random.random() < self.shape.zone_hints:
            spec["trafficDistribution"] = "PreferClose"
        labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": name}
        service: Object = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(name, namespace, labels=labels),
            "spec": spec,
            "status": {"loadBalancer": {}},
        }
        self.annotate(service, labels)
        return service

    def annotate(self, service: Object, labels: Object) -> None:
        """Add what people's tools leave in a Service's annotations."""
        meta, annotations = service["metadata"], {}
        if self.random.random() < self.shape.applied:
            applied = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"annotations": {}, "labels": labels, "name": meta["name"]},
                "spec": {"ports": service["spec"]["ports"], "type": service["spec"]["type"]},
            }
            text = json.dumps(applied, separators=(",", ":"))
            annotations["kubectl.kubernetes.io/last-applied-configuration"] = text + "\n"
        if self.random.random() < 0.2:
            annotations |= {"prometheus.io/port": "8080", "prometheus.io/scrape": "true"}
        if self.random.random() < 0.05:
            text = f"Serves {meta['name']} to the other teams; ask #platform: who's on duty?"
            annotations["example.com/description"] = text
        if annotations:
            meta["annotations"] = annotations

    def slices(self, service: Object) -> Iterator[Object]:
        for start in range(0, self.shape.endpoints, ENDPOINTS_PER_SLICE):
            yield self.slice(service, min(ENDPOINTS_PER_SLICE, self.shape.endpoints - start))

    def slice(self, service: Object, endpoints: int) -> Object:
        owner, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        template_hash = self.suffix(9)
        return {
            "addressType": "IPv4",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": [
                _hinted(self.endpoint(f"{owner}-{template_hash}", namespace), service)
                for _ in range(endpoints)
            ],
            "kind": "EndpointSlice",
            "metadata": self.metadata(
                f"{owner}-{self.suffix()}",
                namespace,
                annotations={"endpoints.kubernetes.io/last-change-trigger-time": self.time()},
                generateName=f"{owner}-",
                generation=self.random.randint(1, 40),
                labels={
                    "app.kubernetes.io/managed-by": "Helm",
                    "app.kubernetes.io/name": owner,
                    "endpointslice.kubernetes.io/managed-by": ("endpointslice-controller.k8s.io"),
                    "kubernetes.io/service-name": owner,
                },
                ownerReferences=[
                    {
                        "apiVersion": "v1",
                        "blockOwnerDeletion": True,
                        "controller": True,
                        "kind": "Service",
                        "name": owner,
                        "uid": service["metadata"]["uid"],
                    }
                ],
            ),
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }

    def endpoint(self, pod_prefix: str, namespace: str) -> Object:
        pod = next(self.pods)
        node = self.random.randrange(self.shape.nodes)
        return {
            "addresses": [f"10.{128 + (pod >> 16)}.{(pod >> 8) & 255}.{pod & 255}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": node_name(node),
            "targetRef": {
                "kind": "Pod",
                "name": f"{pod_prefix}-{self.suffix()}",
                "namespace": namespace,
                "uid": self.uid(),
            },
            "zone": ZONES[node % len(ZONES)],
        }

    def node(self, index: int) -> Object:
        name, zone = node_name(index), ZONES[index % len(ZONES)]
        pod_cidr = f"10.{128 + (index >> 8)}.{index & 255}.0/24"
        labels = {
            "beta.kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "m5.2xlarge",
            "topology.kubernetes.io/region": zone[:-1],
            "topology.kubernetes.io/zone": zone,
        }
        condition = {
            "lastHeartbeatTime": self.time(),
            "lastTransitionTime": self.time(),
            "message": "kubelet is posting ready status",
            "reason": "KubeletReady",
            "status": "True",
            "type": "Ready",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": self.metadata(
                name,
                "",
                annotations={"node.alpha.kubernetes.io/ttl": "0"},
                labels=labels,
            ),
            "spec": {
                "podCIDR": pod_cidr,
                "podCIDRs": [pod_cidr],
                "providerID": f"aws:///{zone}/i-{self.random.getrandbits(68):017x}",
            },
            "status": {
                "addresses": [
                    {"address": node_ip(index), "type": "InternalIP"},
                    {"address": name, "type": "Hostname"},
                ],
                "allocatable": {"cpu": "7910m", "memory": "31482288Ki", "pods": "110"},
                "capacity": {"cpu": "8", "memory": "32522672Ki", "pods": "110"},
                "conditions": [condition],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                "images": [
                    {
                        "names": [f"registry.example.com/base/image-{number}:v1.{number}"],
                        "sizeBytes": 20_000_000 + 7919 * number,
                    }
                    for number in range(5)
                ],
                "nodeInfo": {
                    "architecture": "amd64",
                    "kernelVersion": "6.1.0-28-amd64",
                    "kubeProxyVersion": "v1.34.1",
                    "kubeletVersion": "v1.34.1",
                    "machineID": self.random.randbytes(16).hex(),
                    "operatingSystem": "linux",
                },
            },
        }


def _hinted(endpoint: Object, service: Object) -> Object:
    """Add what the EndpointSlice controller adds for `trafficDistribution`."""
    if "trafficDistribution" not in service["spec"]:
        return endpoint
    return endpoint | {"hints": {"forZones": [{"name": endpoint["zone"]}]}}


def node_ip(index: int) -> str:
    """Return the internal IP of the Node with this index."""
    index += 10
    return f"172.{16 + (index >> 16)}.{(index >> 8) & 255}.{index & 255}"


def node_name(index: int) -> str:
    """Return the name of the Node with this index, as AWS names its nodes."""
    return f"ip-{node_ip(index).replace('.', '-')}.eu-central-1.compute.internal"


def objects(shape: Shape) -> Iterator[Object]:
    """Make the cluster's objects in the order in which kubectl lists them."""
    cluster = _Cluster(shape)
    services = [cluster.service(index) for index in range(shape.services)]
    yield from services
    for service in services:
        yield from cluster.slices(service)
    yield from (cluster.node(index) for index in range(shape.nodes))


def write_json(items: Iterator[Object], path: Path, *, indent: int | None = 4) -> None:
    """Write the objects as `kubectl get -o json` does: one List, keys sorted, indented by four.

    With `indent` None all of it is on one line, as the API server sends it.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    whole = {
        "apiVersion": "v1",
        "items": list(items),
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
    text = json.dumps(
        whole, indent=indent, separators=separators, sort_keys=True, ensure_ascii=False
    )
    path.write_text(f"{text}\n", encoding="utf-8")


def write_yaml(items: Iterator[Object], path: Path) -> None:
    """Write the objects as `kubectl get -o yaml` does: one List."""
    with path.open("w", encoding="utf-8") as file:
        file.write("apiVersion: v1\nitems:\n")
        for item in items:
            file.writelines(yaml_lines([item]))
        file.write('kind: List\nmetadata:\n  resourceVersion: ""\n')


def main() -> None:
    """Write one dump."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generate")
    for field in fields(Shape):
        kind = float if field.type == "float" else int
        needed = field.name in {"services", "endpoints"}
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=kind, required=needed, default=field.default)
    parser.add_argument("--one-line", action="store_true", help="JSON without line breaks")
    parser.add_argument("path", type=Path, help="ends in .yaml or .json")
    options = vars(parser.parse_args())
    path, one_line = options.pop("path"), options.pop("one_line")
    items = objects(Shape(**options))
    if path.suffix == ".yaml":
        write_yaml(items, path)
    else:
        write_json(items, path, indent=None if one_line else 4)


if __name__ == "__main__":
    main()
