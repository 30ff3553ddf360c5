"""What `generated_clusters` adds about load balancers, with random numbers of its own."""

from __future__ import annotations

import random
from typing import Any

Object = dict[str, Any]

TARGET_TYPE = "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type"
ANNOTATIONS: tuple[dict[str, str], ...] = (
    {},
    {"metallb.io/ip-allocated-from-pool": "public"},
    {"metallb.universe.tf/ip-allocated-from-pool": "public"},
    {TARGET_TYPE: "ip"},
    {TARGET_TYPE: "instance"},
)
CLASSES = ("", "", "tailscale", "example.com/other")


def with_balancers(seed: int, objects: tuple[Object, ...]) -> tuple[Object, ...]:
    """Name the load balancers of some Services, and keep node ports of some that need none."""
    rng = random.Random(f"balancers {seed}")
    free = iter(range(30500, 30600))
    made = []
    for one in objects:
        if one["kind"] == "Service" and one["spec"]["type"] == "LoadBalancer":
            annotations = {**one["metadata"].get("annotations", {}), **rng.choice(ANNOTATIONS)}
            spec = dict(one["spec"])
            if name := rng.choice(CLASSES):
                spec["loadBalancerClass"] = name
            if rng.random() < 0.2 and "nodePort" not in spec["ports"][0]:
                spec["ports"] = [{**port, "nodePort": next(free)} for port in spec["ports"]]
            metadata = {**one["metadata"], "annotations": annotations}
            made.append({**one, "metadata": metadata, "spec": spec})
        else:
            made.append(one)
    return tuple(made)
