"""No manifest can write a rule: what reaches the text was checked to be what it claims to be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compiler.api import compile_rules
from compiler.errors import InputError
from compiler.manifests.source import Source

# Every line that the templates can write, as a shape: names, addresses, numbers and interfaces are
# the only variable parts.
LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
NAME = rf"{LABEL}/{LABEL}(?::{LABEL})?"
IP = r"[0-9a-fA-F.:]+"
CHAIN = r"KUBE-[A-Z0-9-]+"
PROTOCOL = r"(?:tcp|udp|sctp)"
PARTS = (
    r'-m comment --comment "[A-Za-z0-9 ;:.>/\[\]-]*"',
    rf"-m comment --comment {NAME}",
    rf"-m {PROTOCOL} -p {PROTOCOL}",
    rf"(?:! )?-[ds] {IP}(?:/[0-9]+)?",
    r"--dport [0-9]+",
    r"(?:! )?-i [A-Za-z0-9_.@=~][A-Za-z0-9_.@=~-]*\+?",
    r"-m addrtype --(?:src|dst)-type LOCAL",
    r"-m conntrack (?:! )?--ctstate [A-Z,]+",
    r"-m mark (?:! )?--mark 0x[0-9a-f]+/0x[0-9a-f]+",
    r"-m statistic --mode random --probability 0\.[0-9]{10}",
    rf"-m recent --name {CHAIN} (?:--set|--rcheck --seconds [0-9]+ --reap)",
)
TARGETS = (
    CHAIN,
    "ACCEPT|DROP|REJECT|RETURN|MASQUERADE --random-fully",
    r"MARK --(?:or|xor)-mark 0x[0-9a-f]+",
    rf"DNAT --to-destination \[?{IP}\]?:[0-9]+",
)
RULE = rf"-A {CHAIN} (?:(?:{'|'.join(PARTS)}) )*(?:-j (?:{'|'.join(TARGETS)}) )?"
LINE = re.compile(rf"(?:\*filter|\*nat|COMMIT|:{CHAIN} - \[0:0\]) |{RULE}")

NASTY = [
    "x\n-A KUBE-SERVICES -j ACCEPT",
    'x" -j ACCEPT',
    "x -j ACCEPT",
    "COMMIT",
    "\nCOMMIT\n*raw\n",
    "x\r",
    "x\0",
    "x\u2028-j ACCEPT",
    "-j",
    "--help",
    "{{ plan }}",
    "{% raw %}",
    "$(reboot)",
    "a/b",
    "10.0.0.1\n",
    "10.0.0.1 -j ACCEPT",
    "10.0.0.0/8\n-j ACCEPT",
    "fe80::1%eth0 -j ACCEPT",
    "٣.٣.٣.٣",
    "x" * 300,
]
texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=40),
    st.tuples(st.sampled_from(["web", "10.0.0.1", "10.0.0.0/8"]), st.text(max_size=5)).map("".join),
)
numbers = st.one_of(st.integers(-10, 70_000), texts, st.booleans(), st.floats(allow_nan=False))


def manifests() -> dict[str, dict[str, Any]]:
    return {
        "service": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "default", "labels": {}},
            "spec": {
                "type": "LoadBalancer",
                "clusterIP": "10.0.0.1",
                "clusterIPs": ["10.0.0.1"],
                "ipFamilies": ["IPv4"],
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                "internalTrafficPolicy": "Cluster",
                "externalTrafficPolicy": "Local",
                "externalIPs": ["192.0.2.1"],
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
                "healthCheckNodePort": 30001,
                "ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30000}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9", "ipMode": "VIP"}]}},
        },
        "slice": {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "web-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": "worker-1"}],
        },
        "node": {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "worker-1", "labels": {"topology.kubernetes.io/zone": "a"}},
            "spec": {"podCIDRs": ["10.1.0.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]},
        },
    }


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [leaf for key, child in value.items() for leaf in leaves(child, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, child in enumerate(value) for leaf in leaves(child, (*path, key))]
    return [path]


LEAVES = leaves(manifests())


def compile_with(
    changes: list[tuple[tuple[str | int, ...], object]], **flags: object
) -> str | None:
    """Compile with leaves replaced; None where the input is refused, which is a fine answer too."""
    objects: Any = manifests()
    for path, value in changes:
        place = objects
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
    source = Source("m.json", "\n".join(json.dumps(item) for item in objects.values()).encode())
    try:
        return compile_rules([source], node="worker-1", flags=flags).text
    except InputError as error:
        assert_printable(error)
        return None


def assert_printable(error: InputError) -> None:
    assert error.problems
    assert [line for line in str(error).splitlines() if not line.isprintable()] == []


def assert_only_rules(text: str | None) -> None:
    if text is not None:
        lines = text.removesuffix("\n").split("\n")
        strange = [line for line in lines if not LINE.fullmatch(line + " ")]
        assert not strange


def test_what_is_right_is_taken() -> None:
    text = compile_with([])
    assert text is not None
    assert_only_rules(text)
    assert "KUBE-FW-" in text


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_every_field_with_every_nasty_text(path: tuple[str | int, ...]) -> None:
    for nasty in NASTY:
        assert_only_rules(compile_with([(path, nasty)]))


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(LEAVES), st.one_of(texts, numbers, st.none(), st.just([]))),
        min_size=1,
        max_size=4,
    )
)
@example(changes=[(("service", "metadata", "name"), "web\n")])
def test_several_fields_with_anything(changes: list[tuple[tuple[str | int, ...], object]]) -> None:
    # A float or a list where a text stood is no leaf's type: it must be refused, not printed.
    assert_only_rules(compile_with(changes))


@settings(max_examples=200, deadline=None)
@given(flag=st.sampled_from(["cluster_cidr", "bind_address", "hostname_override"]), value=texts)
def test_flags(flag: str, value: str) -> None:
    assert_only_rules(compile_with([], **{flag: value}))


@settings(max_examples=200, deadline=None)
@given(
    mode=st.sampled_from(
        [
            ("BridgeInterface", "pod_bridge_interface"),
            ("InterfaceNamePrefix", "pod_interface_name_prefix"),
        ]
    ),
    value=st.one_of(texts, st.text("-j+!\"'ACEPT \t\n\\#", min_size=1, max_size=16)),
)
@example(mode=("BridgeInterface", "pod_bridge_interface"), value="eth0\n")
def test_interface_names(mode: tuple[str, str], value: str) -> None:
    assert_only_rules(compile_with([], detect_local_mode=mode[0], **{mode[1]: value}))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(texts, max_size=3))
def test_node_port_addresses(values: list[str]) -> None:
    assert_only_rules(compile_with([], nodeport_addresses=values))


@pytest.mark.parametrize("line", ["-A KUBE-SERVICES -j ACCEPT\n", "-A X -j ACCEPT", "x", ""])
def test_the_check_itself_can_fail(line: str) -> None:
    with pytest.raises(AssertionError):
        assert_only_rules(f"*nat\n{line}\n\nCOMMIT\n")
