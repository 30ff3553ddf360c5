"""Manifests for the packet tests, as objects: written short, with everything else by default."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

THIS_NODE = "node-a"
OTHER_NODE = "node-b"
NODE_IP = "172.18.0.2"
NODE_IP6 = "fd00:18::2"
CLUSTER_CIDR = "10.10.0.0/16,fd00:10::/48"

# Options of `lab up` that fit these manifests.
OPTIONS = ("--node", THIS_NODE, "--cluster-cidr", CLUSTER_CIDR)

Object = dict[str, Any]


def nodes() -> list[Object]:
    """Two nodes: the one whose rules are tried, and another."""
    addresses = {THIS_NODE: (NODE_IP, NODE_IP6), OTHER_NODE: ("172.18.0.3", "fd00:18::3")}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": ip} for ip in ips]},
        }
        for name, ips in addresses.items()
    ]


def service(
    name: str,
    cluster_ips: Sequence[str],
    *,
    protocol: str = "TCP",
    node_port: int = 0,
    ingress: Sequence[str] = (),
    **spec: Any,
) -> Object:
    """A Service with one port, 80; its type is that of its most external entry point."""
    port: Object = {"name": "main", "port": 80, "protocol": protocol}
    if node_port:
        port["nodePort"] = node_port
    kind = "LoadBalancer" if ingress else "NodePort" if node_port else "ClusterIP"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "type": kind,
            "clusterIP": cluster_ips[0],
            "clusterIPs": list(cluster_ips),
            "ipFamilies": ["IPv6" if ":" in ip else "IPv4" for ip in cluster_ips],
            "ports": [port],
            **spec,
        },
        "status": {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}},
    }


def endpoint(name: str, address: str, node: str = OTHER_NODE, **conditions: bool) -> Object:
    """An endpoint that is a Pod of this name; ready unless `conditions` say otherwise."""
    return {
        "addresses": [address],
        "nodeName": node,
        "conditions": conditions,
        "targetRef": {"kind": "Pod", "namespace": "default", "name": name},
    }


def endpoint_slice(owner: str, endpoints: Sequence[Object], *, protocol: str = "TCP") -> Object:
    """The slice of a Service; the Pods listen on 8080."""
    version = "IPv6" if endpoints and ":" in endpoints[0]["addresses"][0] else "IPv4"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{owner}-{version.lower()}",
            "labels": {"kubernetes.io/service-name": owner},
        },
        "addressType": version,
        "endpoints": list(endpoints),
        "ports": [{"name": "main", "port": 8080, "protocol": protocol}],
    }


def write(folder: Path, *objects: Object, name: str = "manifests.json") -> Path:
    """Write the objects, and the nodes, into a file."""
    path = folder / name
    items = [*nodes(), *objects]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return path
