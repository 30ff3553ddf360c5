"""Which conntrack entries kube-proxy deletes when UDP Services change."""

from __future__ import annotations

import shlex

from compiler.analysis.conntrack import UdpServicePort, stale_entry_commands
from compiler.family import IPV4, IPV6

A, B = ("10.10.1.1", 8053), ("10.10.1.2", 8053)
DELETE = "conntrack -D -f ipv4 -p udp"
ALL = f"{DELETE} --orig-dst 10.96.0.10 --orig-port-dst 53"
FROM_A = "--reply-src 10.10.1.1 --reply-port-src 8053"


def port(
    *endpoints: tuple[str, int],
    addresses: tuple[str, ...] = ("10.96.0.10",),
    number: int = 53,
    node_port: int = 0,
) -> UdpServicePort:
    return UdpServicePort(addresses, number, node_port, frozenset(endpoints))


def between(old: list[UdpServicePort], new: list[UdpServicePort]) -> list[str]:
    return [shlex.join(command) for command in stale_entry_commands(old, new, IPV4)]


def test_entries_to_an_endpoint_that_is_gone_are_deleted() -> None:
    assert between([port(A, B)], [port(B)]) == [f"{ALL} {FROM_A}"]


def test_an_endpoint_whose_port_changed_is_another() -> None:
    assert between([port(A)], [port(("10.10.1.1", 9053))]) == [f"{ALL} {FROM_A}"]


def test_a_service_that_comes_to_have_endpoints_loses_all_entries() -> None:
    assert between([port()], [port(A)]) == [ALL]


def test_a_new_service_and_a_new_address_lose_all_entries() -> None:
    """What was sent there before any rule went somewhere untranslated, and still would."""
    assert between([], [port(A)]) == [ALL]
    both = port(A, addresses=("10.96.0.10", "192.0.2.1"))
    assert between([port(A)], [both]) == [f"{DELETE} --orig-dst 192.0.2.1 --orig-port-dst 53"]


def test_a_service_without_endpoints_or_gone_loses_all_entries() -> None:
    assert between([port(A, B)], [port()]) == [ALL]
    assert between([port(A, B)], []) == [ALL]
    assert between([port(A)], [port(A, addresses=("10.96.0.11",))]) == [
        f"{DELETE} --orig-dst 10.96.0.11 --orig-port-dst 53",
        ALL,
    ]


def test_every_entry_point_of_a_service_counts() -> None:
    addresses = ("10.96.0.10", "192.0.2.1", "192.0.2.2")
    old = port(A, B, addresses=addresses, node_port=30053)
    new = port(A, addresses=addresses, node_port=30053)
    gone = "--reply-src 10.10.1.2 --reply-port-src 8053"
    assert between([old], [new]) == [
        *(f"{DELETE} --orig-dst {ip} --orig-port-dst 53 {gone}" for ip in addresses),
        f"{DELETE} --orig-port-dst 30053 {gone}",
    ]


def test_entries_of_others_on_a_node_ports_number_stay_when_its_endpoints_go() -> None:
    """A node port is matched by its number alone, on any address."""
    old = port(A, B, addresses=(), node_port=30053)
    expected = [
        f"{DELETE} --orig-port-dst 30053 --reply-src {ip} --reply-port-src 8053"
        for ip in ("10.10.1.1", "10.10.1.2")
    ]
    assert between([old], [port(addresses=(), node_port=30053)]) == expected
    assert between([old], []) == expected
    # kube-proxy itself deletes by the number alone when endpoints come.
    assert between([], [old]) == [f"{DELETE} --orig-port-dst 30053"]


def test_nothing_stale_is_no_command() -> None:
    same = port(A, B, node_port=30053)
    assert between([same], [same]) == []
    assert between([port(A)], [port(A, B)]) == []
    assert between([], [port()]) == []
    assert between([port()], []) == []


def test_ipv6_is_a_family_of_its_own() -> None:
    old = port(("fd00:10::1", 53), addresses=("fd00:96::10",))
    (command,) = stale_entry_commands([old], [], IPV6)
    assert shlex.join(command) == (
        "conntrack -D -f ipv6 -p udp --orig-dst fd00:96::10 --orig-port-dst 53"
    )
