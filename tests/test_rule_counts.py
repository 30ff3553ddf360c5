"""kube-proxy's own numbers: every case's, against the text that kube-proxy wrote.

In its source (`syncProxyRules`) the numbers are the lines of the buffers that hold rules, so they
are counted here in its text: the `-A` lines of each table, without chain lines and `COMMIT`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from compiler.api import compile_rules, rule_counts
from compiler.errors import InputError
from compiler.family import Family
from compiler.lint_input import lint_context
from compiler.manifests.source import Source
from compiler.proxy.cluster_counts import ClusterCounts
from compiler.proxy.cluster_plan import ClusterPlan
from compiler.proxy.iptables_counts import RuleCounts
from compiler.proxy.plan import PlannedServicePort
from tests.cases import ALL_CASES, Case, case_id
from tests.generated_clusters import clusters
from tests.options_of import options_of

PART = 20
BLOCKED = re.compile(r'-A (\S+) .*--comment "(\S+) has no local endpoints" (.*)')


def rules_by_table(text: str) -> Counter[str]:
    """Count the lines of kube-proxy's text that its rule buffers had, by table."""
    counts: Counter[str] = Counter()
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line != "COMMIT" and not line.startswith(":"):
            assert line.startswith("-A "), line
            counts[table] += 1
    return counts


def without_local_endpoints(text: str, chain: str) -> set[tuple[str, str]]:
    """Return the service ports, with their protocol, that a chain drops."""
    found = (BLOCKED.match(line) for line in text.splitlines())
    return {
        (one[2], re.findall(r"-p (\w+)", one[3])[0]) for one in found if one and one[1] == chain
    }


def has_entry_point(port: PlannedServicePort) -> bool:
    return bool(port.external_ips or port.load_balancer_ips or port.node_port)


@pytest.mark.parametrize("case", ALL_CASES, ids=case_id)
def test_counts_are_those_of_kube_proxys_text(case: Case) -> None:
    manifests, options = options_of(case.arguments)
    compiled = options.compile(manifests)
    counts = rule_counts(compiled)
    lines = rules_by_table(case.expected)
    assert (counts.filter, counts.nat) == (lines["filter"], lines["nat"])
    internal = without_local_endpoints(case.expected, "KUBE-SERVICES")
    external = without_local_endpoints(case.expected, "KUBE-EXTERNAL-SERVICES")
    # kube-proxy counts service ports that nothing can reach from outside too; they have no rule.
    unseen = [
        port
        for port in compiled.plan.service_ports
        if port.external_policy_local
        and port.has_endpoints
        and not port.local_endpoints
        and not has_entry_point(port)
    ]
    assert counts.no_local_internal == len(internal)
    assert counts.no_local_external == len(external) + len(unseen)


@pytest.mark.parametrize("case", ALL_CASES, ids=case_id)
def test_nodes_are_counted_without_a_compile(case: Case) -> None:
    """Every node of the case, and one that it does not name: as the compile of the node has it."""
    manifests, options = options_of(case.arguments)
    inputs = options.read(manifests).inputs
    plan = ClusterPlan(
        inputs.manifests,
        inputs.config,
        inputs.family,
        inputs.release,
        node_addresses=options.node_addresses,
    )
    counts = ClusterCounts(plan)
    asked = options.node or inputs.config.hostname_override
    for node in dict.fromkeys([*plan.nodes, asked]):
        try:
            compiled = replace(options, node=node).compile(manifests)
        except InputError:
            if node is not None:
                raise
            continue  # the rules depend on the node, and it has to be named
        expected = rule_counts(compiled)
        found = counts.on(node)
        assert (found.with_nfacct() if options.nfacct else found) == expected, node


@pytest.mark.parametrize("start", range(0, len(clusters()), PART))
def test_nodes_of_made_up_clusters_are_counted(start: int) -> None:
    compared = 0
    for cluster in clusters()[start : start + PART]:
        options = {key: one for key, one in cluster.options.items() if key != "clients"}
        context = lint_context(cluster.sources, config=cluster.config_source, **options)
        for family in Family:
            plan = context.cluster(family)
            counts = ClusterCounts(plan)
            for node in plan.nodes:
                found = counts.on(node)
                alone = plan.plan(node)
                assert found == rule_counts(alone), (cluster.seed, node)
                compared += 1
    assert compared > PART


def test_nfacct_counters_add_a_rule_for_each_node_port() -> None:
    case = next(case for case in ALL_CASES if case.name == "nodeport-nfacct")
    manifests, options = options_of(case.arguments)
    compiled = options.compile(manifests)
    without = replace(options, nfacct=False).compile(manifests)
    more = rule_counts(without).localhost_counted
    assert more > 0
    assert rule_counts(compiled).nat == rule_counts(without).nat + more


EMPTY = Source("empty.yaml", b"apiVersion: v1\nkind: List\nitems: []\n")


def test_a_node_without_services_has_kube_proxys_own_rules() -> None:
    """Those that an IPv6 proxier writes in a cluster that has IPv4 Services only."""
    assert rule_counts(compile_rules([EMPTY], ip_family="ipv6")) == RuleCounts(filter=3, nat=5)
    assert rule_counts(compile_rules([EMPTY])) == RuleCounts(filter=4, nat=5)
