"""The IP families of a cluster and of its Services, and the networks that addresses come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from compiler.control_plane.objects import PlainObject, list_at, text_at
from compiler.family import IPV4, IPV6, Family
from compiler.manifests.address import family_of

# kubeadm's and kind's own defaults.
POD_NETWORKS = {IPV4: "10.244.0.0/16", IPV6: "fd00:10:244::/56"}
SERVICE_NETWORKS = {IPV4: "10.96.0.0/16", IPV6: "fd00:10:96::/112"}


def families_seen(
    objects: Sequence[PlainObject], others: Sequence[PlainObject] = ()
) -> tuple[Family, ...]:
    """Return the cluster's families, the first one first, as the objects show them.

    The addresses of Pods and Nodes' podCIDRs are facts, and so are the cluster IPs of `others`, the
    cluster's own Services. Without any, the first family is IPv4, or IPv6 where every Service is
    IPv6 only; what a Service asks for can only add a family, and never change the first one.
    """
    facts = [found for one in objects if (found := list(_facts(one)))]
    facts += [found for one in others if (found := _of_cluster_ips(one))]
    wishes = [_wishes(one) for one in objects if one.kind == "Service" and _has_cluster_ip(one)]
    if facts:
        first = IPV4 if any(found[0] is IPV4 for found in facts) else IPV6
    else:
        first = IPV6 if wishes and all(set(one) == {IPV6} for one in wishes) else IPV4
    seen = {first, *(one for found in (*facts, *wishes) for one in found)}
    return (first, first.other) if len(seen) > 1 else (first,)


def _facts(found: PlainObject) -> Iterator[Family]:
    texts: list[object] = []
    if found.kind == "Pod":
        texts += [text_at(ip, "ip") for ip in list_at(found.value, "status", "podIPs")]
        texts.append(text_at(found.value, "status", "podIP"))
    elif found.kind == "Node":
        texts += list_at(found.value, "spec", "podCIDRs")
    for text in texts:
        if family := family_of(str(text).partition("/")[0]):
            yield family


def _of_cluster_ips(found: PlainObject) -> list[Family]:
    return [family for ip in cluster_ips(found.value) if (family := family_of(ip))]


def _has_cluster_ip(found: PlainObject) -> bool:
    of_none = text_at(found.value, "spec", "clusterIP") == "None"
    return not of_none and text_at(found.value, "spec", "type") != "ExternalName"


def _wishes(found: PlainObject) -> list[Family]:
    named = _named(list_at(found.value, "spec", "ipFamilies"))
    if text_at(found.value, "spec", "ipFamilyPolicy") == "RequireDualStack":
        return [IPV4, IPV6]
    return [*named, *_of_cluster_ips(found)]


def _named(names: Sequence[object]) -> list[Family]:
    return [family for name in names for family in Family if family.api_name == name]


def cluster_ips(service: dict[str, Any]) -> list[str]:
    """Return the cluster IPs that a Service has."""
    ips = list_at(service, "spec", "clusterIPs") or [text_at(service, "spec", "clusterIP")]
    return [ip for ip in ips if isinstance(ip, str) and family_of(ip)]


def service_families(
    spec: dict[str, Any], given: Sequence[str], cluster: Sequence[Family]
) -> list[Family]:
    """Return a Service's families, as the API server defaults them."""
    named = _named(spec.get("ipFamilies") or ())
    families = named or [family for ip in given if (family := family_of(ip))] or [cluster[0]]
    policy = spec.get("ipFamilyPolicy") or ""
    dual = policy == "RequireDualStack" or (policy == "PreferDualStack" and len(cluster) == 2)
    if dual and len(families) == 1:
        families.append(families[0].other)
    return families
