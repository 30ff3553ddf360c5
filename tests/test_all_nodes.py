"""The rules of all nodes at once are those of each node alone, byte for byte."""

from __future__ import annotations

import pytest

from compiler.fleet.all_nodes import compile_all_nodes
from compiler.compilation import compile_rules
from compiler.errors import InputError
from compiler.family import Family
from tests.generated_clusters import clusters

PART = 20
OPTIONS = ("kube_version", "flags")


@pytest.mark.parametrize("start", range(0, len(clusters()), PART))
def test_odd_clusters(start: int) -> None:
    """Clusters of few nodes, full of odd combinations."""
    compared = 0
    for cluster in clusters()[start : start + PART]:
        if not cluster.of("Node"):
            continue
        options = {key: one for key, one in cluster.options.items() if key in OPTIONS}
        for family in Family:
            every = compile_all_nodes(
                cluster.sources, config=cluster.config_source, ip_family=family, **options
            )
            assert sorted(cluster.node_names) == list(every.nodes)
            texts = {}
            for node in every.nodes:
                alone = compile_rules(
                    every.inputs.manifests,
                    config=cluster.config_source,
                    node=node,
                    ip_family=family,
                    **options,
                )
                texts[node] = alone.text
                assert every.text(node) == alone.text, f"cluster {cluster.seed}, {node}"
                compared += 1
            assert len(set(texts.values())) == len(every.groups), f"cluster {cluster.seed}"
    assert compared > PART
