"""Tiny clusters whose Services and endpoints share addresses and ports, from a seed.

Addresses are drawn from so few that one is a Service's in one place, an endpoint's in another and a
node's in a third.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]

NODES = ("10.0.0.1", "10.0.0.2")
CLUSTER_IPS = ("10.96.0.1", "10.96.0.2", "10.96.0.3", "10.96.0.4")
SHARED = ("192.0.2.1", "10.0.0.1", "10.96.0.1", "10.96.0.2", "10.244.0.5")
PORTS = (80, 80, 80, 30080, 31000)
ADDRESSES = ("10.244.0.5", "10.244.0.6", "10.96.0.1", "10.96.0.2", "192.0.2.1", "10.0.0.1")
RANGES = ("192.0.2.0/24", "10.0.0.1/32", "203.0.113.0/24")


def node(place: int) -> Object:
    """Make a Node: `place` 0 has 10.0.0.1 and Pods in 10.244.0.0/24."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{place + 1}"},
        "spec": {"podCIDRs": [f"10.244.{place}.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": NODES[place]}]},
    }


def service(  # by name, as a manifest has them
    name: str,
    cluster_ip: str,
    port: int = 80,
    *,
    protocol: str = "TCP",
    node_port: int = 0,
    ingress: Sequence[str] = (),
    **spec: Any,
) -> Object:
    """Make a Service with one port; `ingress` are its load-balancer IPs."""
    one: Object = {"port": port, "protocol": protocol}
    if node_port:
        one["nodePort"] = node_port
        spec.setdefault("type", "NodePort")
    if ingress:
        spec["type"] = "LoadBalancer"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {"clusterIP": cluster_ip, "ports": [one], **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}},
    }


def endpoints(of: Object, *addresses: str, port: int = 80, on: str = "node-1") -> Object:
    """Make the EndpointSlice of a Service, all endpoints on one node."""
    metadata = of["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": metadata["name"]},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [one], "nodeName": on} for one in addresses],
        "ports": [{"port": port, "protocol": of["spec"]["ports"][0]["protocol"]}],
    }


def cluster(rng: random.Random) -> list[Object]:
    """Make a cluster of two nodes and two to four Services."""
    items = [node(0), node(1)]
    node_ports = [30080, 30081, 31000, 80]
    for place in range(rng.randint(2, 4)):
        protocol = rng.choice(("TCP", "TCP", "TCP", "UDP"))
        spec: Object = {}
        if rng.random() < 0.5:
            spec["externalIPs"] = rng.sample(SHARED, rng.randint(1, 2))
        if rng.random() < 0.4:
            spec["ingress"] = [rng.choice(SHARED)]
            if rng.random() < 0.5:
                spec["loadBalancerSourceRanges"] = [rng.choice(RANGES)]
        if rng.random() < 0.4:
            spec["node_port"] = node_ports.pop(rng.randrange(len(node_ports)))
        if rng.random() < 0.3:
            spec["externalTrafficPolicy"] = "Local"
            if "ingress" in spec:
                spec["healthCheckNodePort"] = rng.choice((31000, 30080, 31001))
        if rng.random() < 0.15:
            spec["internalTrafficPolicy"] = "Local"
        made = service(
            f"s{place}", CLUSTER_IPS[place], rng.choice(PORTS), protocol=protocol, **spec
        )
        some = rng.sample(ADDRESSES, rng.choice((0, 1, 1, 1, 2)))
        on = rng.choice(("node-1", "node-2"))
        items += [made, endpoints(made, *some, port=rng.choice(PORTS), on=on)]
    return items


def pair(rng: random.Random) -> tuple[list[Object], list[Object], Object, Object]:
    """Make a cluster, what it changes to, and the settings of both sides, mostly the same."""
    old, before = cluster(rng), settings(rng)
    new, after = changed(old, rng), before
    if rng.random() < 0.1:
        after = settings(rng)
    if rng.random() < 0.1:
        new = [one for one in new if one["metadata"]["name"] != "node-2"]
    return old, new, before, after


def changed(old: Sequence[Object], rng: random.Random) -> list[Object]:
    """Change one or two things of a cluster that traffic depends on."""
    items = copy.deepcopy(list(old))
    for _ in range(rng.choice((1, 1, 2))):
        services = [one for one in items if one["kind"] == "Service"]
        if not services:
            break
        chosen = rng.choice(services)
        of_chosen = [
            one
            for one in items
            if one["kind"] == "EndpointSlice"
            and one["metadata"]["name"] == chosen["metadata"]["name"]
        ]
        rng.choice((_endpoints, _endpoints, _spec, _spec, _gone))(items, chosen, of_chosen[0], rng)
    return items


def _endpoints(items: list[Object], chosen: Object, slice_: Object, rng: random.Random) -> None:
    some = slice_["endpoints"]
    if some and rng.random() < 0.7:
        some.pop()
    else:
        some.append({"addresses": [rng.choice(ADDRESSES)], "nodeName": "node-2"})


def _spec(items: list[Object], chosen: Object, slice_: Object, rng: random.Random) -> None:
    spec = chosen["spec"]
    what = rng.randrange(5)
    if what == 0:
        spec["externalIPs"] = rng.sample(SHARED, rng.randint(0, 2))
    elif what == 1:
        spec["sessionAffinity"] = "ClientIP"
    elif what == 2:
        spec["internalTrafficPolicy"] = rng.choice(("Local", "Cluster"))
    elif what == 3:
        spec["externalTrafficPolicy"] = rng.choice(("Local", "Cluster"))
    else:
        spec["loadBalancerSourceRanges"] = rng.sample(RANGES, rng.randint(0, 2))


def _gone(items: list[Object], chosen: Object, slice_: Object, rng: random.Random) -> None:
    items.remove(chosen)
    items.remove(slice_)


def settings(rng: random.Random) -> Object:
    """Choose kube-proxy's settings."""
    found: Object = {"cluster_cidr": "10.244.0.0/16"}
    if rng.random() < 0.2:
        found["masquerade_all"] = True
    if rng.random() < 0.3:
        found["iptables_localhost_nodeports"] = False
    if rng.random() < 0.3:
        found["nodeport_addresses"] = rng.choice((["10.0.0.0/24"], ["10.0.0.1/32"], ["primary"]))
    if rng.random() < 0.2:
        found["detect_local_mode"] = "NodeCIDR"
    return found
