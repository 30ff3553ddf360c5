"""From manifests to a lab's layout: who is in it, under which name, at which address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compiler.api import compile_rules
from compiler.family import Family
from compiler.lab import wiring
from compiler.lab.errors import LabUsageError, OutsideAddressError
from compiler.lab.layout import Interfaces, Layout, Member, Role
from compiler.lab.run_directory import MAX_MEMBER, netns_name
from compiler.lab.topology import Clients, NodeFacts, layout_of, outside_problem
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
    assert [(one.member, one.address, one.port) for one in found.listeners] == [
        ("here", "10.10.1.1", 8080),
        ("there", "10.10.2.1", 8080),
    ]
    assert len({one.addresses for one in found.members}) == 7


def test_an_endpoint_on_the_nodes_own_address_is_served_by_the_node() -> None:
    found = layout(WEB, endpoint_slice("web", [endpoint("kube-apiserver", NODE_IP, THIS_NODE)]))
    (listener,) = found.listeners
    assert listener.member == "node"
    assert found.member("kube-apiserver") is None


def test_endpoints_in_the_host_network_of_another_node_are_that_node() -> None:
    """Several Pods may share its address, so a Pod's name would be wrong for the others."""
    pods = [endpoint(name, "172.18.0.3") for name in ("kube-proxy-x", "node-exporter-x")]
    found = layout(
        WEB, *(endpoint_slice("web", [pod]) for pod in pods[:1]), endpoint_slice("x", pods[1:])
    )
    assert found.member("node-b") == Member(
        name="node-b", role=Role.OTHER_NODE, addresses=("172.18.0.3",)
    )
    assert {one.member for one in found.listeners} == {"node-b"}
    assert [one.name for one in found.members] == ["node", "node-b", "client-1", "outside-1"]


def test_pods_of_one_name_are_told_apart_and_none_takes_a_name_of_the_labs_own() -> None:
    other = endpoint("web-1", "10.10.2.2")
    other["targetRef"]["namespace"] = "other"
    pods = [endpoint("web-1", "10.10.2.1"), other, endpoint("node", "10.10.2.3")]
    found = layout(WEB, endpoint_slice("web", [*pods, endpoint("client-1", "10.10.2.4")]))
    pod_names = ["default_web-1", "other_web-1", "default_node", "default_client-1"]
    names = [member.name for member in found.members]
    assert names == ["node", *pod_names, "client-1", "outside-1"]
    # The tallies of requests show the members' names, so that the two `web-1` are distinguished.
    assert [listener.member for listener in found.listeners] == pod_names


def test_an_endpoint_without_a_pod_is_called_by_its_address() -> None:
    anonymous = endpoint("x", "10.10.2.1")
    del anonymous["targetRef"]
    found = layout(WEB, endpoint_slice("web", [anonymous]))
    assert found.listeners[0].member == found.members[1].name == "10.10.2.1"


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
    slices = endpoint_slice("web", [endpoint("a", "10.10.2.1")])
    web = service("web", ["10.200.1.10"], externalIPs=["192.0.2.20"], ingress=["192.0.2.30"])
    for addresses, reason in {
        ("10.10.2.1",): "is the address of the endpoint default/a",
        ("10.200.1.10",): "is the cluster IP of default/web:main",
        ("192.0.2.20",): "is an external IP of default/web:main",
        ("192.0.2.30",): "is a load-balancer IP of default/web:main",
        (NODE_IP,): "is the node's address",
        ("172.18.0.3",): "is an address of Node node-b",
        ("203.0.113.7", "203.0.113.7"): "is the address of outside-2 already",
        ("2001:db8::7",): "is an IPv6 address, and the lab's Services are IPv4",
    }.items():
        with pytest.raises(OutsideAddressError) as raised:
            layout(web, slices, clients=Clients(1, addresses))
        assert (raised.value.address, raised.value.reason) == (addresses[-1], reason)
    made = layout(web, slices, clients=Clients(1, ("203.0.113.7", "203.0.113.8")))
    assert [member.name for member in made.members[-2:]] == ["outside-2", "outside-3"]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("nowhere", "is not an IP address"),
        ("010.0.0.1", "is not an IP address"),
        ("127.0.0.1", "is a loopback address"),
        ("::1", "is a loopback address"),
        ("0.0.0.0", "is an unspecified address"),
        ("224.0.0.1", "is a multicast address"),
        ("ff02::1", "is a multicast address"),
        ("169.254.1.1", "is a link-local address"),
        ("fe80::1", "is a link-local address"),
        ("255.255.255.255", "is a reserved address"),
        ("203.0.113.7", ""),
        ("10.1.2.3", ""),
        ("2001:db8::7", ""),
    ],
)
def test_what_no_lab_can_have_as_an_outside_client(address: str, problem: str) -> None:
    assert outside_problem(address) == problem


def test_more_clients_than_addresses_are_rejected() -> None:
    with pytest.raises(LabUsageError, match=r"no address is left in 10\.10\.0\.0/29"):
        layout(WEB, clients=Clients(10), cluster_cidr="10.10.0.0/29")


def test_names_among_a_nodes_addresses_are_no_addresses() -> None:
    """Every real Node has a Hostname among its addresses, and names of the other types too."""
    node = nodes()[0]
    node["status"]["addresses"] += [
        {"type": "Hostname", "address": "kind-control-plane"},
        {"type": "InternalDNS", "address": "ip-10-0-1-7.ec2.internal"},
        {"type": "ExternalDNS", "address": "10.200.1.99"},
        {"type": "ExternalIP", "address": "198.51.100.9"},
    ]
    node["metadata"]["name"] = "real"
    clients = Clients(1, ("10.200.1.99",))
    assert layout(WEB, node, clients=clients).members[-1].addresses == ("10.200.1.99",)
    with pytest.raises(OutsideAddressError, match="it is an address of Node real"):
        layout(WEB, node, clients=Clients(1, ("198.51.100.9",)))


def test_kinds_of_other_groups_do_not_count() -> None:
    """Longhorn has Nodes, Knative Services; a kind belongs to its group."""
    others = [
        endpoint_slice("web", [endpoint("not-me", "10.10.2.9")]) | {"apiVersion": "example.com/v1"},
        {
            "apiVersion": "example.com/v1",
            "kind": "Pod",
            "metadata": {"name": "not-me-either"},
            "status": {"podIP": "10.10.2.8"},
        },
        {
            "apiVersion": "longhorn.io/v1beta2",
            "kind": "Node",
            "metadata": {"name": THIS_NODE},
            "status": {"addresses": [{"type": "InternalIP", "address": "203.0.113.7"}]},
        },
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {"name": "function"},
            "spec": {},
        },
    ]
    real = endpoint_slice("web", [endpoint("me", "10.10.2.1")])
    found = layout(WEB, real, *others, clients=Clients(0, ("203.0.113.7",)))
    assert [member.name for member in found.members] == ["node", "me", "outside-1", "outside-2"]
    assert found.without_ports == {}


def test_services_without_ports_are_known_with_the_reason() -> None:
    def like(name: str, **spec: Any) -> Object:
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    ports = [{"port": 80}]
    other = like("other", clusterIP="10.200.1.11", ports=ports)
    other["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "mine"}
    found = layout(
        WEB,
        like("headless", clusterIP="None", ports=ports),
        like("alias", type="ExternalName", externalName="example.com"),
        other,
    )
    assert found.without_ports == {
        "default/headless": "it is headless, so its clients connect to the Pods",
        "default/alias": "its type is ExternalName, which is an alias in DNS",
        "default/other": (
            "its label service.kubernetes.io/service-proxy-name leaves it to another proxy"
        ),
    }


def test_targets_have_the_serving_endpoints_and_why_they_are_not_served() -> None:
    dns = service("dns", ["10.200.1.11"], protocol="UDP", internalTrafficPolicy="Local")
    ones = [
        endpoint("ready", "10.10.2.1"),
        endpoint("ending", "10.10.2.2", ready=False, serving=True, terminating=True),
        endpoint("ended", "10.10.2.3", ready=False, serving=False, terminating=True),
    ]
    found = layout(WEB, dns, endpoint_slice("dns", ones, protocol="UDP"))
    udp, web = sorted(found.targets, key=lambda target: target.name)
    assert set(udp.endpoints) == {("10.10.2.1", 8080), ("10.10.2.2", 8080)}
    assert (udp.unserved_inside, udp.unserved_outside) == ("it has no local endpoints", "")
    assert web.endpoints == ()
    assert web.unserved_inside == web.unserved_outside == "it has no endpoints"


@pytest.mark.parametrize("prefix", ["pod", "eth", "veth", "far", "e", "r", "f", "eth0"])
def test_no_other_interface_looks_like_a_pods(prefix: str) -> None:
    stems = wiring.interface_stems(Interfaces(pod_prefix=prefix))
    assert stems[Role.LOCAL_POD] == prefix
    others = [stems[Role.FAR_POD], stems[Role.OUTSIDE]]
    assert not any(stem.startswith(prefix) or prefix.startswith(stem) for stem in others)
