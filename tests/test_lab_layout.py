"""From manifests to a lab's layout: who is in it, under which name, at which address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compiler.api import compile_rules
from compiler.family import Family
from compiler.lab import wiring
from compiler.lab.errors import LabError
from compiler.lab.layout import Interfaces, Layout, Role
from compiler.lab.run_directory import MAX_MEMBER, netns_name
from compiler.lab.topology import Clients, NodeFacts, layout_of
from compiler.manifests.source import Source
from tests.kernel.manifests import (
    NODE_IP,
    NODE_IP6,
    THIS_NODE,
    Object,
    endpoint,
    endpoint_slice,
    nodes,
    service,
)

ONE_CLIENT = Clients()


def layout(*objects: Object, clients: Clients = ONE_CLIENT, **flags: Any) -> Layout:
    flags = {"cluster_cidr": "10.10.0.0/16,fd00:10::/48"} | flags
    items = [*nodes(), *objects]
    source = Source("m", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode())
    plans = {
        family: compile_rules([source], node=THIS_NODE, ip_family=family, flags=flags).plan
        for family in Family
    }
    plans = {family: plan for family, plan in plans.items() if plan.service_ports}
    facts = NodeFacts(THIS_NODE, (NODE_IP, NODE_IP6))
    return layout_of(items, plans, facts, clients)


WEB = service("web", ["10.200.1.10"])


def test_layout_has_a_member_an_endpoint_and_clients() -> None:
    both = [endpoint("here", "10.10.1.1", THIS_NODE), endpoint("there", "10.10.2.1")]
    found = layout(WEB, endpoint_slice("web", both), clients=Clients(2, ("203.0.113.7",)))
    assert [(member.name, member.role) for member in found.members] == [
        ("node", Role.NODE),
        ("here", Role.LOCAL_POD),
        ("there", Role.FAR_POD),
        ("client-1", Role.LOCAL_POD),
        ("client-2", Role.LOCAL_POD),
        ("outside-1", Role.OUTSIDE),
        ("outside-2", Role.OUTSIDE),
    ]
    assert found.node.addresses == (NODE_IP, NODE_IP6)
    assert found.members[-1].addresses == ("203.0.113.7",)
    assert all(one.addresses[0].startswith("10.10.") for one in found.members[1:5])
    assert [(one.member, one.address, one.port, one.answer) for one in found.listeners] == [
        ("here", "10.10.1.1", 8080, "here"),
        ("there", "10.10.2.1", 8080, "there"),
    ]
    assert len({one.addresses for one in found.members}) == 7


def test_an_endpoint_on_the_nodes_own_address_is_served_by_the_node() -> None:
    found = layout(WEB, endpoint_slice("web", [endpoint("kube-apiserver", NODE_IP, THIS_NODE)]))
    (listener,) = found.listeners
    assert (listener.member, listener.answer) == ("node", "kube-apiserver")
    assert found.member("kube-apiserver") is None


def test_pods_of_one_name_are_told_apart_and_none_takes_a_name_of_the_labs_own() -> None:
    other = endpoint("web-1", "10.10.2.2")
    other["targetRef"]["namespace"] = "other"
    pods = [endpoint("web-1", "10.10.2.1"), other, endpoint("node", "10.10.2.3")]
    found = layout(WEB, endpoint_slice("web", [*pods, endpoint("client-1", "10.10.2.4")]))
    pod_names = ["default_web-1", "other_web-1", "default_node", "default_client-1"]
    names = [member.name for member in found.members]
    assert names == ["node", *pod_names, "client-1", "outside-1"]
    # They answer with their own names all the same.
    assert [listener.answer for listener in found.listeners] == [
        "web-1",
        "web-1",
        "node",
        "client-1",
    ]


def test_an_endpoint_without_a_pod_is_called_by_its_address() -> None:
    anonymous = endpoint("x", "10.10.2.1")
    del anonymous["targetRef"]
    found = layout(WEB, endpoint_slice("web", [anonymous]))
    assert found.listeners[0].answer == found.members[1].name == "10.10.2.1"


@pytest.mark.parametrize("name", ["../../tmp/x", "a/b", "", ".", "x" * 254, "a\nb"])
def test_no_name_reaches_out_of_its_folder(name: str) -> None:
    found = layout(WEB, endpoint_slice("web", [endpoint(name, "10.10.2.1")]))
    assert found.members[1].name == "10.10.2.1"


def test_a_long_name_fits_a_file_name() -> None:
    longest = ".".join(["x" * 63] * 3 + ["y" * 61])
    names = {netns_name("z" * 40, longest), netns_name("z" * 40, longest[:-1] + "z")}
    assert len(names) == 2
    assert all(len(name) <= 255 for name in names)
    assert netns_name("lab", "x" * MAX_MEMBER) == "proxyrules.lab." + "x" * MAX_MEMBER


def test_an_outside_client_needs_an_address_of_its_own() -> None:
    with pytest.raises(LabError, match=r"10\.10\.2\.1 is taken"):
        layout(
            WEB,
            endpoint_slice("web", [endpoint("a", "10.10.2.1")]),
            clients=Clients(1, ("10.10.2.1",)),
        )


def test_more_clients_than_addresses_are_told() -> None:
    with pytest.raises(LabError, match=r"no address is left in 10\.10\.0\.0/29"):
        layout(WEB, clients=Clients(10), cluster_cidr="10.10.0.0/29")


@pytest.mark.parametrize("prefix", ["pod", "eth", "veth", "far", "e", "r", "f", "eth0"])
def test_no_other_interface_looks_like_a_pods(prefix: str) -> None:
    stems = wiring.interface_stems(Interfaces(pod_prefix=prefix))
    assert stems[Role.LOCAL_POD] == prefix
    others = [stems[Role.FAR_POD], stems[Role.OUTSIDE]]
    assert not any(stem.startswith(prefix) or prefix.startswith(stem) for stem in others)
