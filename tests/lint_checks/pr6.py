"""Checks of the rules about dumps of nodes."""

from __future__ import annotations

from tests.generated_clusters import Cluster
from tests.generated_nodes import Dump
from tests.lint_checks import check


@check("PR601")
def duplicate_rules(cluster: Cluster) -> set[str]:
    return {"" for dump in cluster.dumps if dump.copies >= 10}


@check("PR602")
def mixed_backends(cluster: Cluster) -> set[str]:
    return {
        ""
        for dump in cluster.dumps
        if dump.beside in {"kube-proxy", "warning"} or (dump.beside == "policy" and pods(dump))
    }


@check("PR603")
def mode_leftovers(cluster: Cluster) -> set[str]:
    return {
        ""
        for dump in cluster.dumps
        if dump.modes in {"both", "both-unused"} and "KUBE-SEP-" in dump.text
    }


@check("PR604")
def foreign_refusal(cluster: Cluster) -> set[str]:
    return {"" for dump in cluster.dumps if refused(dump)}


def refused(dump: Dump) -> bool:
    if dump.refusal == "one-network":
        return any(address.startswith("10.244.0.") for address in dump.endpoints)
    return dump.refusal in {"all", "policy", "node"} and pods(dump)


def pods(dump: Dump) -> bool:
    """Whether connections go to an address of the Pods' network: surely not one of the node."""
    return any(address.startswith("10.244.") for address in dump.endpoints)
