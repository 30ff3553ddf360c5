"""Which service port a request calls, at which of its addresses, and its conntrack entries."""

from __future__ import annotations

import pytest
from msgspec import structs

from compiler.family import IPV4, IPV6, Family
from compiler.lab import request, tracking
from compiler.lab.errors import LabUsageError
from compiler.lab.layout import Layout, Member, Role, Target
from tests.kernel.manifests import NODE_IP, NODE_IP6

TARGET = Target(
    name="default/web:main",
    protocol="TCP",
    family=IPV4,
    port=80,
    cluster_ip="10.200.1.10",
    external_ips=("192.0.2.20",),
    node_port=30080,
)
UDP = Target(name="other/dns", protocol="UDP", family=IPV4, port=53, cluster_ip="10.200.1.11")
NODE = Member(name="node", role=Role.NODE, addresses=(NODE_IP6, NODE_IP))
OUTSIDE = Member(name="outside-1", role=Role.OUTSIDE, addresses=("198.18.0.2",))


def lab_of(*targets: Target, **without_ports: str) -> Layout:
    return Layout(
        members=(NODE,),
        listeners=(),
        targets=targets,
        families=(IPV4,),
        without_ports={f"default/{name}": reason for name, reason in without_ports.items()},
    )


def renamed(target: Target, name: str) -> Target:
    return structs.replace(target, name=name)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("web", TARGET),
        ("web:80", TARGET),
        ("web:main", TARGET),
        ("default/web", TARGET),
        ("other/dns", UDP),
        ("other/dns:53", UDP),
        ("dns", UDP),
        ("dns:53", UDP),
    ],
)
def test_a_service_port_is_found_by_name_or_number(wanted: str, found: Target) -> None:
    assert request.pick_target(lab_of(TARGET, UDP), wanted) == found


def test_a_bare_name_is_the_default_namespaces_first() -> None:
    both = lab_of(renamed(TARGET, "a/web:main"), TARGET)
    assert request.pick_target(both, "web") == TARGET
    neither = lab_of(renamed(TARGET, "b/web:main"), renamed(TARGET, "a/web:main"))
    with pytest.raises(LabUsageError) as raised:
        request.pick_target(neither, "web")
    assert str(raised.value) == 'several namespaces have a Service "web": a/web, b/web'


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("web:81", 'Service default/web has no port "81"; its ports are: main (80/TCP, IPv4)'),
        ("dns:x", 'Service other/dns has no port "x"; its ports are: (53/UDP, IPv4)'),
        (
            "other/web",
            (
                'no Service "other/web" in the lab; '
                "its Services are: default/alias, default/web, other/dns"
            ),
        ),
        ("", 'no Service "" in the lab; its Services are: default/alias, default/web, other/dns'),
        ("alias", "kube-proxy writes no rules for Service default/alias: it is an alias"),
        ("alias:80", "kube-proxy writes no rules for Service default/alias: it is an alias"),
    ],
)
def test_a_service_port_that_is_missing_is_an_error_with_what_there_is(
    wanted: str, message: str
) -> None:
    with pytest.raises(LabUsageError) as raised:
        request.pick_target(lab_of(TARGET, UDP, alias="it is an alias"), wanted)
    assert str(raised.value) == message


def test_family_and_protocol_choose_among_ports_of_one_name() -> None:
    other = structs.replace(TARGET, protocol="UDP")
    six = structs.replace(TARGET, family=IPV6, cluster_ip="fd00:200::10")
    lab = lab_of(TARGET, other, six)
    assert request.pick_target(lab, "web", protocol="UDP") == other
    assert request.pick_target(lab, "web", family="ipv6") == six
    with pytest.raises(LabUsageError, match=r"has no port SCTP IPv6; its ports are: main \(80/T"):
        request.pick_target(lab, "web", family="ipv6", protocol="SCTP")


@pytest.mark.parametrize(
    ("via", "where"),
    [
        ("cluster-ip", ("10.200.1.10", 80)),
        ("external-ip", ("192.0.2.20", 80)),
        ("node-port", (NODE_IP, 30080)),
        ("localhost", ("127.0.0.1", 30080)),
    ],
)
def test_every_entry_point_has_its_address(via: str, where: tuple[str, int]) -> None:
    assert request.address_of(TARGET, via, NODE) == where


def test_an_entry_point_that_is_missing_is_an_error() -> None:
    with pytest.raises(LabUsageError, match=r"^default/web:main has no IPv4 load-balancer IP$"):
        request.address_of(TARGET, "load-balancer", NODE)
    with pytest.raises(LabUsageError) as raised:
        request.default_entry_point(UDP, OUTSIDE)
    assert str(raised.value) == (
        "other/dns has no load-balancer IP, external IP or node port for outside-1; "
        "try `--via cluster-ip`"
    )


def test_outside_clients_prefer_the_load_balancer_then_the_external_ip() -> None:
    everything = structs.replace(TARGET, load_balancer_ips=("192.0.2.30",))
    assert request.default_entry_point(everything, NODE) == "cluster-ip"
    assert request.default_entry_point(everything, OUTSIDE) == "load-balancer"
    assert request.default_entry_point(TARGET, OUTSIDE) == "external-ip"
    only_node_port = structs.replace(TARGET, external_ips=())
    assert request.default_entry_point(only_node_port, OUTSIDE) == "node-port"


def test_tally_is_most_first_then_by_name() -> None:
    assert request.tally(["b", "a", "c", "c"]) == [(2, "c"), (1, "a"), (1, "b")]


def test_conntrack_entries_of_a_service() -> None:
    lines = [
        "tcp      6 119 TIME_WAIT src=10.10.0.6 dst=10.200.1.10 sport=1 dport=80 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 [ASSURED] mark=0 use=1",  # noqa: E501
        "tcp      6 119 TIME_WAIT src=10.10.0.6 dst=10.200.1.10 sport=1 dport=81 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 [ASSURED] mark=0 use=1",  # noqa: E501
        "udp      17 29 src=10.10.0.6 dst=10.200.1.10 sport=1 dport=80 src=10.10.2.1 dst=10.10.0.6 sport=8080 dport=1 mark=0 use=1",  # noqa: E501
        f"tcp      6 9 CLOSE src=198.18.0.2 dst={NODE_IP} sport=1 dport=30080 src=10.10.2.1 dst={NODE_IP} sport=8080 dport=1 mark=0 use=1",  # noqa: E501
        "icmp     1 9 src=10.10.0.6 dst=10.200.1.10 type=8 code=0 id=1 src=10.10.2.1 dst=10.10.0.6 type=0 code=0 id=1 mark=0 use=1",  # noqa: E501
    ]
    local = lines[3].replace(f"dst={NODE_IP} sport=1", "dst=127.0.0.1 sport=1")
    assert tracking.of_targets([*lines, local], [TARGET], NODE) == [lines[0], lines[3], local]


@pytest.mark.parametrize(("family", "address"), [(IPV4, NODE_IP), (IPV6, NODE_IP6)])
def test_node_ports_are_on_the_nodes_addresses_and_on_localhost(
    family: Family, address: str
) -> None:
    target = structs.replace(TARGET, family=family, cluster_ip=address, external_ips=())
    assert tracking.entry_points(target, NODE) == {
        ("tcp", address, 80),
        ("tcp", address, 30080),
        ("tcp", family.loopback, 30080),
    }
