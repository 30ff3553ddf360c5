"""Whether one node has a chain, and where it does not, why."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from compiler.analysis.names import Endpoint, Port
from compiler.family import Family
from compiler.kube_rules.rule_line import chain_group
from compiler.manifests.schema import Service
from compiler.manifests.validate import is_proxied
from compiler.proxy.iptables_plan import IptablesPlan
from compiler.proxy.plan import PlannedServicePort


class OnNode:
    """The chains that the rules compiled for a node have; `node` is its name, None for any node."""

    def __init__(self, plan: IptablesPlan, node: str | None) -> None:
        self._plan = plan
        self.name = f"node {node}" if node else "any node"

    @cached_property
    def _chains(self) -> frozenset[str]:
        return frozenset(self._plan.chains)

    @cached_property
    def _ports(self) -> dict[tuple[str, str], PlannedServicePort]:
        return {(port.name, port.protocol): port for port, _ in self._plan.service_ports}

    def has(self, chain: str) -> bool:
        """Say whether the node has a chain of a service port or an endpoint."""
        return chain in self._chains

    def chains_with(self, hashed: str) -> list[str]:
        """Return the chains of a service port that the node has."""
        names = [f"{kind}-{hashed}" for kind in ("KUBE-SVC", "KUBE-SVL", "KUBE-EXT", "KUBE-FW")]
        return [name for name in names if name in self._chains]

    def absence(self, chain: str, port: Port, endpoint: Endpoint | None) -> str:
        """Say why a chain is not on the node, empty where it is."""
        if self.has(chain):
            return ""
        reason = self._of_service(port) or (
            self._of_endpoint(port, endpoint) if endpoint else self._of_port(chain, port)
        )
        return f"not on {self.name}: {reason}"

    def _of_service(self, port: Port) -> str:
        if port.service is None:
            return "its Service, or that port of it, is not in the manifests"
        if reason := _why_skipped(port.service):
            return reason
        planned = self._ports.get(port[:2])
        if planned is None:
            family = self._plan.family.api_name
            return f"the Service has no {family} cluster IP, and these are the {family} rules"
        if not planned.has_endpoints:
            return "the Service has no usable endpoints"
        return ""

    def _of_port(self, chain: str, port: Port) -> str:
        planned = self._ports[port[:2]]
        group = chain_group(chain)
        if group == "KUBE-FW":
            return "no loadBalancerSourceRanges apply to a load-balancer IP of the Service"
        if group == "KUBE-EXT":
            return "the Service has no node port, external or load-balancer IP"
        if group == "KUBE-SVL":
            local = planned.internal_policy_local or planned.external_policy_local
            return "no endpoint is on this node" if local else "no traffic policy is Local"
        return "no traffic goes to all endpoints: the policy is Local, or none can be used"

    def _of_endpoint(self, port: Port, endpoint: Endpoint) -> str:
        one = endpoint.endpoint_slice
        if one is None or one.endpoints is None:
            return "it is not used"
        family = Family.IPV6 if ":" in endpoint.address.rpartition(":")[0] else Family.IPV4
        if family is not self._plan.family:
            return f"it is {family.api_name}, and these are the {self._plan.family.api_name} rules"
        found = one.endpoints[endpoint.place]
        if found.conditions is not None and found.conditions.ready is False:
            return "the endpoint is not ready"
        planned = self._ports[port[:2]]
        if not planned.cluster_endpoints:
            where = found.node_name or "no node"
            return f"traffic stays on this node (policy Local), and the endpoint is on {where}"
        return "other endpoints are nearer (topology hints), or its EndpointSlice is not read"


def _why_skipped(service: Service) -> str:
    if is_proxied(service):
        return ""
    spec = service.spec
    if spec is not None and spec.type == "ExternalName":
        return "kube-proxy skips the Service (ExternalName)"
    if spec is not None and spec.cluster_ip == "None":
        return "kube-proxy skips the Service (headless)"
    return "kube-proxy skips the Service (no cluster IP, or another proxy's)"


def searched(services: Sequence[object], slices: Sequence[object], files: str) -> str:
    """Say what was searched: `2 Services and 3 EndpointSlices in cluster.yaml`."""
    counts = (_count(len(services), "Service"), _count(len(slices), "EndpointSlice"))
    return f"{counts[0]} and {counts[1]} in {files}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"
