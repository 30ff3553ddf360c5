"""Questions about kube-proxy's own metrics; `compiler.api` offers them to callers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from compiler.errors import Problem
from compiler.family import Family
from compiler.manifests.reader import Manifests
from compiler.manifests.source import Source
from compiler.proxy.plan import Plan

if TYPE_CHECKING:
    from compiler.cluster import Cluster
    from compiler.compilation import Compilation
    from compiler.node_metrics.report import MetricsReport
    from compiler.proxy.iptables_counts import RuleCounts


def rule_counts(rules: Compilation | Plan) -> RuleCounts:
    """Return the numbers that kube-proxy reports of these rules after a sync, as its metrics.

    `filter` and `nat` are `kubeproxy_sync_proxy_rules_iptables_total`; counted as kube-proxy's
    `syncProxyRules` does: rules, without chain lines and `COMMIT`, and without the jumps from the
    built-in chains, which it maintains separately. A compile with `nfacct=True` has the rules of
    nfacct counters; a plan has not.
    """
    from compiler.proxy.iptables_counts import count_rules

    if isinstance(rules, Plan):
        return count_rules(rules)
    return count_rules(rules.plan, nfacct=rules.iptables.nfacct)


def verify_metrics(  # noqa: PLR0913  # all but the first two by name
    manifests: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str] | Manifests,
    metrics: str | os.PathLike[str] | Source,
    *,
    node: str | None = None,
    label: str | None = None,
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    kube_version: str | None = None,
    ip_family: str | None = None,
    nfacct: bool = False,
    node_addresses: Sequence[str] = (),
) -> MetricsReport:
    """Compare the metrics that kube-proxy serves on nodes with what the manifests predict.

    - `metrics`: a folder with `NODE.prom`, `NODE.metrics` or `NODE.txt` for each node, a file of
      Prometheus' text format, or the answer of Prometheus' API to an instant query.
    - `node`: the only node that is looked at, and whose a text is that names none.
    - `label`: the label that names nodes in a text of many; by default the first that a series has
      of `node`, `nodename`, `kubernetes_node` and `instance`, whose address may be a Node's.
    - `kube_version`: the release of all nodes; by default each node's own, as far as its metrics
      name it, else the newest supported.
    - `ip_family`: the one that is compared, by default both.
    - `nfacct`: whether all nodes have nfacct counters, also those whose metrics don't show them.

    The other arguments are `compile_rules`' own. Equal numbers do not prove equal rules: endpoints
    that were exchanged, and rules that something else changed after the sync, have none.

    Raises `InputError` where the manifests or the options are invalid, or where no metrics can be
    read; a single node whose metrics can't be read is a finding.
    """
    from compiler.cluster import Cluster
    from compiler.compilation import read_inputs

    inputs = read_inputs(
        manifests,
        config=config,
        flags=flags,
        node=node,
        kube_version=kube_version,
        ip_family=ip_family,
        node_addresses=node_addresses,
    )
    cluster = Cluster(inputs, tuple(node_addresses), nfacct=nfacct)
    only = Family(ip_family) if ip_family else None
    return compare_metrics(
        cluster, metrics, node=node, label=label, any_release=kube_version is None, family=only
    )[0]


def compare_metrics(
    cluster: Cluster,
    metrics: str | os.PathLike[str] | Source,
    *,
    node: str | None,
    label: str | None,
    any_release: bool,
    family: Family | None,
) -> tuple[MetricsReport, tuple[Problem, ...]]:
    """Do the same with manifests that were read; also return the warnings to report."""
    from compiler.node_metrics.compare import Comparison
    from compiler.node_metrics.nodes import KnownNodes, read_metrics
    from compiler.node_metrics.predict import Predictions

    inputs = cluster.inputs
    known = KnownNodes.of(inputs.manifests.nodes)
    if node is not None:
        cluster.choose_nodes([node])
    fallback = inputs.config.hostname_override
    read = read_metrics(metrics, known, node=node, label=label, fallback=fallback)
    predictions = Predictions(cluster, [family] if family else list(Family), node)
    comparison = Comparison(
        predictions,
        known,
        release=None if any_release else inputs.release,
        nfacct=cluster.nfacct,
    )
    report = comparison.run(read, [node] if node is not None else known.names)
    return report, predictions.warnings
