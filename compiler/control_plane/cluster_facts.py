"""Facts of a real cluster, mixed into manifests without them: Nodes, and Services' addresses.

A Service that is in both keeps what the API server gave it, as when it is applied again: source
kubernetes `pkg/registry/core/service/storage/storage.go` (`patchAllocatedValues`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compiler.control_plane.families import cluster_ips
from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.control_plane.service_addresses import wants_health_check, wants_node_ports
from compiler.errors import InputError, Problem
from compiler.manifests.address import family_of
from compiler.yaml.plain import Path

USED = ("Node", "Service")


@dataclass(frozen=True)
class Facts:
    """Manifests with a cluster's facts; `others` are its Services that the manifests don't have."""

    objects: tuple[PlainObject, ...]
    others: tuple[PlainObject, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()


def with_facts(objects: Sequence[PlainObject], cluster: Sequence[PlainObject]) -> Facts:
    """Mix in a cluster's Nodes, which replace those of the manifests, and facts of its Services.

    Raises InputError where the manifests give to one Service what is another's in the cluster.
    """
    nodes = [found for found in cluster if found.kind == "Node"]
    real = {(one.namespace, one.name): one for one in cluster if one.kind == "Service"}
    wanted = {(one.namespace, one.name): one for one in objects if one.kind == "Service"}
    others = tuple(one for key, one in real.items() if key not in wanted)
    if problems := list(_clashes(list(wanted.values()), list(real.values()))):
        raise InputError(problems)
    warnings: list[Problem] = []
    mixed: list[PlainObject] = []
    for found in objects:
        if found.kind == "Node" and nodes:
            continue
        key = found.namespace, found.name
        if found.kind == "Service" and key in real:
            warnings += _differing(found, real[key])
            mixed.append(replace(found, value=_kept(found.value, real[key].value)))
        else:
            mixed.append(found)
    return Facts((*mixed, *nodes), others, tuple(_notes(objects, cluster)), tuple(warnings))


def _notes(objects: Sequence[PlainObject], cluster: Sequence[PlainObject]) -> Iterator[str]:
    left_out = Counter(one.kind for one in cluster if one.kind not in USED)
    if left_out:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items()))
        yield f"of the cluster only Nodes and Services are used, not {counts}"
    own = sum(one.kind == "Node" for one in objects)
    if own and any(one.kind == "Node" for one in cluster):
        yield f"the cluster's Nodes are used, not the {own} of the manifests"


def _kept(value: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    """Return a Service with what it was given in the cluster and does not set itself."""
    spec, was = dict(map_at(value, "spec")), map_at(real, "spec")
    own_ip, given = spec.get("clusterIP"), cluster_ips(real)
    if spec.get("type") != "ExternalName" and own_ip in (None, "") and given:
        spec |= _kept_ips(spec, given)
    if wants_node_ports(spec):
        numbers = {text_at(port, "name"): at(port, "nodePort") for port in list_at(was, "ports")}
        used = {at(port, "nodePort") for port in list_at(spec, "ports")}
        spec["ports"] = [
            {**port, "nodePort": number}
            if isinstance(port, dict)
            and not port.get("nodePort")
            and (number := numbers.get(text_at(port, "name")))
            and number not in used
            else port
            for port in list_at(spec, "ports")
        ]
    if wants_health_check(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = was.get("healthCheckNodePort")
    kept = {**value, "spec": spec}
    if spec.get("type") == "LoadBalancer" and "status" not in value and "status" in real:
        kept["status"] = real["status"]
    return kept


def _kept_ips(spec: dict[str, Any], given: list[str]) -> dict[str, Any]:
    """Return the cluster IPs that a Service keeps, none where it asks for another first family."""
    families = [family.api_name for ip in given if (family := family_of(ip))]
    wished, policy = list_at(spec, "ipFamilies"), spec.get("ipFamilyPolicy")
    both = min(len(wished), len(families))
    if wished[:both] != families[:both]:
        return {}
    # Of two, the second is let go where only one family is wanted.
    only_one = policy == "SingleStack" or (len(wished) == 1 and policy is None)
    count = 1 if only_one else len(given)
    kept = {"clusterIP": given[0], "clusterIPs": given[:count]}
    return kept if wished else kept | {"ipFamilies": families[:count]}


def _differing(found: PlainObject, real: PlainObject) -> Iterator[Problem]:
    """Warn of a cluster IP that the API server would not change."""
    wanted, given = text_at(found.value, "spec", "clusterIP"), cluster_ips(real.value)
    if wanted and given and wanted != given[0]:
        message = f"is {given[0]} in the cluster, and the API server does not change it"
        hint = "leave it out, or delete the Service first"
        yield found.problem(("spec", "clusterIP"), message, hint)


def _clashes(wanted: Sequence[PlainObject], real: Sequence[PlainObject]) -> Iterator[Problem]:
    """Find what manifests set and another Service has in the cluster."""
    owners: dict[object, PlainObject] = {}
    for one in real:
        owners |= dict.fromkeys(cluster_ips(one.value), one)
        owners |= {key: one for key, _ in _ports(one)}
    for found in wanted:
        keys: list[tuple[object, str, Path]] = [
            (ip, f"cluster IP {ip}", ("spec", "clusterIP")) for ip in cluster_ips(found.value)[:1]
        ]
        keys += [
            (key, f"node port {key[0]}/{key[1]}", ("spec", "ports", index, "nodePort"))
            for key, index in _ports(found)
        ]
        for key, named, path in keys:
            owner = owners.get(key)
            if owner is not None and owner.subject != found.subject:
                place = owner.problem(("metadata", "name"), "")
                message = (
                    f"{named} belongs to {owner.subject} in the cluster, "
                    f"at {place.file}:{place.line}:{place.column}"
                )
                yield found.problem(path, message, "choose another one, or leave it out")


def _ports(service: PlainObject) -> Iterator[tuple[tuple[int, str], int]]:
    for index, port in enumerate(list_at(service.value, "spec", "ports")):
        number = at(port, "nodePort")
        if isinstance(number, int) and number:
            yield (number, text_at(port, "protocol") or "TCP"), index
