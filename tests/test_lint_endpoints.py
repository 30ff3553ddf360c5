"""What rules about endpoints say, where manifests are special."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compiler.analysis.lint.run import LintReport
from compiler.compilation import compile_rules
from compiler.manifests.source import Source
from compiler.questions import lint


def linted(*objects: dict[str, Any], rule: str, config: str = "") -> LintReport:
    whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    source = Source("input.json", json.dumps(whole).encode())
    settings = Source("kube-proxy.yaml", config.encode()) if config else None
    return lint([source], config=settings, select=[rule])


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 80}], **spec},
    }


def slice_of(*ips: str, name: str = "web", node: str = "worker-1") -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [ip], "nodeName": node} for ip in ips],
    }


def node(*cidrs: str, ip: str = "172.18.0.3") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "worker-1"},
        "spec": {"podCIDRs": list(cidrs)},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}]},
    }


@pytest.mark.parametrize("name", ["StatefulSet", "Pod"])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_sidecar_has_the_port(name: str, protocol: str) -> None:
    """Init containers that go on running count, and the protocol does."""
    port = {"name": "http", "containerPort": 8080, "protocol": protocol}
    spec = {
        "containers": [{"name": "main", "image": "a:1"}],
        "initContainers": [
            {"name": "proxy", "image": "a:1", "restartPolicy": "Always", "ports": [port]}
        ],
    }
    metadata = {"name": "web", "labels": {"app": "web"}}
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    if name != "Pod":
        template = {"metadata": metadata, "spec": spec}
        pod = {
            "apiVersion": "apps/v1",
            "kind": name,
            "metadata": {"name": "web"},
            "spec": {"template": template},
        }
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    web = service(selector={"app": "web"}, ports=ports)
    found = linted(web, pod, rule="PR401").findings
    assert bool(found) == (protocol == "UDP")
    # A Service that selects nothing may have slices from elsewhere.
    assert not linted(service(ports=ports), pod, rule="PR401").findings


def test_networks_of_the_plugin_are_not_known() -> None:
    """Where most endpoints are outside, the networks that are known are not those of Pods."""
    ips = ["10.0.0.1", "10.0.0.2", "10.244.1.2"]
    report = linted(service(), slice_of(*ips), node("10.244.1.0/24"), rule="PR404")
    assert not report.findings
    reason = "most IPv4 endpoints are in none of 10.244.1.0/24"
    assert report.unchecked == (("PR404", reason),)
    assert not linted(service(), slice_of(*ips), rule="PR404").findings


def test_an_address_of_a_node_is_a_pod_with_host_network() -> None:
    one = slice_of("10.244.1.2", "172.18.0.3")
    assert not linted(service(), one, node("10.244.1.0/24"), rule="PR404").findings
    moved = node("10.244.1.0/24", ip="172.18.0.4")
    (found,) = linted(service(), one, moved, rule="PR404").findings
    assert "172.18.0.3 on worker-1 is in no pod network (10.244.1.0/24)" in found.message


@pytest.mark.parametrize(("count", "expected"), [(1000, False), (1001, True)])
def test_comments_vanish_where_lint_says_so(count: int, expected: bool) -> None:
    objects = [service(), slice_of(*(f"10.244.{n // 250}.{n % 250 + 1}" for n in range(count)))]
    assert bool(linted(*objects, rule="PR406").findings) == expected
    whole = {"apiVersion": "v1", "kind": "List", "items": objects}
    text = compile_rules([Source("input.json", json.dumps(whole).encode())]).text
    assert ("default/web:http -> 10.244.0.1:8080" not in text) == expected


@pytest.mark.parametrize(
    ("host_ip", "addresses", "expected"),
    [
        (None, "", True),
        ("0.0.0.0", "", True),
        ("127.0.0.1", "", False),
        ("172.18.0.3", "", True),
        ("172.18.0.3", "[192.168.0.0/16]", False),
        (None, "[192.168.0.0/16]", False),
        (None, "[172.18.0.0/16]", True),
        (None, "[localhost]", False),
        ("fc00::1", "", False),
    ],
)
def test_host_ports_on_other_addresses(host_ip: str | None, addresses: str, expected: bool) -> None:
    web = service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    port = {"containerPort": 80, "hostPort": 30080, **({"hostIP": host_ip} if host_ip else {})}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other"},
        "spec": {"containers": [{"name": "main", "image": "a:1", "ports": [port]}]},
    }
    config = (
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        f"nodePortAddresses: {addresses or '[]'}\n"
    )
    found = linted(web, pod, node(), rule="PR407", config=config).findings
    assert bool(found) == expected
