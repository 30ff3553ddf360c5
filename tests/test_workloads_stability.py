"""What is handed out depends on names: what is added, removed or reordered moves nothing else."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compiler.api import compile_rules, complete_manifests
from compiler.control_plane.address_pool import AddressPool, Pool, digest
from compiler.control_plane.complete import Completed
from compiler.manifests.source import Source
from tests.test_control_plane import named, node, of_kind, pod, service
from tests.test_workloads import completed, workload

Object = dict[str, Any]

NAMES = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
KINDS = st.sampled_from(["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"])


@st.composite
def apps(draw: st.DrawFn, names: list[str]) -> list[Object]:
    """For each name a workload and a Service of it, of any kind and number."""
    found: list[Object] = []
    for name in names:
        kind = draw(KINDS)
        number = "parallelism" if kind == "Job" else "replicas"
        count: Object = {number: draw(st.integers(0, 5))}
        found.append(workload(kind, name, **count))
        type_ = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
        ports = [
            {"name": one, "port": at + 1}
            for at, one in enumerate(draw(st.lists(NAMES, min_size=1, max_size=2, unique=True)))
        ]
        local = {} if type_ == "ClusterIP" else {"externalTrafficPolicy": "Local"}
        web = service(selector={"app": name}, type=type_, ports=ports, **local)
        found.append(named(web, name))
    return found


def handed_out(result: Completed) -> dict[str, Any]:
    """Everything that objects got, by their names."""
    found: dict[str, Any] = {}
    for one in result.objects:
        name = f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
        if one["kind"] == "Pod":
            found[name] = one["spec"].get("nodeName"), one["status"]["podIPs"]
        elif one["kind"] == "Service":
            ports = {port.get("name", ""): port.get("nodePort") for port in one["spec"]["ports"]}
            found[name] = one["spec"]["clusterIPs"], ports, one["spec"].get("healthCheckNodePort")
        elif one["kind"] == "EndpointSlice":
            found[name] = one["addressType"], one["endpoints"], one["ports"]
    return found


def hashes_meet(objects: list[Object], *, sizes: tuple[int, ...] = (65533, 2768)) -> bool:
    """Whether two of all names have the same hash, modulo the size of a range."""
    result = handed_out(completed(*objects, nodes=3))
    subjects = [name for name in result if not name.startswith("EndpointSlice")]
    subjects = [name.replace(" /", " default/") for name in subjects]
    keys = subjects + [
        f"{name} {port}"
        for name in subjects
        if name.startswith("Service")
        for port in result[name.replace(" default/", " /")][1]
    ]
    return any(len({digest(key) % size for key in keys}) < len(keys) for size in sizes)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), names=st.lists(NAMES, min_size=2, max_size=7, unique=True))
def test_an_unrelated_change_moves_nothing(data: st.DataObject, names: list[str]) -> None:
    """With the Nodes as they are; unless two names share a hash, which the docs give a figure for."""
    objects = data.draw(apps(names))
    cut = 2 * data.draw(st.integers(1, len(names) - 1))
    assume(not hashes_meet(objects))
    few = handed_out(completed(*objects[:cut], nodes=3))
    more = handed_out(completed(*objects, nodes=3))
    assert {name: more.get(name) for name in few} == few


@settings(max_examples=40, deadline=None)
@given(data=st.data(), names=st.lists(NAMES, min_size=1, max_size=6, unique=True))
def test_the_order_makes_no_difference_even_where_hashes_meet(
    data: st.DataObject, names: list[str]
) -> None:
    objects = [*data.draw(apps(names)), node("a", podCIDRs=["10.1.1.0/27"]), node("b")]
    shuffled = data.draw(st.permutations(objects))
    assert handed_out(completed(*shuffled)) == handed_out(completed(*objects))


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 25),
    more=st.integers(1, 4),
    kind=st.sampled_from(["Deployment", "ReplicaSet", "StatefulSet"]),
    small=st.booleans(),
)
def test_a_scale_adds_endpoints_and_moves_none(
    count: int, more: int, kind: str, small: bool
) -> None:
    """Even in a network where most addresses are taken, and most hashes meet."""
    others = [workload(name=f"other-{number}", replicas=count // 3) for number in range(3)]
    nodes = [node("a", podCIDRs=["10.1.1.0/26"]), node("b", podCIDRs=["10.1.2.0/26"])]
    cluster = [*others, service(), *(nodes if small else [node("a"), node("b")])]

    def endpoints(replicas: int) -> dict[str, tuple[str, str]]:
        result = completed(*cluster, workload(kind, replicas=replicas))
        return {
            one["targetRef"]["name"]: (one["nodeName"], one["addresses"][0])
            for found in of_kind(result, "EndpointSlice")
            for one in found["endpoints"]
        }

    before, after = endpoints(count), endpoints(count + more)
    assert len(after) == count + more
    assert {name: after[name] for name in before} == before


def test_a_scale_from_three_to_four_adds_one_chain_of_an_endpoint() -> None:
    def chains(replicas: int) -> set[str]:
        result = completed(workload(replicas=replicas), service(), nodes=3)
        text = compile_rules(result.manifests, node="worker-1").text
        return {line for line in text.splitlines() if line.startswith(":KUBE-S")}

    before, after = chains(3), chains(4)
    assert before < after
    assert len(after - before) == 1


@pytest.mark.parametrize("size", [5, 40, 65533])
def test_a_newcomer_moves_only_those_behind_it_whose_number_it_takes(size: int) -> None:
    """Names in order, as callers ask: what comes before the new one can't be moved by it."""
    names = sorted(
        f"Service default/{number}"
        for number in random.Random(size).sample(range(10**6), min(size - 1, 300))
    )

    def given_out(some: list[str]) -> dict[str, int]:
        pool = Pool(0, size)
        return {name: pool.take(name) for name in some}

    everything = given_out(names)
    assert len(set(everything.values())) == len(names)
    for new in range(0, len(names), 7):
        rest = given_out(names[:new] + names[new + 1 :])
        assert {name: rest[name] for name in names[:new]} == {
            name: everything[name] for name in names[:new]
        }


def test_how_often_another_object_moves_one() -> None:
    """The figures of docs/workloads.md: of 200 Services in the default network, and of 30 Pods."""

    def share(count: int, size: int) -> float:
        moved = tries = 0
        for seed in range(200):
            numbers = random.Random(seed).sample(range(10**9), count + 1)
            names = sorted(f"x {number}" for number in numbers)
            new = names.pop(random.Random(seed).randrange(count + 1))
            pools = Pool(0, size), Pool(0, size)
            before = {name: pools[0].take(name) for name in names}
            after = {name: pools[1].take(name) for name in sorted([*names, new])}
            tries += 1
            moved += any(before[name] != after[name] for name in names)
        return moved / tries

    assert share(200, 65533) <= 0.01
    assert 0.01 < share(30, 253) < 0.13


def test_a_network_is_used_to_its_last_address() -> None:
    pool = AddressPool("10.1.1.0/27")
    found = [pool.take(f"Pod {number}") for number in range(29)]
    assert len(set(found)) == 29
    assert {"10.1.1.0", "10.1.1.1", "10.1.1.31"}.isdisjoint(found)


def test_a_port_that_is_added_in_front_keeps_the_node_port_of_the_other() -> None:
    def ports(*names: str) -> dict[str, int]:
        wanted = [{"name": name, "port": at + 1} for at, name in enumerate(names)]
        (web,) = of_kind(completed(service(type="NodePort", ports=wanted)), "Service")
        return {one["name"]: one["nodePort"] for one in web["spec"]["ports"]}

    assert ports("new", "http")["http"] == ports("http")["http"]


def test_a_node_more_does_not_move_addresses() -> None:
    """Made Nodes have no podCIDRs, so that only the Node of some Pods changes."""
    objects = [workload(replicas=5), service()]

    def addresses(nodes: int) -> dict[str, str]:
        found = of_kind(completed(*objects, nodes=nodes), "Pod")
        return {one["metadata"]["name"]: one["status"]["podIP"] for one in found}

    assert addresses(3) == addresses(4)


def test_a_service_of_another_family_moves_nothing() -> None:
    objects = [workload(replicas=3), service()]
    six = named(service(ipFamilies=["IPv6"], selector={"app": "six"}), "six")
    few, more = (handed_out(completed(*some)) for some in (objects, [*objects, six]))
    assert more["Service /web"] == few["Service /web"]
    slices = [name for name in few if name.startswith("EndpointSlice")]
    assert [more[name] for name in slices] == [few[name] for name in slices]


def test_files_and_shapes_make_no_difference() -> None:
    objects = [workload(replicas=3), service(type="NodePort"), pod("x"), node("n")]
    one = [Source("a", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode())]
    many = [Source(str(at), json.dumps(found).encode()) for at, found in enumerate(objects)]
    texts = {
        compile_rules(complete_manifests(sources).manifests, node="n").text
        for sources in (one, many, many[::-1])
    }
    assert len(texts) == 1
