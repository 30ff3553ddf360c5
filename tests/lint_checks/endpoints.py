"""What checks ask about endpoints, worked out from the plain objects alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.generated_clusters import Cluster, Object, name_of


@dataclass(frozen=True)
class End:
    """An endpoint of a service port."""

    ip: str
    port: int
    node: str | None
    ready: bool
    serving: bool
    terminating: bool
    zones: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether it may get traffic where no other is ready."""
        return self.ready or (self.serving and self.terminating)


def families(service: Object) -> list[str]:
    """Return the IP families of a Service."""
    return list(service["spec"]["ipFamilies"])


def ends(cluster: Cluster, service: Object, port: Object, family: str) -> list[End]:
    """Return the endpoints of a service port; no generated slice repeats one."""
    found = []
    for one in cluster.of("EndpointSlice"):
        owner = one["metadata"]["labels"].get("kubernetes.io/service-name")
        if one["addressType"] != family or not owner:
            continue
        if f"{one['metadata']['namespace']}/{owner}" != name_of(service):
            continue
        for number in [
            p["port"]
            for p in one["ports"]
            if (p.get("name", ""), p["protocol"]) == (port.get("name", ""), port["protocol"])
        ]:
            found += [_end(endpoint, number) for endpoint in one["endpoints"]]
    return found


def _end(endpoint: dict[str, Any], port: int) -> End:
    conditions = endpoint.get("conditions", {})
    hints = endpoint.get("hints", {})
    return End(
        endpoint["addresses"][0],
        port,
        endpoint.get("nodeName"),
        conditions.get("ready", True),
        conditions.get("serving", True),
        conditions.get("terminating", False),
        tuple(hint["name"] for hint in hints.get("forZones", ())),
        tuple(hint["name"] for hint in hints.get("forNodes", ())),
    )
