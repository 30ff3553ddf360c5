"""Checks of the rules about kube-proxy's configuration."""

from __future__ import annotations

from collections.abc import Iterator

from tests.generated_clusters import Cluster, Object
from tests.generated_nodes import Dump
from tests.lint_checks import check
from tests.lint_checks.endpoints import ends, families
from tests.lint_checks.pr1 import all_nodes, load_balancer_ips


@check("PR501")
def no_local_traffic(cluster: Cluster) -> set[str]:
    config = cluster.config
    if config is None:
        return set()
    if config.get("detectLocalMode") == "NodeCIDR":
        return {
            f"Node {node['metadata']['name']}"
            for node in cluster.of("Node")
            for family in ("IPv4", "IPv6")
            if not has(family, node["spec"].get("podCIDRs", []))
            and matters(cluster, family, [node["metadata"]["name"]])
        }
    cidrs = config.get("clusterCIDR", "").split(",")
    lacking = [family for family in ("IPv4", "IPv6") if not has(family, cidrs)]
    return {"" for family in lacking if matters(cluster, family, all_nodes(cluster))}


def has(family: str, cidrs: list[str]) -> bool:
    return any(cidr and (":" in cidr) == (family == "IPv6") for cidr in cidrs)


def matters(cluster: Cluster, family: str, nodes: list[str]) -> bool:
    """Whether rules are missing that packets could come to on one of these nodes."""
    assert cluster.config is not None
    all_masqueraded = cluster.config.get("iptables", {}).get("masqueradeAll", False)
    for service in cluster.of("Service"):
        if family not in families(service):
            continue
        spec = service["spec"]
        for port in spec["ports"]:
            known = [end for end in ends(cluster, service, port, family) if end.usable]
            local = [any(end.node == node for end in known) for node in nodes]
            internal_local = spec.get("internalTrafficPolicy") == "Local"
            served = any(local) if internal_local else bool(known)
            if served and not all_masqueraded:
                return True
            if known and not all(local) and external_local(cluster, service, port, family):
                return True
    return False


def external_local(cluster: Cluster, service: Object, port: Object, family: str) -> bool:
    spec = service["spec"]
    own = [ip for ip in spec.get("externalIPs", ()) if (":" in ip) == (family == "IPv6")]
    accessible = port.get("nodePort") or own or load_balancer_ips(cluster, service, family)
    return bool(accessible) and spec.get("externalTrafficPolicy") == "Local"


@check("PR502")
def masquerade_bit_taken(cluster: Cluster) -> set[str]:
    return {"" for _ in taken(cluster)}


def taken(cluster: Cluster) -> Iterator[bool]:
    if cluster.config is not None:
        bit = cluster.config.get("iptables", {}).get("masqueradeBit", 14)
        used = {
            "calico-node": range(16, 32),
            "cilium": [8, 9, 10, 11, *range(16, 32)],
            "aws-node": [7],
        }
        for one in cluster.of("DaemonSet"):
            if bit in used.get(one["metadata"]["name"], ()):
                yield True
    for dump in cluster.dumps:
        if dump.mark == 0x8000 and dump.copies:
            yield True
        for _, chain, value, mask in dump.foreign_marks:
            sets = value & dump.mark
            clears = mask & dump.mark and chain == "FORWARD"
            if sets or clears:
                yield True


@check("PR503")
def invalid_dropped(cluster: Cluster) -> set[str]:
    return {
        ""
        for dump in cluster.dumps
        if dump.counters[0] >= 100 and dump.counters[0] * 1000 >= sum(dump.counters)
    }


@check("PR504")
def mode_ends(cluster: Cluster) -> set[str]:
    mode = (cluster.config or {}).get("mode")
    found = mode in {"ipvs", "userspace"} or any(map(only_ipvs, cluster.dumps))
    return {""} if found else set()


def only_ipvs(dump: Dump) -> bool:
    return dump.modes != "iptables" and "KUBE-SEP-" not in dump.text
