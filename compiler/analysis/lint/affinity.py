"""What the rules about affinity ask of a service port."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.analysis.lint.context import Context, Port
from compiler.proxy.endpoint import EndpointInfo


def choices(port: Port) -> Iterator[list[EndpointInfo]]:
    """Return what a port's chains choose among, on every node: the lists of `statistic` rules."""
    for _, planned in port.groups():
        yield planned.cluster_endpoints
        yield planned.local_endpoints


def largest_choice(port: Port) -> int:
    """Return how many endpoints a client may be sent to, on the node where they are most."""
    return max(map(len, choices(port)))


def pinned_ports(context: Context) -> Iterator[Port]:
    """Return the ports that send returning clients to one of several endpoints."""
    for port in context.ports:
        if port.info.affinity_seconds and largest_choice(port) > 1:
            yield port
