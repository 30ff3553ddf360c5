"""How many rules each node of a cluster has, without a compile for each node.

Most service ports are planned alike on all nodes and are counted once; of the others each of their
few plans is.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from compiler.proxy.cluster_plan import ClusterPlan, NodeName
from compiler.proxy.iptables_counts import (
    Counting,
    RuleCounts,
    count_common_rules,
    count_service_port,
    count_service_ports,
)
from compiler.proxy.service_port import ServicePortInfo


class ClusterCounts:
    """The counts of one family's rules on the nodes of a cluster."""

    def __init__(self, plan: ClusterPlan) -> None:
        self._plan = plan
        self._known = frozenset(plan.nodes)
        self._sums: dict[Counting, dict[NodeName, RuleCounts]] = {}

    def on(self, node: NodeName) -> RuleCounts:
        """Count the rules of a node, without nfacct counters.

        A node that the manifests don't name is counted too, in more time. What can't be decided
        about it is in the plan's `problems`.
        """
        # Whether Pods' traffic matters is decided by whether there is any endpoint.
        plan = self._plan.plan(node, self._sample)
        counting = Counting.of(plan)
        common = count_common_rules(plan)
        if node not in self._known:
            ports = (self._plan.on(info, node) for info in self._plan.infos)
            return common.plus(count_service_ports(ports, counting))
        if counting not in self._sums:
            self._sums[counting] = self._sum(counting)
        return common.plus(self._sums[counting][node])

    @cached_property
    def _sample(self) -> list[ServicePortInfo]:
        """One service port that has endpoints, if any has, else any one."""
        infos, node = self._plan.infos, self._plan.nodes[0]
        served = (info for info in infos if self._plan.on(info, node).has_endpoints)
        return [one] if (one := next(served, None)) else infos[:1]

    def _sum(self, counting: Counting) -> dict[NodeName, RuleCounts]:
        everywhere = RuleCounts()
        own: defaultdict[NodeName, RuleCounts] = defaultdict(RuleCounts)
        for info in self._plan.infos:
            groups = sorted(self._plan.groups(info), key=lambda group: -len(group[0]))
            # The largest group's counts are everyone's, the others are written as differences.
            usual = count_service_port(groups[0][1], counting)
            everywhere = everywhere.plus(usual)
            for nodes, port in groups[1:]:
                difference = count_service_port(port, counting).plus(usual, -1)
                if any(difference):
                    for node in nodes:
                        own[node] = own[node].plus(difference)
        return {node: everywhere.plus(own[node]) for node in self._plan.nodes}
