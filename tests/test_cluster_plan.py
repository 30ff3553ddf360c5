"""A cluster's plan is that of each of its nodes, however few service ports are planned twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compiler.errors import InputError
from compiler.family import Family
from compiler.lint_input import lint_context
from compiler.proxy.cluster_plan import NodeName
from compiler.proxy.plan import Plan
from compiler.proxy.planner import make_plan
from tests.generated_clusters import Cluster, clusters

PART = 20


def plans(cluster: Cluster) -> Iterator[tuple[NodeName, Plan, Plan]]:
    """Give the plans of every node and family: from the cluster's, and made for the node alone."""
    options = {key: one for key, one in cluster.options.items() if key != "clients"}
    context = lint_context(cluster.sources, config=cluster.config_source, **options)
    for family in Family:
        of_cluster = context.cluster(family)
        for node in of_cluster.nodes:
            try:
                planned = make_plan(
                    context.manifests, context.config, family, context.release, node=node
                )
            except InputError:
                continue
            # Of a few service ports first: what was planned before must not count.
            of_cluster.plan(node, of_cluster.infos[:1])
            yield node, of_cluster.plan(node), planned.plan


@pytest.mark.parametrize("start", range(0, len(clusters()), PART))
def test_nodes_are_planned_alike(start: int) -> None:
    compared = 0
    for cluster in clusters()[start : start + PART]:
        for node, of_cluster, alone in plans(cluster):
            assert of_cluster == alone, f"cluster {cluster.seed}, {node}"
            compared += 1
    assert compared > PART
