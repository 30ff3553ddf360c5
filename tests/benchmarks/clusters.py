"""Clusters of any size, as manifests, for measuring."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path


def manifests(services: int, endpoints: int, *, affinity: bool = False) -> str:
    """Write a JSON List of Services with one EndpointSlice each, and a Node."""
    items: list[dict[str, object]] = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node-1"},
            "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
        }
    ]
    cluster_ips = int(ipaddress.IPv4Address("10.96.0.1"))
    pods = int(ipaddress.IPv4Address("10.128.0.1"))
    for number in range(services):
        name = f"service-{number}"
        ip = str(ipaddress.IPv4Address(cluster_ips + number))
        spec: dict[str, object] = {
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        }
        if affinity:
            spec["sessionAffinity"] = "ClientIP"
        metadata = {"name": name, "namespace": "default"}
        items.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        first = pods + number * endpoints
        labels = {"kubernetes.io/service-name": name}
        items.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{name}-1", "namespace": "default", "labels": labels},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": [
                    {"addresses": [str(ipaddress.IPv4Address(first + place))], "nodeName": "node-1"}
                    for place in range(endpoints)
                ],
            }
        )
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def write_manifests(path: Path, services: int, endpoints: int) -> Path:
    """Write them to a file."""
    path.write_text(manifests(services, endpoints))
    return path
