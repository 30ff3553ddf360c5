"""What `generated_clusters` adds about endpoints and host ports, with random numbers of its own."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

Object = dict[str, Any]


def with_endpoints(seed: int, objects: tuple[Object, ...]) -> tuple[Object, ...]:
    """Share endpoints among Services, take node ports as host ports, and add a large Service."""
    made = copy.deepcopy(objects)
    varied = _Variations(seed)
    varied.share_endpoints(made)
    varied.take_host_ports(made)
    return (*made, *varied.many_endpoints())


class _Variations:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"endpoints {seed}")

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def share_endpoints(self, objects: Sequence[Object]) -> None:
        """Give a slice the address of another Service's, and a Service another one's selector."""
        full = [one for one in objects if one["kind"] == "EndpointSlice" and one["endpoints"]]
        if len(full) < 2 or not self.chance(0.4):
            return
        some, other = self.random.sample(full, 2)
        owners = [one["metadata"]["name"].rpartition("-ip")[0] for one in (some, other)]
        if some["addressType"] != other["addressType"] or owners[0] == owners[1]:
            return
        other["endpoints"][0]["addresses"] = some["endpoints"][0]["addresses"]
        by_name = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Service"}
        first, second = (by_name[name] for name in owners)
        if self.chance(0.3):
            second["spec"]["selector"] = first["spec"]["selector"]
        elif self.chance(0.3):
            second["spec"]["selector"] = {"track": "stable"}
        elif self.chance(0.3):
            del second["spec"]["selector"]

    def take_host_ports(self, objects: Sequence[Object]) -> None:
        """Give Pods host ports that are node ports."""
        used = [
            port
            for one in objects
            if one["kind"] == "Service"
            for port in one["spec"]["ports"]
            if "nodePort" in port
        ]
        for one in objects:
            if one["kind"] not in {"Pod", "Deployment"} or not used or not self.chance(0.2):
                continue
            spec = one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
            taken, mine = self.random.choice(used), spec["containers"][0]["ports"][0]
            number = taken["nodePort"]
            if self.chance(0.7):
                mine["protocol"] = taken["protocol"]
            if self.chance(0.3):
                spec["hostNetwork"] = True
                mine["containerPort"] = number
            else:
                mine["hostPort"] = number
                if self.chance(0.3):
                    mine["hostIP"] = self.random.choice(["127.0.0.1", "172.18.0.2", "0.0.0.0"])

    def many_endpoints(self) -> Iterator[Object]:
        """Give a Service with more endpoints than kube-proxy writes comments for, rarely."""
        if not self.chance(0.02):
            return
        ports = [("a", 8001), ("b", 8002), ("c", 8003), ("d", 8004), ("e", 8005)]
        metadata = {"name": "many", "namespace": "default"}
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "10.96.1.1",
                "clusterIPs": ["10.96.1.1"],
                "ipFamilies": ["IPv4"],
                "selector": {"app": "many"},
                "ports": [
                    {"name": name, "protocol": "TCP", "port": number, "targetPort": number}
                    for name, number in ports
                ],
            },
        }
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                **metadata,
                "name": "many-ipv4-0",
                "labels": {"kubernetes.io/service-name": "many"},
            },
            "addressType": "IPv4",
            "ports": [{"name": name, "protocol": "TCP", "port": number} for name, number in ports],
            "endpoints": [
                {"addresses": [f"10.244.200.{number}"]}
                for number in range(1, self.random.choice([195, 204, 205]))
            ],
        }
