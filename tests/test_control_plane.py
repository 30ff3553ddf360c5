"""What the control plane would have added to hand-written manifests."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from compiler.api import compile_rules, complete_manifests
from compiler.control_plane.complete import Completed
from compiler.errors import InputError
from compiler.family import Family
from compiler.manifests.source import Source
from tests.cases import FIXTURES
from tests.run import Runner

Object = dict[str, Any]


def pod(
    name: str, *, labels: Object | None = None, status: Object | None = None, **spec: Any
) -> Object:
    metadata = {"name": name, "labels": labels or {"app": "web"}}
    found: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return found | ({"status": status} if status else {})


def service(**spec: Any) -> Object:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


def node(name: str, *, labels: Object | None = None, **spec: Any) -> Object:
    address = {"type": "InternalIP", "address": "172.18.0.9"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {"addresses": [address]},
    }


def completed(*objects: Object, **flags: Any) -> Completed:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()
    return complete_manifests([Source("manifests", text)], flags=flags)


def of_kind(result: Completed, kind: str) -> list[Object]:
    return [found for found in result.objects if found["kind"] == kind]


def the_slice(result: Completed) -> Object:
    (found,) = of_kind(result, "EndpointSlice")
    return found


def addresses(result: Completed) -> list[str]:
    return [one["addresses"][0] for one in the_slice(result)["endpoints"]]


def test_given_addresses_are_kept() -> None:
    result = completed(
        pod("a", status={"podIP": "10.9.9.9"}, nodeName="n"), service(clusterIP="10.99.0.1")
    )
    assert addresses(result) == ["10.9.9.9"]
    (found,) = of_kind(result, "Service")
    assert found["spec"]["clusterIPs"] == ["10.99.0.1"]
    assert found["spec"]["ipFamilies"] == ["IPv4"]
    name = the_slice(result)["metadata"]["name"]
    said = f"EndpointSlice default/{name} lists 1 endpoint of Service default/web"
    assert result.notes == (said,)


def test_what_is_handed_out_is_reported() -> None:
    result = completed(pod("a"), node("n"), service(type="NodePort"), cluster_cidr="10.20.0.0/16")
    (found,) = of_kind(result, "Pod")
    (web,) = of_kind(result, "Service")
    assert found["spec"]["nodeName"] == "n"
    assert found["status"]["podIP"].startswith("10.20.")
    assert web["spec"]["clusterIP"].startswith("10.96.")
    assert 30000 <= web["spec"]["ports"][0]["nodePort"] <= 32767
    assert [note.partition(" has ")[0].partition(" lists ")[0] for note in result.notes[1:3]] == [
        "Service default/web",
        "Service default/web",
    ]
    assert result.notes[0] == (
        f"Pod default/a runs on n and has the address {found['status']['podIP']}"
    )


def test_an_object_keeps_what_it_got_when_others_come() -> None:
    few = [pod(f"web-{number}") for number in range(5)]
    many = [pod(f"other-{number}") for number in range(20)]
    first = completed(*few, service())
    second = completed(*many, *few, service())
    was = {one["metadata"]["name"]: one["status"]["podIP"] for one in of_kind(first, "Pod")}
    now = {one["metadata"]["name"]: one["status"]["podIP"] for one in of_kind(second, "Pod")}
    assert {name: now[name] for name in was} == was
    assert len(set(now.values())) == 25


def test_pods_are_addressed_from_their_nodes_range() -> None:
    result = completed(pod("a", nodeName="n"), node("n", podCIDRs=["10.30.7.0/24"]), service())
    assert addresses(result)[0].startswith("10.30.7.")


def test_host_network_pods_have_their_nodes_address() -> None:
    result = completed(pod("a", nodeName="n", hostNetwork=True), node("n"), service())
    assert addresses(result) == ["172.18.0.9"]


def test_a_full_pod_network_is_reported() -> None:
    pods = [pod(f"web-{number}", nodeName="n") for number in range(2)]
    with pytest.raises(InputError) as caught:
        completed(*pods, node("n", podCIDRs=["10.30.7.0/30"]))
    place, _, message = str(caught.value).partition(": ")
    assert place.startswith("manifests:1:")
    assert message == (
        "Pod default/web-1: the pod network 10.30.7.0/30 has no free address; use a larger one"
    )


def test_a_full_service_network_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = {Family.IPV4: "10.96.0.0/31", Family.IPV6: "fd00::/112"}
    monkeypatch.setattr("compiler.control_plane.service_addresses.SERVICE_NETWORKS", networks)
    with pytest.raises(InputError) as caught:
        completed(service(), named(service(), "b"))
    assert str(caught.value).partition(": ")[2] == (
        "Service default/web: the service network 10.96.0.0/31 has no free address; set clusterIP"
    )


def test_full_node_ports_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.control_plane.service_addresses.NODE_PORTS", range(30000, 30001))
    with pytest.raises(InputError) as caught:
        completed(service(type="NodePort"), named(service(type="NodePort"), "b"))
    assert str(caught.value).partition(": ")[2] == (
        "Service default/web: no node port from 30000 to 30000 is free; "
        "set nodePort, or allocateLoadBalancerNodePorts: false"
    )


def named(found: Object, name: str, **changes: Any) -> Object:
    return found | {"metadata": {"name": name}} | changes


@pytest.mark.parametrize("place", [0, 3])
def test_kinds_of_other_groups_are_not_taken_for_ours(place: int) -> None:
    """Knative's Service of the same name, Longhorn's Node, a Pod and slice of who knows whom."""
    plain = [pod("a"), service(clusterIP="10.99.0.1"), node("n")]
    knative = service() | {"apiVersion": "serving.knative.dev/v1"}
    others = [
        knative,
        node("longhorn") | {"apiVersion": "longhorn.io/v1beta2"},
        pod("b", status={"podIP": "10.9.9.9"}) | {"apiVersion": "example.com/v1"},
        {
            "apiVersion": "example.com/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "web"}},
        },
    ]
    result = completed(*plain[:place], *others, *plain[place:])
    expected = completed(*plain)
    assert result.notes == expected.notes
    assert [found for found in result.objects if found not in others] == list(expected.objects)
    assert [found for found in result.objects if found in others] == others
    assert compile_rules([result.source]).text == compile_rules([expected.source]).text


def test_items_of_a_list_of_another_group_are_its_kinds() -> None:
    """A KnativeServiceList's items may leave kind and version out."""
    text = json.dumps(
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "ServiceList",
            "items": [{"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}],
        }
    )
    result = complete_manifests([Source("manifests", text.encode())])
    assert result.notes == ()


def test_control_plane_nodes_are_left_free() -> None:
    busy = node("cp", labels={"node-role.kubernetes.io/control-plane": ""})
    result = completed(*(pod(f"web-{i}") for i in range(8)), busy, node("n1"), node("n2"))
    assert {one["spec"]["nodeName"] for one in of_kind(result, "Pod")} == {"n1", "n2"}


def with_ready(status: str) -> Object:
    return {"podIP": "10.9.9.9", "conditions": [{"type": "Ready", "status": status}]}


@pytest.mark.parametrize(
    ("status", "deleted", "not_ready_too", "conditions"),
    [
        ("True", False, False, (True, True, False)),
        ("False", False, False, (False, False, False)),
        ("True", True, False, (False, True, True)),
        ("False", True, False, (False, False, True)),
        ("False", False, True, (True, False, False)),
    ],
)
def test_conditions(
    status: str, deleted: bool, not_ready_too: bool, conditions: tuple[bool, bool, bool]
) -> None:
    one = pod("a", status=with_ready(status))
    if deleted:
        one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    result = completed(one, service(publishNotReadyAddresses=not_ready_too))
    (endpoint,) = the_slice(result)["endpoints"]
    names = ("ready", "serving", "terminating")
    assert endpoint["conditions"] == dict(zip(names, conditions, strict=True))


def test_ended_pods_and_other_pods_are_left_out() -> None:
    result = completed(
        pod("a", status={"podIP": "10.9.9.1", "phase": "Running"}),
        pod("done", status={"podIP": "10.9.9.2", "phase": "Succeeded"}),
        pod("other", labels={"app": "db"}, status={"podIP": "10.9.9.3"}),
        service(),
    )
    assert addresses(result) == ["10.9.9.1"]


def test_a_named_target_port_is_looked_up_in_each_pod() -> None:
    def listening(number: int) -> Object:
        return {"ports": [{"name": "http", "containerPort": number}]}

    result = completed(
        pod("a", status={"podIP": "10.9.9.1"}, containers=[listening(8080)]),
        pod("b", status={"podIP": "10.9.9.2"}, containers=[listening(9090)]),
        pod("c", status={"podIP": "10.9.9.3"}, containers=[{}]),
        pod(
            "d",
            status={"podIP": "10.9.9.4"},
            initContainers=[listening(8080) | {"restartPolicy": "Always"}],
        ),
        service(ports=[{"name": "main", "port": 80, "targetPort": "http"}]),
    )
    found = {
        tuple(port["port"] for port in one["ports"]): [
            endpoint["addresses"][0] for endpoint in one["endpoints"]
        ]
        for one in of_kind(result, "EndpointSlice")
    }
    assert found == {(8080,): ["10.9.9.1", "10.9.9.4"], (9090,): ["10.9.9.2"], (): ["10.9.9.3"]}


def test_protocol_and_name_go_along() -> None:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353, "appProtocol": "x"}]
    result = completed(pod("a"), service(ports=ports))
    assert the_slice(result)["ports"] == [
        {"name": "dns", "port": 5353, "protocol": "UDP", "appProtocol": "x"}
    ]


def test_dual_stack() -> None:
    result = completed(
        pod("a"),
        service(ipFamilyPolicy="PreferDualStack"),
        cluster_cidr="10.20.0.0/16,fd00:20::/56",
    )
    (web,) = of_kind(result, "Service")
    assert web["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert web["spec"]["clusterIP"] == web["spec"]["clusterIPs"][0]
    four, six = of_kind(result, "EndpointSlice")
    assert (four["addressType"], six["addressType"]) == ("IPv4", "IPv6")
    assert four["endpoints"][0]["addresses"][0].startswith("10.20.")
    assert six["endpoints"][0]["addresses"][0].startswith("fd00:20:")


@pytest.mark.parametrize(
    ("spec", "cidr", "families"),
    [
        ({}, "10.20.0.0/16,fd00:20::/56", ["IPv4"]),
        ({}, "fd00:20::/56", ["IPv6"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, "10.20.0.0/16", ["IPv4"]),
        ({"ipFamilyPolicy": "RequireDualStack"}, "10.20.0.0/16", ["IPv4", "IPv6"]),
        ({"ipFamilies": ["IPv6"]}, "10.20.0.0/16,fd00:20::/56", ["IPv6"]),
        ({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "PreferDualStack"},
         "10.20.0.0/16,fd00:20::/56", ["IPv6", "IPv4"]),
    ],
)  # fmt: skip
def test_families(spec: Object, cidr: str, families: list[str]) -> None:
    (web,) = of_kind(completed(service(**spec), cluster_cidr=cidr), "Service")
    assert web["spec"]["ipFamilies"] == families
    assert len(web["spec"]["clusterIPs"]) == len(families)


def test_a_service_without_pods_has_the_placeholder() -> None:
    found = the_slice(completed(service()))
    assert found["endpoints"] == []
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "web"


def test_headless_and_other_proxies_services_stay_so() -> None:
    headless = the_slice(completed(pod("a"), service(clusterIP="None")))
    assert headless["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    other = service()
    other["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "mine"}
    labels = the_slice(completed(pod("a"), other))["metadata"]["labels"]
    assert labels["service.kubernetes.io/service-proxy-name"] == "mine"


def test_slices_that_are_there_are_left_alone() -> None:
    there = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.9.9.7"]}],
        "ports": [{"port": 80}],
    }
    result = completed(pod("a"), service(), there)
    assert addresses(result) == ["10.9.9.7"]


def test_a_service_without_selector_gets_no_slice() -> None:
    assert of_kind(completed(pod("a"), service(selector=None)), "EndpointSlice") == []


def test_a_hundred_endpoints_a_slice() -> None:
    result = completed(*(pod(f"web-{number:03}") for number in range(250)), service())
    sizes = [len(one["endpoints"]) for one in of_kind(result, "EndpointSlice")]
    assert sizes == [100, 100, 50]
    names = {one["metadata"]["name"] for one in of_kind(result, "EndpointSlice")}
    assert len(names) == 3


@pytest.mark.parametrize(
    ("distribution", "hints"),
    [
        ("PreferClose", {"forZones": [{"name": "z"}]}),
        ("PreferSameNode", {"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}),
    ],
)
def test_traffic_distribution(distribution: str, hints: Object) -> None:
    zoned = node("n", labels={"topology.kubernetes.io/zone": "z"})
    result = completed(pod("a", nodeName="n"), zoned, service(trafficDistribution=distribution))
    (endpoint,) = the_slice(result)["endpoints"]
    assert endpoint["zone"] == "z"
    assert endpoint["hints"] == hints


def test_node_ports() -> None:
    local = service(type="LoadBalancer", externalTrafficPolicy="Local")
    (web,) = of_kind(completed(local), "Service")
    numbers = [web["spec"]["healthCheckNodePort"], web["spec"]["ports"][0]["nodePort"]]
    assert len(set(numbers)) == 2
    assert all(30000 <= number <= 32767 for number in numbers)
    none = service(type="LoadBalancer", allocateLoadBalancerNodePorts=False)
    (web,) = of_kind(completed(none), "Service")
    assert "nodePort" not in web["spec"]["ports"][0]
    given = service(type="NodePort", ports=[{"port": 80, "nodePort": 31000}])
    (web,) = of_kind(completed(given), "Service")
    assert web["spec"]["ports"][0]["nodePort"] == 31000


def test_printed_objects_compile_to_the_same(proxyrules: Runner, tmp_path: Path) -> None:
    case = FIXTURES / "study-clientip"
    manifests, config = str(case / "input.yaml"), str(case / "kube-proxy.yaml")
    printed = proxyrules("compile", manifests, "--config", config, "--print-objects")
    assert printed.code == 0
    again = tmp_path / "printed.yaml"
    again.write_text(printed.out)
    options = ("--config", config, "--node", "myk8s-control-plane", "--kube-version", "1.30")
    direct = proxyrules("compile", manifests, *options, "--from-workloads")
    assert proxyrules("compile", str(again), *options).out == direct.out
    kinds = [one["kind"] for one in YAML(typ="safe", pure=True).load_all(printed.out)]
    assert kinds == ["Pod"] * 4 + ["Service"] + ["Node"] * 4 + ["EndpointSlice"]


def test_order_makes_no_difference() -> None:
    objects = [pod(f"web-{number}") for number in range(30)] + [service(), node("n1"), node("n2")]
    texts = set()
    for seed in range(5):
        random.Random(seed).shuffle(objects)
        source = completed(*objects).source
        texts.add(compile_rules([source], node="n1").text)
    assert len(texts) == 1
