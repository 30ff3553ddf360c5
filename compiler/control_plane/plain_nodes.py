"""Nodes for manifests that have none: workers without anything particular."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import msgspec

from compiler.control_plane.objects import PlainObject
from compiler.yaml.plain import JsonDocument

# What kubernetes is built for.
MAX_NODES = 5000
SOURCE_NAME = "<plain Nodes>"
# The first address of kind's networks is the gateway's.
_FIRST = (ip_address("172.18.0.2"), ip_address("fc00:f853:ccd:e793::2"))


def plain_nodes(count: int) -> Iterator[PlainObject]:
    """Make the Nodes `worker-1`, `worker-2`, …, each the same however many there are.

    They have no podCIDRs, so that a Pod's address does not depend on the Node that it runs on.
    """
    for number in range(count):
        name = f"worker-{number + 1}"
        addresses = [{"type": "InternalIP", "address": str(first + number)} for first in _FIRST]
        value: dict[str, object] = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {
                    "kubernetes.io/arch": "amd64",
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                },
            },
            "status": {"addresses": [*addresses, {"type": "Hostname", "address": name}]},
        }
        document = JsonDocument(msgspec.json.encode(value).decode())
        yield PlainObject(SOURCE_NAME, document, (), value)
