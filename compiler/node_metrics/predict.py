"""What nodes' metrics should be, by the manifests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.cluster import Cluster
from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.proxy.cluster_counts import ClusterCounts
from compiler.proxy.cluster_plan import ClusterPlan
from compiler.proxy.iptables_counts import RuleCounts
from compiler.proxy.node import check_node_port_addresses
from compiler.proxy.release import Change, Release


class Predictions:
    """The counts of any node, in the families that are looked at.

    Each release that nodes run is planned for itself.
    """

    def __init__(self, cluster: Cluster, families: Sequence[Family], node: str | None) -> None:
        self.families = tuple(families)
        self._cluster = cluster
        self._node = node
        self._plans: dict[tuple[Family, Release], ClusterPlan] = {}
        self._counts: dict[tuple[Family, Release], ClusterCounts] = {}

    def counts(self, node: str, family: Family, release: Release, *, nfacct: bool) -> RuleCounts:
        """Return a node's counts, which hold if `check` finds nothing in the end.

        Raises `InputError` where the configuration has what the release doesn't know.
        """
        key = family, release
        if key not in self._counts:
            self._counts[key] = ClusterCounts(self._plan(family, release))
        counts = self._counts[key].on(node)
        counted = nfacct and release.has(Change.NFACCT)
        return counts.with_nfacct() if counted else counts

    def check(self) -> None:
        """Raise `InputError` where the manifests lack what some node's counts depend on."""
        problems = [problem for plan in self._plans.values() for problem in plan.problems]
        if problems:
            raise InputError(dict.fromkeys(problems))

    def has_service_ports(self, family: Family, release: Release) -> bool:
        """Say whether the manifests have any Service of a family."""
        return bool(self._plan(family, release).infos)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What to report about the configuration and the manifests."""
        inputs = self._cluster.inputs
        gates = (one for plan in self._plans.values() for one in plan.warnings)
        return tuple(dict.fromkeys([*inputs.config.warnings, *gates, *inputs.manifests.warnings]))

    def _plan(self, family: Family, release: Release) -> ClusterPlan:
        key = family, release
        if key not in self._plans:
            inputs = self._cluster.inputs
            if problems := check_node_port_addresses(inputs.config, release):
                raise InputError(problems)
            # A node's own configuration names that node; here it stands for those of all.
            config = replace(inputs.config, hostname_override=None)
            addresses = self._cluster.node_addresses
            self._plans[key] = ClusterPlan(
                inputs.manifests,
                config,
                family,
                release,
                node=self._node,
                node_addresses=addresses,
            )
        return self._plans[key]
