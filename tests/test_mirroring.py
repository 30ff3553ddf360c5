"""Endpoints without a selector become EndpointSlices, as the mirroring controller makes them."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.api import compile_rules
from compiler.control_plane.mirroring import LEADER, MANAGED_BY, MANAGER_LABEL, SKIP
from tests.test_control_plane import named, of_kind, service
from tests.test_workloads import completed, warnings

Object = dict[str, Any]


def endpoints(name: str, *subsets: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name} | metadata,
        "subsets": list(subsets),
    }


def subset(*ips: str, port: int = 5432, **more: Any) -> Object:
    return {"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": port}]} | more


DB = named(service(selector=None), "db")


def mirrored(*objects: Object) -> list[Object]:
    return of_kind(completed(DB, *objects), "EndpointSlice")


def test_a_slice_with_its_names_and_labels() -> None:
    last = "kubectl.kubernetes.io/last-applied-configuration"
    labels, annotations = {"team": "a"}, {"note": "x", last: "{}"}
    one = {"ip": "10.9.9.9", "nodeName": "n", "hostname": "h", "targetRef": {"kind": "Pod"}}
    ports = [{"name": "sql", "port": 5432, "appProtocol": "x"}]
    given = endpoints(
        "db", {"addresses": [one], "ports": ports}, labels=labels, annotations=annotations
    )
    (found,) = mirrored(given)
    name = found["metadata"].pop("name")
    assert name.startswith("db-")
    assert len(name) == len("db-") + 5
    assert found == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "default",
            "labels": {"team": "a", "kubernetes.io/service-name": "db", MANAGER_LABEL: MANAGED_BY},
            "annotations": {"note": "x"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.9.9.9"],
                "conditions": {"ready": True},
                "nodeName": "n",
                "hostname": "h",
                "targetRef": {"kind": "Pod"},
            }
        ],
        "ports": [{"name": "sql", "port": 5432, "protocol": "TCP", "appProtocol": "x"}],
    }


def test_rules_lead_there() -> None:
    result = completed(DB, endpoints("db", subset("10.9.9.9")))
    assert "--to-destination 10.9.9.9:5432" in compile_rules(result.manifests).text
    assert warnings(result) == []
    assert result.notes[-1].endswith("mirrors 1 address of Endpoints default/db")


def test_a_slice_per_family_and_set_of_ports() -> None:
    two = subset("10.9.9.1", "fd00::1"), subset("10.9.9.2", port=1521), subset("10.9.9.3")
    found = {
        (one["addressType"], one["ports"][0]["port"]): [e["addresses"][0] for e in one["endpoints"]]
        for one in mirrored(endpoints("db", *two))
    }
    assert found == {
        ("IPv4", 5432): ["10.9.9.1", "10.9.9.3"],
        ("IPv6", 5432): ["fd00::1"],
        ("IPv4", 1521): ["10.9.9.2"],
    }


def test_addresses_that_are_not_ready() -> None:
    (found,) = mirrored(endpoints("db", subset("10.9.9.1", notReadyAddresses=[{"ip": "10.9.9.2"}])))
    assert [one["conditions"]["ready"] for one in found["endpoints"]] == [True, False]


def test_a_thousand_addresses_and_no_more() -> None:
    many = [f"10.9.{number // 250}.{number % 250}" for number in range(1001)]
    result = completed(DB, endpoints("db", subset(*many)))
    (found,) = of_kind(result, "EndpointSlice")
    assert len(found["endpoints"]) == 1000
    assert warnings(result) == [
        "Endpoints default/db: subsets[0]: 1001 addresses, of which only 1000 are mirrored; "
        "write EndpointSlices instead"
    ]


@pytest.mark.parametrize(
    "metadata",
    [{"labels": {SKIP: "true"}}, {"annotations": {LEADER: "{}"}}],
)
def test_what_is_not_mirrored(metadata: Object) -> None:
    assert mirrored(endpoints("db", subset("10.9.9.1"), **metadata)) == []


def test_a_skip_label_of_another_value_skips_nothing() -> None:
    assert len(mirrored(endpoints("db", subset("10.9.9.1"), labels={SKIP: "yes"}))) == 1


def test_a_services_own_selector_wins() -> None:
    result = completed(service(), endpoints("web", subset("10.9.9.1")))
    assert [one["endpoints"] for one in of_kind(result, "EndpointSlice")] == [[]]


def test_without_a_service_they_have_no_effect() -> None:
    result = completed(endpoints("other", subset("10.9.9.1")))
    assert of_kind(result, "EndpointSlice") == []
    assert warnings(result) == [
        "Endpoints default/other: metadata.name: there is no Service of this name, so it is not "
        "mirrored and has no effect; add the Service"
    ]


def test_slices_of_a_dump_are_not_made_twice() -> None:
    (first,) = mirrored(endpoints("db", subset("10.9.9.1")))
    assert len(mirrored(endpoints("db", subset("10.9.9.1")), first)) == 1
    own = first | {"metadata": {"name": "mine", "labels": {"kubernetes.io/service-name": "db"}}}
    assert len(mirrored(endpoints("db", subset("10.9.9.1")), own)) == 2


def test_no_addresses_no_slice() -> None:
    assert mirrored(endpoints("db"), endpoints("b", {"ports": [{"port": 1}]})) == []
