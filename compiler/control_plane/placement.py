"""Nodes and addresses of Pods, as the scheduler and the network plugin give them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compiler.control_plane.address_pool import AddressPool, ExhaustedError
from compiler.control_plane.families import POD_NETWORKS
from compiler.control_plane.objects import list_at, map_at, text_at
from compiler.control_plane.pods import Pod
from compiler.control_plane.scheduling import Scheduler
from compiler.errors import Problem
from compiler.family import IPV4, IPV6, Family
from compiler.manifests.address import family_of, parse_network

# So many of a workload's Pods are named in its note.
_NAMED = 5


@dataclass
class Placement:
    """Pods on their Nodes, with addresses; `values` are the objects, which get them too.

    `networks` has the network of Pods for the families that it is known of (clusterCIDR).
    """

    values: Sequence[dict[str, Any]]
    nodes: Mapping[str, dict[str, object]]
    families: Sequence[Family]
    networks: Mapping[Family, str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def place(self, pods: Sequence[Pod]) -> list[Pod]:
        """Return the Pods, placed, in the same order. What decides is names, not this order."""
        self._scheduler = Scheduler(self.nodes)
        taken = [address for pod in pods for address in pod.addresses]
        self._pools = {
            family: AddressPool(self.networks.get(family, POD_NETWORKS[family]), taken)
            for family in Family
        }
        self._node_pools = dict(_node_pools(self.nodes, taken))
        in_order = sorted(pods, key=lambda pod: pod.rank)
        placed = {pod.index: self._placed(pod) for pod in in_order}
        return [placed[pod.index] for pod in pods]

    def _placed(self, pod: Pod) -> Pod:
        """Schedule a Pod and give it addresses, in the Pod and in its object."""
        value = self.values[pod.index]
        found = pod if pod.node or pod.pending else self._scheduled(pod)
        addresses = found.addresses or (
            () if found.pending else tuple(self._addresses(found, found.node))
        )
        if found.node and not pod.node:
            value.setdefault("spec", {})["nodeName"] = found.node
        if addresses and not pod.addresses:
            status = value.setdefault("status", {})
            status["podIP"] = addresses[0]
            status["podIPs"] = [{"ip": address} for address in addresses]
        return found.placed(found.node, addresses)

    def _scheduled(self, pod: Pod) -> Pod:
        """Pick a Node where there are any; a Pod that fits on none stays pending."""
        if not self.nodes:
            return pod
        spec = map_at(pod.origin.value, "spec")
        if node := self._scheduler.node_for(pod.origin.subject, spec):
            return replace(pod, node=node)
        path, why = self._scheduler.why_pending(spec)
        message = f"{why}, so the Pod stays pending, without endpoints"
        hint = "add Nodes on which it fits"
        self.warnings.append(pod.origin.problem(("spec", *path), message, hint))
        return replace(pod, pending=True)

    def _addresses(self, pod: Pod, node: str) -> Iterator[str]:
        if pod.host_network:
            addresses = _node_addresses(self.nodes.get(node, {}), self.families)
            if not addresses and not pod.ended:
                message = "the address of its Node is not known, so it has no endpoints"
                hint = "add the Node, with its addresses"
                path = ("spec", "hostNetwork")
                self.warnings.append(pod.origin.problem(path, message, hint))
            yield from addresses
            return
        for family in self.families:
            pool = self._node_pools.get((node, family), self._pools[family])
            try:
                yield pool.take(pod.origin.subject)
            except ExhaustedError:
                message = f"the pod network {pool.network} has no free address"
                self.problems.append(pod.origin.problem((), message, "use a larger one"))


def _node_pools(
    nodes: Mapping[str, dict[str, object]], taken: Sequence[str]
) -> Iterator[tuple[tuple[str, Family], AddressPool]]:
    for name, node in nodes.items():
        for cidr in list_at(node, "spec", "podCIDRs") or [text_at(node, "spec", "podCIDR")]:
            if isinstance(cidr, str) and (network := parse_network(cidr)):
                family = IPV4 if network.version == 4 else IPV6
                yield (name, family), AddressPool(cidr, taken)


def _node_addresses(node: Mapping[str, object], families: Sequence[Family]) -> list[str]:
    internal = [
        text_at(entry, "address")
        for entry in list_at(node, "status", "addresses")
        if text_at(entry, "type") == "InternalIP"
    ]
    first = (next((ip for ip in internal if family_of(ip) is family), "") for family in families)
    return [address for address in first if address]


def notes_of_pods(before: Sequence[Pod], after: Sequence[Pod]) -> Iterator[str]:
    """Say what Pods got: one note for each that was given, and one for all of a workload."""
    made: defaultdict[str, list[Pod]] = defaultdict(list)
    for pod in after:
        if pod.origin.within is not None:
            made[pod.origin.within[0].subject].append(pod)
    for was, pod in zip(before, after, strict=True):
        if pod.origin.within is None:
            if words := _news(was, pod):
                yield f"{pod.origin.subject} {' and '.join(words)}"
        elif pods := made.pop(pod.origin.within[0].subject, None):
            yield _of_workload(pod.origin.within[0].subject, pods)


def _news(was: Pod, pod: Pod) -> list[str]:
    news = [f"runs on {pod.node}"] if pod.node != was.node else []
    if pod.addresses != was.addresses:
        news.append(f"has the address {' and '.join(pod.addresses)}")
    return news


def _of_workload(subject: str, pods: Sequence[Pod]) -> str:
    shown = [_described(pod) for pod in pods[:_NAMED]]
    more = [f"{len(pods) - _NAMED} more"] if len(pods) > _NAMED else []
    count = f"{len(pods)} Pod{'' if len(pods) == 1 else 's'}"
    return f"{subject} has {count}: {', '.join([*shown, *more])}"


def _described(pod: Pod) -> str:
    if pod.pending:
        return f"{pod.origin.name} (pending)"
    where = [f"on {pod.node}"] if pod.node else []
    return " ".join([pod.origin.name, *where, "with", " and ".join(pod.addresses) or "no address"])


def networks_by_family(networks: Iterable[str]) -> dict[Family, str]:
    """Return the networks of a clusterCIDR by family, in its order."""
    found = ((family_of(network.partition("/")[0]), network) for network in networks)
    return {family: network for family, network in found if family}
