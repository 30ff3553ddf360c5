"""Facts of a real cluster that are mixed into manifests: Nodes, cluster IPs, node ports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compiler.api import compile_rules, complete_manifests
from compiler.control_plane.complete import Completed
from compiler.errors import InputError
from compiler.manifests.source import Source
from tests.test_control_plane import named, node, of_kind, pod, service
from tests.test_workloads import warnings, workload

Object = dict[str, Any]


def mixed(own: list[Object], cluster: list[Object], **arguments: Any) -> Completed:
    def source(name: str, items: list[Object]) -> Source:
        whole = {"apiVersion": "v1", "kind": "List", "items": items}
        return Source(name, json.dumps(whole).encode())

    return complete_manifests([source("own", own)], cluster=[source("real", cluster)], **arguments)


def spec_of(result: Completed, name: str = "web") -> Object:
    (found,) = [one for one in of_kind(result, "Service") if one["metadata"]["name"] == name]
    spec: Object = found["spec"]
    return spec


REAL = {"clusterIP": "10.43.7.7", "clusterIPs": ["10.43.7.7"], "ipFamilies": ["IPv4"]}


def real(**spec: Any) -> Object:
    return service(**(REAL | spec))


def test_a_service_has_its_cluster_ip() -> None:
    result = mixed([workload(), service()], [real()])
    assert spec_of(result)["clusterIP"] == "10.43.7.7"
    assert "-d 10.43.7.7 --dport 80" in compile_rules(result.manifests).text
    assert not any("has the cluster IP" in note for note in result.notes)


def test_selector_and_ports_stay_those_of_the_manifests() -> None:
    result = mixed(
        [service(ports=[{"port": 81}])], [real(selector={"app": "old"}, ports=[{"port": 80}])]
    )
    assert spec_of(result)["ports"] == [{"port": 81}]
    assert spec_of(result)["selector"] == {"app": "web"}


def test_node_ports_are_known_by_the_ports_name() -> None:
    own = [{"name": "new", "port": 1}, {"name": "b", "port": 2}, {"name": "a", "port": 3}]
    was = [{"name": "a", "port": 9, "nodePort": 30001}, {"name": "b", "port": 2, "nodePort": 30002}]
    spec = spec_of(mixed([service(type="NodePort", ports=own)], [real(type="NodePort", ports=was)]))
    ports = {one["name"]: one["nodePort"] for one in spec["ports"]}
    assert (ports["a"], ports["b"]) == (30001, 30002)
    assert ports["new"] not in (30001, 30002)


def test_a_node_port_that_another_port_now_sets_is_not_kept() -> None:
    own = [{"name": "a", "port": 1}, {"name": "b", "port": 2, "nodePort": 30001}]
    was = [{"name": "a", "port": 1, "nodePort": 30001}]
    spec = spec_of(mixed([service(type="NodePort", ports=own)], [real(type="NodePort", ports=was)]))
    assert spec["ports"][0]["nodePort"] != 30001


def test_a_service_that_becomes_cluster_ip_has_no_node_port() -> None:
    was = [{"port": 80, "nodePort": 30001}]
    assert spec_of(mixed([service()], [real(type="NodePort", ports=was)]))["ports"] == [
        {"port": 80}
    ]


def test_load_balancer_and_health_check() -> None:
    balancer = real(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31234)
    balancer["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    own = service(type="LoadBalancer", externalTrafficPolicy="Local")
    result = mixed([own], [balancer])
    assert spec_of(result)["healthCheckNodePort"] == 31234
    (found,) = of_kind(result, "Service")
    assert found["status"] == balancer["status"]


def test_what_other_services_have_is_not_handed_out() -> None:
    """Of the cluster's Services that are not in the manifests; they are not compiled."""
    alone = spec_of(mixed([service(type="NodePort")], []))
    other = named(
        service(
            type="NodePort",
            clusterIP=alone["clusterIP"],
            ports=[{"port": 80, "nodePort": alone["ports"][0]["nodePort"]}],
        ),
        "other",
    )
    result = mixed([service(type="NodePort")], [other])
    assert spec_of(result)["clusterIP"] != alone["clusterIP"]
    assert spec_of(result)["ports"][0]["nodePort"] != alone["ports"][0]["nodePort"]
    assert len(of_kind(result, "Service")) == 1


def test_headless_and_external_services_stay_so() -> None:
    assert spec_of(mixed([service(clusterIP="None")], [real()]))["clusterIP"] == "None"
    external = service(type="ExternalName", externalName="example.com")
    assert "clusterIP" not in spec_of(mixed([external], [real()]))
    back = spec_of(mixed([service()], [service(clusterIP="None", clusterIPs=["None"])]))
    assert back["clusterIP"].startswith("10.96.")


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, ["10.43.7.7", "fd00::7"]),
        ({"ipFamilyPolicy": "SingleStack"}, ["10.43.7.7"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["10.43.7.7", "fd00::7"]),
        ({"ipFamilies": ["IPv4"]}, ["10.43.7.7"]),
    ],
)
def test_two_families(wish: Object, expected: list[str]) -> None:
    dual = real(clusterIPs=["10.43.7.7", "fd00::7"], ipFamilies=["IPv4", "IPv6"])
    assert spec_of(mixed([service(**wish)], [dual]))["clusterIPs"] == expected


def test_a_second_family_is_added_to_the_clusters_first() -> None:
    both = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}
    first, second = spec_of(mixed([service(**both)], [real()]))["clusterIPs"]
    assert first == "10.43.7.7"
    assert second.startswith("fd00:10:96:")


def test_another_first_family_gets_another_address() -> None:
    spec = spec_of(mixed([service(ipFamilies=["IPv6"])], [real()]))
    assert spec["clusterIP"].startswith("fd00:10:96:")


def test_the_clusters_family_is_that_of_its_services() -> None:
    six = named(service(clusterIP="fd00::9", clusterIPs=["fd00::9"]), "other")
    assert spec_of(mixed([service()], [six]))["ipFamilies"] == ["IPv6"]


def test_another_cluster_ip_than_the_clusters_is_reported() -> None:
    result = mixed([workload(), service(clusterIP="10.43.1.1")], [real()])
    assert spec_of(result)["clusterIP"] == "10.43.1.1"
    assert warnings(result) == [
        "Service default/web: spec.clusterIP: is 10.43.7.7 in the cluster, and the API server does "
        "not change it; leave it out, or delete the Service first"
    ]


def test_what_belongs_to_another_service_is_rejected() -> None:
    other = named(real(type="NodePort", ports=[{"port": 1, "nodePort": 30001}]), "other")
    own = service(type="NodePort", clusterIP="10.43.7.7", ports=[{"port": 1, "nodePort": 30001}])
    with pytest.raises(InputError) as caught:
        mixed([own], [other])
    assert [str(one).partition(": ")[2] for one in caught.value.problems] == [
        "Service default/web: spec.clusterIP: cluster IP 10.43.7.7 belongs to Service default/other "
        "in the cluster, at real:1:109; choose another one, or leave it out",
        "Service default/web: spec.ports[0].nodePort: node port 30001/TCP belongs to Service "
        "default/other in the cluster, at real:1:109; choose another one, or leave it out",
    ]


def test_its_nodes_replace_those_of_the_manifests() -> None:
    result = mixed([node("mine"), workload("DaemonSet")], [node("n1"), node("n2")], nodes=5)
    assert [one["metadata"]["name"] for one in of_kind(result, "Node")] == ["n1", "n2"]
    assert [one["metadata"]["name"] for one in of_kind(result, "Pod")] == ["web-n1", "web-n2"]
    assert result.assumed[:2] == (
        "the cluster's Nodes are used, not the 1 of the manifests",
        "no Nodes are made, since there are 2 already",
    )


def test_what_is_not_used_is_counted() -> None:
    result = mixed([workload()], [pod("a"), pod("b"), real(), node("n")])
    assert result.assumed[0] == "of the cluster only Nodes and Services are used, not 2 Pod"
    assert [one["metadata"]["name"] for one in of_kind(result, "Pod")] == ["web-1"]


def test_an_object_twice_is_still_rejected() -> None:
    for own, cluster, name in (([service(), real()], [], "own"), ([], [real(), real()], "real")):
        with pytest.raises(InputError) as caught:
            mixed([*own, node("n")], cluster or [node("m")])
        assert str(caught.value).startswith(f"{name}:1:")
        assert "duplicate object" in str(caught.value)


def test_problems_of_the_cluster_have_its_places() -> None:
    with pytest.raises(InputError) as caught:
        mixed([service()], [real(clusterIP="10.0.0.300", clusterIPs=None)])
    assert "real:1:" in str(caught.value)
    assert '"10.0.0.300" is not an IP address' in str(caught.value)
