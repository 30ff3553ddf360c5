"""Whole messages for bad input: every problem in one run, nothing written, exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.cases import FIXTURES
from tests.run import Runner

LABEL = "must be at most 63 of a-z, 0-9 and -, with a letter or digit at both ends"
PORT = "must be between 1 and 65535"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
SLICE = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1}\n"
CONFIG = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"

YAML_CASES = {
    "not a mapping": ("- a\n", ["m:1:1: expected a Kubernetes object, found a list; a mapping with apiVersion and kind"]),
    "no kind": ("a: 1\n", ["m:1:1: kind: missing; such as Service or List"]),
    "no version": ("kind: Node\nmetadata: {name: n}\n", ["m:1:1: apiVersion: missing; v1"]),
    "old version": (
        "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\n",
        ['m:1:13: apiVersion: "discovery.k8s.io/v1beta1" is not supported; discovery.k8s.io/v1'],
    ),
    "syntax": (
        "a: [1\nb: 2\n",
        ["m:2:2: not YAML: expected ',' or ']', but got ':' (while parsing a flow sequence)"],
    ),
    "syntax in two documents": (
        "a: 'x\n---\nb: 'y\n",
        [
            "m:1:4: not YAML: found unexpected end of stream (while scanning a quoted scalar)",
            "m:3:4: not YAML: found unexpected end of stream (while scanning a quoted scalar)",
        ],
    ),
    "tab": (
        "kind: Service\nspec:\n\ttype: ClusterIP\n",
        ["m:3:1: not YAML: a tab in the indentation; YAML is indented with spaces"],
    ),
    "control character": (
        "a: \0\n",
        ['m:1:4: the character U+0000 is not allowed in YAML; write it as "\\u…" in double quotes'],
    ),
    "unknown version": (
        "%YAML 1.11\n---\na: 1\n",
        ["m:1:1: not YAML: version minor part can only be 2 or 1, got (1, 11)"],
    ),
    "unknown alias": ("a: *b\n", ["m:1:4: not YAML: found undefined alias 'b'"]),
    "alias in itself": ("a: &a [*a]\n", ["m:1:4: an alias inside the value that it names; a finite value"]),
    "number as a key": ("1.5: a\n", ['m:1:1: the key 1.5 is not a string; quote it: "1.5"']),
    "duplicate key": (
        SERVICE + "spec:\n  type: ClusterIP\n  type: NodePort\n",
        ["m:6:3: Service default/web: spec.type: duplicate key (first at line 5)"],
    ),
    "wrong types": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: 1, labels: [a]}\n"
        "spec: {ports: {port: 80}, clusterIPs: [7]}\n",
        [
            'm:3:18: Service: metadata.name: expected a string, found the number 1; quote it: "1"',
            "m:3:29: Service: metadata.labels: expected a mapping, found a list",
            "m:4:15: Service: spec.ports: expected a list, found a mapping",
            'm:4:40: Service: spec.clusterIPs[0]: expected a string, found the number 7; quote it: "7"',
        ],
    ),
    "missing name": (
        "apiVersion: v1\nkind: Service\n",
        ["m:1:1: Service: metadata.name: missing; every object needs a name"],
    ),
    "names": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: Web, namespace: a_b}\n",
        [
            f'm:3:18: Service a_b/Web: metadata.name: invalid name "Web"; {LABEL}',
            f'm:3:34: Service a_b/Web: metadata.namespace: invalid namespace "a_b"; {LABEL}',
        ],
    ),
    "unknown words": (
        SERVICE + "spec:\n  type: Clusterip\n  sessionAffinity: clientIP\n  internalTrafficPolicy: local\n"
        "  externalTrafficPolicy: ''\n  ports: [{port: 80, protocol: tcp}]\n",
        [
            'm:5:9: Service default/web: spec.type: unsupported value "Clusterip"; '
            "supported values: ClusterIP, NodePort, LoadBalancer, ExternalName",
            'm:6:20: Service default/web: spec.sessionAffinity: unsupported value "clientIP"; supported values: None, ClientIP',
            'm:7:26: Service default/web: spec.internalTrafficPolicy: unsupported value "local"; supported values: Cluster, Local',
            'm:9:32: Service default/web: spec.ports[0].protocol: unsupported value "tcp"; supported values: TCP, UDP, SCTP',
        ],
    ),
    "numbers out of range": (
        SERVICE + "spec:\n  ports: [{port: 0, name: a, nodePort: -1}, {name: b, port: 65536}, {name: c}]\n"
        "  healthCheckNodePort: 65536\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}\n",
        [
            f"m:5:18: Service default/web: spec.ports[0].port: invalid port 0; {PORT}",
            f"m:5:40: Service default/web: spec.ports[0].nodePort: invalid port -1; {PORT}",
            f"m:5:61: Service default/web: spec.ports[1].port: invalid port 65536; {PORT}",
            f"m:5:69: Service default/web: spec.ports[2].port: missing; {PORT}",
            f"m:6:24: Service default/web: spec.healthCheckNodePort: invalid port 65536; {PORT}",
            "m:7:54: Service default/web: spec.sessionAffinityConfig.clientIP.timeoutSeconds: "
            "0 is out of range; must be between 1 and 86400 seconds",
        ],
    ),
    "port names": (
        SERVICE + "spec: {ports: [{port: 1}, {port: 2, name: b}, {port: 3, name: b}]}\n",
        [
            "m:4:16: Service default/web: spec.ports[0].name: missing; every port of a Service with several ports needs a name",
            'm:4:63: Service default/web: spec.ports[2].name: duplicate port name "b"; port names must be unique',
        ],
    ),
    "cluster IPs": (
        SERVICE + "spec:\n  clusterIP: 010.0.0.1\n  clusterIPs: [10.0.0.1, fd00::g]\n  ipFamilies: [IPv6, ipv4, IPv6]\n",
        [
            'm:5:14: Service default/web: spec.clusterIP: "010.0.0.1" is not an IP address; use one like 10.96.0.10',
            'm:6:16: Service default/web: spec.clusterIPs[0]: "10.0.0.1" differs from clusterIP "010.0.0.1"; '
            "the first of clusterIPs must equal clusterIP",
            'm:6:26: Service default/web: spec.clusterIPs[1]: "fd00::g" is not an IP address; use one like 10.96.0.10',
            'm:7:16: Service default/web: spec.ipFamilies[0]: "IPv6" has the cluster IP 10.0.0.1; '
            "clusterIPs must be in the order of ipFamilies",
            'm:7:22: Service default/web: spec.ipFamilies[1]: unsupported value "ipv4"; supported values: IPv4, IPv6',
            'm:7:28: Service default/web: spec.ipFamilies[2]: "IPv6" has no cluster IP; clusterIPs needs one address per family',
        ],
    ),
    "endpoints": (
        SLICE + "addressType: IPv4\nports: [{port: 70000, protocol: ICMP, name: A}]\n"
        "endpoints: [{}, {addresses: [10.0.0]}, {addresses: [10.0.0.1, x]}]\n",
        [
            f"m:5:16: EndpointSlice default/web-1: ports[0].port: invalid port 70000; {PORT}",
            'm:5:33: EndpointSlice default/web-1: ports[0].protocol: unsupported value "ICMP"; supported values: TCP, UDP, SCTP',
            f'm:5:45: EndpointSlice default/web-1: ports[0].name: invalid port name "A"; {LABEL}',
            "m:6:13: EndpointSlice default/web-1: endpoints[0].addresses: missing; every endpoint needs at least one address",
            'm:6:30: EndpointSlice default/web-1: endpoints[1].addresses[0]: "10.0.0" is not an IP address; must be an IPv4 address',
            'm:6:63: EndpointSlice default/web-1: endpoints[2].addresses[1]: "x" is not an IP address; must be an IPv4 address',
        ],
    ),
    "addresses of a special use": (
        SERVICE + "spec: {clusterIP: 0.0.0.0, clusterIPs: [0.0.0.0, '::1'], externalIPs: [127.0.0.1, 224.0.0.1, 239.1.1.1, 'fe80::1']}\n"
        "---\n" + SERVICE.replace("web", "b") + "spec: {clusterIP: 127.0.0.1, ports: [{port: 80}]}\n"
        "---\n" + SERVICE.replace("web", "c") + "spec: {clusterIP: 224.0.0.1, clusterIPs: [224.0.0.1], ipFamilies: [IPv4]}\n"
        "---\n" + SERVICE.replace("web", "d") + "spec: {clusterIP: 169.254.1.1}\n"
        "---\n" + SLICE + "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}, {addresses: [169.254.1.1]}]\n",
        [
            "m:4:19: Service default/web: spec.clusterIP: 0.0.0.0 is an unspecified address; it can't be a cluster IP",
            "m:4:41: Service default/web: spec.clusterIPs[0]: 0.0.0.0 is an unspecified address; it can't be a cluster IP",
            "m:4:50: Service default/web: spec.clusterIPs[1]: ::1 is a loopback address; it can't be a cluster IP",
            "m:4:72: Service default/web: spec.externalIPs[0]: 127.0.0.1 is a loopback address; it can't be an external IP",
            "m:4:83: Service default/web: spec.externalIPs[1]: 224.0.0.1 is a link-local multicast address; it can't be an external IP",
            "m:4:105: Service default/web: spec.externalIPs[3]: fe80::1 is a link-local address; it can't be an external IP",
            "m:9:19: Service default/b: spec.clusterIP: 127.0.0.1 is a loopback address; it can't be a cluster IP",
            "m:14:19: Service default/c: spec.clusterIP: 224.0.0.1 is a link-local multicast address; it can't be a cluster IP",
            "m:14:43: Service default/c: spec.clusterIPs[0]: 224.0.0.1 is a link-local multicast address; it can't be a cluster IP",
            "m:25:51: EndpointSlice default/web-1: endpoints[1].addresses[0]: 169.254.1.1 is a link-local address; it can't be an endpoint",
        ],
    ),
    "address type": (SLICE, ["m:1:1: EndpointSlice default/web-1: addressType: missing; supported values: IPv4, IPv6, FQDN"]),
    "node": (
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDRs: [10.0.0.0]}\n"
        "status: {addresses: [{type: InternalIP, address: n.example}]}\n",
        [
            'm:4:19: Node n1: spec.podCIDRs[0]: "10.0.0.0" is not a CIDR; use one like 10.244.1.0/24',
            'm:5:50: Node n1: status.addresses[0].address: "n.example" is not an IP address; the address of type InternalIP must be one',
        ],
    ),
    "the same twice": (
        SERVICE + "---\n" + SERVICE,
        ["m:7:18: Service default/web: metadata.name: duplicate object, first at m:3:18; an object can appear only once"],
    ),
    "one node port or cluster IP for two": (
        "".join(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n"
            f"spec: {{clusterIP: 10.0.0.1, ports: [{{port: 80, nodePort: 30000}}]}}\n---\n"
            for name in "ab"
        ),
        [
            "m:9:44: Service default/b: spec.ports[0].port: cluster IP 10.0.0.1 port 80/TCP is used twice, "
            "first at m:4:44; a cluster IP and port can belong to only one Service",
            "m:9:58: Service default/b: spec.ports[0].nodePort: node port 30000/TCP is used twice, "
            "first at m:4:58; a node port can belong to only one Service",
        ],
    ),
    "tags that don't fit": (
        "a: !!int\nb: !!bool x\n",
        ["m:1:4: invalid value: out of range, or not of its type; quote it if it is a string"],
    ),
    "neither JSON": (
        "{apiVersion: v1, kind: Service}\n",
        ["m:1:1: Service: metadata.name: missing; every object needs a name"],
    ),
    "JSON with markers": (
        '{"apiVersion": "v1", "kind": "Service"}\n---\n{"apiVersion": "v1", "kind": "Node"}\n',
        [
            "m:1:1: Service: metadata.name: missing; every object needs a name",
            "m:3:1: Node: metadata.name: missing; every object needs a name",
        ],
    ),
    "an alias with tab in its name": ("b: *tables\n", ["m:1:4: not YAML: found undefined alias 'tables'"]),
    "one cluster IP written two ways": (
        "".join(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n"
            f"spec: {{clusterIP: '{ip}', ports: [{{port: 80}}]}}\n---\n"
            for name, ip in (("a", "fd00::1"), ("b", "fd00:0::1"))
        ),
        [
            "m:9:47: Service default/b: spec.ports[0].port: cluster IP fd00:0::1 port 80/TCP is used twice, "
            "first at m:4:45; a cluster IP and port can belong to only one Service",
        ],
    ),
    "a list of an old version": (
        "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSliceList\nitems: [{}]\n",
        ['m:1:13: apiVersion: "discovery.k8s.io/v1beta1" is not supported; discovery.k8s.io/v1'],
    ),
    "in a list": (
        "apiVersion: v1\nkind: List\nitems:\n- 7\n- apiVersion: v1\n  kind: Service\n",
        [
            "m:4:3: items[0]: expected a Kubernetes object, found the number 7; a mapping with apiVersion and kind",
            "m:5:3: Service: metadata.name: missing; every object needs a name",
        ],
    ),
}  # fmt: skip


def assert_refused(proxyrules: Runner, arguments: list[str | Path], messages: list[str]) -> None:
    result = proxyrules("compile", *arguments)
    told = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert told == messages
    assert (result.code, result.out) == (2, "")


@pytest.mark.parametrize("name", YAML_CASES)
def test_yaml(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    text, messages = YAML_CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("m").write_text(text)
    assert_refused(proxyrules, ["m"], messages)


JSON_CASES = {
    "syntax": ('{"kind": }', ["m:1:10: not JSON: expecting value"]),
    "not closed": ('{\n "kind": "List",\n', ["m:3:1: not JSON: expecting property name enclosed in double quotes"]),
    "second document": (
        '{"kind":"Pod","apiVersion":"v1"}\n[1]\nx',
        [
            "m:2:1: expected a Kubernetes object, found a list; a mapping with apiVersion and kind",
            "m:3:1: not JSON: expecting value",
        ],
    ),
    "duplicate key": (
        '{"apiVersion":"v1","kind":"Service",\n "metadata":{"name":"a",\n  "name":"b"}}',
        ["m:3:3: Service default/b: metadata.name: duplicate key (first at line 2)"],
    ),
    "NaN": ('{"a": NaN}', ["m:1:1: NaN is not JSON; a plain JSON value"]),
    "wrong type deep inside": (
        '{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Service",\n'
        ' "metadata":{"name":"a"},"spec":{"ports":[{"port":1},{"name":"b",\n   "port":"x"}]}}]}',
        [
            'm:2:43: Service default/a: spec.ports[0].name: missing; every port of a Service with several ports needs a name',
            'm:3:11: Service default/a: spec.ports[1].port: expected a whole number, found the string "x"',
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", JSON_CASES)
def test_json(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    text, messages = JSON_CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("m").write_text(text)
    assert_refused(proxyrules, ["m"], messages)


def test_far_too_many_ports_are_one_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    """Each of them would have a problem of its own, in minutes and gigabytes."""
    monkeypatch.setattr("compiler.manifests.validate.MAX_SERVICE_PORTS", 3)
    monkeypatch.chdir(tmp_path)
    Path("m").write_text(SERVICE + "spec:\n  clusterIP: 10.0.0.1\n  ports: [{}, {}, {}, {}]\n")
    message = "4 ports; a Service can have at most 3, one per number and protocol"
    assert_refused(proxyrules, ["m"], [f"m:6:10: Service default/web: spec.ports: {message}"])


def service_with_ports(count: int, bad: int | None = None) -> str:
    """Write a Service in block style, with ports as a Service may have them and perhaps one bad."""
    lines = ["apiVersion: v1", "kind: Service", "metadata:", "  name: web", "spec:"]
    lines += ["  clusterIP: 10.96.0.10", "  ports:"]
    for number in range(count):
        port = 70_000 if number == bad else number % 65_535 + 1
        lines += [f"  - name: p{number}", f"    port: {port}"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("is_item", [False, True])
@pytest.mark.parametrize("limit", [None, 100])
def test_a_document_that_is_too_long_to_be_composed_has_exact_places(
    limit: int | None,
    is_item: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxyrules: Runner,
) -> None:
    """What the slow reader may read doesn't matter for text in block style."""
    if limit:
        monkeypatch.setattr("compiler.yaml.composed.MAX_LINE", limit)
        monkeypatch.setattr("compiler.yaml.composed.MAX_TEXT", limit)
    monkeypatch.chdir(tmp_path)
    text = service_with_ports(20, bad=12).replace("port: 6\n", "port: 6.5\n")
    line, column = 19, 11
    if is_item:
        text = "apiVersion: v1\nitems:\n- " + text.replace("\n", "\n  ")[:-2] + "kind: List\n"
        line, column = line + 2, 13
    Path("m").write_text(text)
    messages = [
        f"m:{line}:{column}: Service default/web: spec.ports[5].port: expected a whole number, found the number 6.5",
        f"m:{line + 14}:{column}: Service default/web: spec.ports[12].port: invalid port 70000; {PORT}",
    ]
    assert_refused(proxyrules, ["m"], messages)


def test_a_bad_port_among_very_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    """The document is larger than what the slow reader takes, and was a crash."""
    monkeypatch.chdir(tmp_path)
    Path("m").write_text(
        service_with_ports(65_535 * 2, bad=100_000).replace("port: 70000", "port: 0")
    )
    lines = Path("m").read_text().split("\n")
    problem = f"Service default/web: spec.ports[100000].port: invalid port 0; {PORT}"
    result = proxyrules("compile", "m")
    assert (result.code, result.out) == (2, "")
    assert f"m:{lines.index('    port: 0') + 1}:11: {problem}" in result.err.splitlines()


def test_a_quarter_million_ports_are_one_problem_before_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m").write_text(service_with_ports(250_000))
    message = "250000 ports; a Service can have at most 196605, one per number and protocol"
    assert_refused(proxyrules, ["m"], [f"m:8:3: Service default/web: spec.ports: {message}"])


def test_position_in_a_large_json_dump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    """Where msgspec reads alone, a problem still has its line and column."""
    monkeypatch.chdir(tmp_path)
    items = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{n}"}, "spec": {"type": "ClusterIP"}}
        for n in range(15_000)
    ]  # fmt: skip
    items[12_345]["spec"] = {"type": "Nodeport"}
    Path("m").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": items}, indent=1))
    line = Path("m").read_text().split("\n").index('    "type": "Nodeport"') + 1
    wanted = 'spec.type: unsupported value "Nodeport"; supported values: ClusterIP, NodePort, LoadBalancer, ExternalName'
    assert_refused(proxyrules, ["m"], [f"m:{line}:13: Service default/s12345: {wanted}"])


CONFIG_CASES = {
    "mode": (CONFIG + "mode: nftables\n", ['k:3:7: KubeProxyConfiguration: mode: mode "nftables" is not supported; use --proxy-mode iptables to see its iptables rules']),
    "mark bit": (CONFIG + "iptables: {masqueradeBit: 32}\n", ["k:3:27: KubeProxyConfiguration: iptables.masqueradeBit: masqueradeBit 32 is out of range; must be between 0 and 31"]),
    "cluster CIDRs": (
        CONFIG + "clusterCIDR: 10.0.0.0/8,11.0.0.0/8,x\n",
        [
            "k:3:14: KubeProxyConfiguration: clusterCIDR: more than one IPv4 CIDR; there can be one per family",
            'k:3:14: KubeProxyConfiguration: clusterCIDR: "x" is not a CIDR; use one per family, like 10.244.0.0/16,fd00:10:244::/56',
        ],
    ),
    "bridge": (
        CONFIG + 'detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: "a/b"}\n',
        ['k:4:32: KubeProxyConfiguration: detectLocal.bridgeInterface: invalid interface name "a/b"; must be at most 15 of letters, digits, -, _, . and @'],
    ),
    "no bridge": (
        CONFIG + "detectLocalMode: BridgeInterface\n",
        ["k:1:1: KubeProxyConfiguration: detectLocal.bridgeInterface: missing; detectLocalMode BridgeInterface needs the name of the pods' bridge"],
    ),
    "detect mode": (
        CONFIG + "detectLocalMode: clusterCIDR\n",
        ['k:3:18: KubeProxyConfiguration: detectLocalMode: unsupported value "clusterCIDR"; supported values: ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix'],
    ),
    "types": (
        CONFIG + "conntrack: {tcpBeLiberal: 'no'}\nfeatureGates: {A: 1}\n",
        [
            'k:3:27: KubeProxyConfiguration: conntrack.tcpBeLiberal: expected true or false, found the string "no"',
            "k:4:19: KubeProxyConfiguration: featureGates.A: expected true or false, found the number 1",
        ],
    ),
    "two of them": (
        f"{CONFIG}---\n{CONFIG}",
        ["k:4:1: KubeProxyConfiguration: there is a second KubeProxyConfiguration; give only one of them"],
    ),
    "no version": (
        "kind: KubeProxyConfiguration\n",
        ["k:1:1: KubeProxyConfiguration: apiVersion: missing; must be kubeproxy.config.k8s.io/v1alpha1"],
    ),
    "node-port addresses of other types": (
        f"{CONFIG}nodePortAddresses: [1, {{a: b}}]\n",
        [
            'k:3:21: KubeProxyConfiguration: nodePortAddresses[0]: expected a string, found the number 1; quote it: "1"',
            "k:3:24: KubeProxyConfiguration: nodePortAddresses[1]: expected a string, found a mapping",
        ],
    ),
    "other kind": ("kind: Pod\n", ["k: no KubeProxyConfiguration in Pod; give one, a ConfigMap that has one, or the Pod of kube-proxy"]),
    "empty": ("", ["k: no KubeProxyConfiguration: the text is empty; give one, a ConfigMap that has one, or the Pod of kube-proxy"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIG_CASES)
def test_configuration(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    text, messages = CONFIG_CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("k").write_text(text)
    assert_refused(
        proxyrules, [FIXTURES / "seed-affinity-none" / "input.yaml", "-c", "k"], messages
    )


NODES = "worker-1, worker-2"
OPTION_CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "local policy without a node": (
        "nodeport-local",
        [],
        [f"--node is required: the rules of Service default/web:http depend on it (externalTrafficPolicy: Local); nodes: {NODES}"],
    ),
    "zone hints without a node": (
        "zone-hints",
        [],
        [f"--node is required: the rules of Service default/web:http depend on it (hints.forZones); nodes: {NODES}"],
    ),
    "unknown node": ("no-endpoints", ["--node", "w"], [f'--node: no Node "w" in the manifests; nodes: {NODES}']),
    "node CIDRs of a Node that is not there": (
        "seed-affinity-none",
        ["--detect-local-mode", "NodeCIDR", "--node", "somewhere"],
        ["--node: the Node somewhere is not in the manifests, and the rules depend on it (detectLocalMode: NodeCIDR); add the output of kubectl get nodes -o yaml"],
    ),
    "several things at once": (
        "no-endpoints",
        ["--nfacct", "--kube-version", "1.30", "--node", "nope", "--nodeport-addresses", "primary"],
        [
            "--nfacct: kube-proxy 1.30 does not use nfacct; use Kubernetes 1.31 or later",
            '--nodeport-addresses: "primary" is not supported in Kubernetes 1.30; use Kubernetes 1.31 or later',
            f'--node: no Node "nope" in the manifests; nodes: {NODES}',
        ],
    ),
    "version": ("no-endpoints", ["--kube-version", "1.29"], ["--kube-version: Kubernetes 1.29 is not supported; use 1.30 to 1.37"]),
    "not a version": ("no-endpoints", ["--kube-version", "new"], ['--kube-version: "new" is not a Kubernetes version; use 1.30 to 1.37']),
    "nfacct too early": (
        "no-endpoints",
        ["--nfacct", "--kube-version", "1.30"],
        ["--nfacct: kube-proxy 1.30 does not use nfacct; use Kubernetes 1.31 or later"],
    ),
    "node address": ("no-endpoints", ["--node-address", "x"], ['--node-address: "x" is not an IP address; use one like 192.168.0.2']),
    "primary too early": (
        "no-endpoints",
        ["--nodeport-addresses", "primary", "--kube-version", "1.30", "--node", "worker-1"],
        ['--nodeport-addresses: "primary" is not supported in Kubernetes 1.30; use Kubernetes 1.31 or later'],
    ),
    "words beside primary too early": (
        "no-endpoints",
        ["--nodeport-addresses", "primary,10.0.0.0/8", "--kube-version", "1.36", "--node", "worker-1"],
        ['--nodeport-addresses: "primary" beside other entries is not supported in Kubernetes 1.36; use "primary" alone, or Kubernetes 1.37 or later'],
    ),
    "node-port addresses without a node": (
        "no-endpoints",
        ["--nodeport-addresses", "172.18.0.0/16"],
        [f"--node is required: the rules depend on it (nodePortAddresses); nodes: {NODES}"],
    ),
    "a flag's value": ("no-endpoints", ["--cluster-cidr", "10.0.0.0"], ['--cluster-cidr: "10.0.0.0" is not a CIDR; use one per family, like 10.244.0.0/16,fd00:10:244::/56']),
    "a flag that is not a boolean": (
        "no-endpoints",
        ["--masquerade-all", "maybe"],
        ['--masquerade-all: "maybe" is not a boolean; use true or false'],
    ),
    "several": (
        "no-endpoints",
        ["--kube-version", "2.0", "--iptables-masquerade-bit", "40", "--bind-address", "here"],
        [
            "--kube-version: Kubernetes 2.0 is not supported; use 1.30 to 1.37",
            "--iptables-masquerade-bit: masqueradeBit 40 is out of range; must be between 0 and 31",
            '--bind-address: "here" is not an IP address; must be 0.0.0.0, :: or an address of the node',
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTION_CASES)
def test_options(name: str, proxyrules: Runner) -> None:
    fixture, options, messages = OPTION_CASES[name]
    assert_refused(proxyrules, [FIXTURES / fixture / "input.yaml", *options], messages)


def test_node_cidrs_that_differ_need_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m").write_text(
        "".join(
            f"apiVersion: v1\nkind: Node\nmetadata: {{name: n{n}}}\nspec: {{podCIDRs: [10.0.{n}.0/24]}}\n---\n"
            for n in (1, 2)
        )
        + SERVICE
        + "spec: {clusterIP: 10.9.0.1, ports: [{port: 80}]}\n---\n"
        + SLICE.replace("{name: web-1}", "{name: web-1, labels: {kubernetes.io/service-name: web}}")
        + "addressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [10.0.1.1]}]\n"
    )
    message = (
        "--node is required: the rules depend on it (detectLocalMode: NodeCIDR); nodes: n1, n2"
    )
    assert_refused(proxyrules, ["m", "--detect-local-mode", "NodeCIDR"], [message])


def without_nodes(fixture: str, tmp_path: Path) -> Path:
    documents = (FIXTURES / fixture / "input.yaml").read_text().split("---\n")
    manifest = tmp_path / "m.yaml"
    manifest.write_text("---\n".join(d for d in documents if "kind: Node\n" not in d))
    return manifest


@pytest.mark.parametrize("node", [[], ["--node", "worker-1"]])
@pytest.mark.parametrize(
    ("fixture", "options", "reason"),
    [
        ("loadbalancer-source-ranges-with-node", [], "loadBalancerSourceRanges"),
        ("zone-hints", [], "hints.forZones"),
        ("no-endpoints", ["--nodeport-addresses", "172.18.0.0/16"], "nodePortAddresses"),
        ("nodeport-cluster", ["--detect-local-mode", "NodeCIDR"], "detectLocalMode: NodeCIDR"),
    ],
)
def test_a_node_that_is_not_there_is_asked_for(
    fixture: str,
    options: list[str],
    reason: str,
    node: list[str],
    tmp_path: Path,
    proxyrules: Runner,
) -> None:
    result = proxyrules("compile", without_nodes(fixture, tmp_path), *options, *node)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    which, it = ("the Node worker-1 is", "it") if node else ("Nodes are", "them")
    assert result.err.startswith(f"--node: {which} not in the manifests, and the rules")
    assert result.err.endswith(
        f" depend on {it} ({reason}); add the output of kubectl get nodes -o yaml\n"
    )


def test_addresses_of_the_command_line_stand_in_for_a_node(
    tmp_path: Path, proxyrules: Runner
) -> None:
    manifest = without_nodes("loadbalancer-source-ranges-with-node", tmp_path)
    options = ["--bind-address", "172.18.0.2", "--nodeport-addresses", "172.18.0.0/16"]
    result = proxyrules("compile", manifest, *options, "--node-address", "172.18.0.2")
    assert result.code == 0, result.err
    assert "-s 198.51.100.7 -j KUBE-EXT-" in result.out
    assert "-d 172.18.0.2 -j KUBE-NODEPORTS" in result.out


def test_misspelt_field_is_a_warning_with_the_nearest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        SERVICE
        + "spec:\n  clusterIP: 10.0.0.1\n  sessionAfinity: ClientIP\n  ports: [{port: 80, nodeport: 1}]\n"
    )
    Path("m.yaml").write_text(text)
    result = proxyrules("compile", "m.yaml")
    assert result.code == 0
    assert result.err.splitlines() == [
        "warning: m.yaml:6:3: Service default/web: spec.sessionAfinity: no such field, so it has no effect; did you mean sessionAffinity?",
        "warning: m.yaml:7:22: Service default/web: spec.ports[0].nodeport: no such field, so it has no effect; did you mean nodePort?",
    ]  # fmt: skip


def test_no_warning_for_fields_of_the_api(proxyrules: Runner, tmp_path: Path) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "uid": "1", "generation": 1, "ownerReferences": []},
        "spec": {
            "allocateLoadBalancerNodePorts": True,
            "clusterIP": "10.0.0.1",
            "externalName": "x",
            "ipFamilyPolicy": "SingleStack",
            "loadBalancerClass": "a",
            "loadBalancerIP": "10.0.0.2",
            "publishNotReadyAddresses": True,
            "selector": {"app": "web"},
            "trafficDistribution": "PreferClose",
            "ports": [{"port": 80, "targetPort": 80, "appProtocol": "http"}],
        },
        "status": {"conditions": [], "loadBalancer": {"ingress": [{"hostname": "h", "ports": []}]}},
    }
    manifest = tmp_path / "m.json"
    manifest.write_text(json.dumps(service))
    assert proxyrules("compile", manifest).err == ""


def test_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m").write_bytes(b"a: 1\nb: \xff\n")
    assert_refused(proxyrules, ["m"], ["m:2:4: not UTF-8: the byte 0xff; save the file as UTF-8"])


def test_files_that_cant_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("bad.yaml").write_text("kind: [")
    hint = "name a file, a folder or `-` for standard input"
    assert_refused(
        proxyrules,
        ["nothing", "empty", "-c", "none"],
        [
            f"none: can't be read: no such file or directory; {hint}",
            f"nothing: can't be read: no such file or directory; {hint}",
            "empty: no manifests in this folder; a folder with *.yaml, *.yml, *.json files",
        ],
    )


def test_output_stays_as_it_was(tmp_path: Path, proxyrules: Runner) -> None:
    output = tmp_path / "rules"
    output.write_text("before")
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: [")
    assert proxyrules("compile", bad, "-o", output).code == 2
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml", "rules"]


def test_many_problems_are_counted(tmp_path: Path, proxyrules: Runner) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text("---\n".join("apiVersion: v1\nkind: Service\n" for _ in range(150)))
    lines = proxyrules("compile", manifest).err.splitlines()
    assert len(lines) == 101
    assert lines[-1] == "... and 50 more problems"


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
HOSTILE = {
    "alias bomb": (BOMB.encode(), "aliases expand to more than 1000000 values"),
    "deep flow lists": (b"[" * 10_000, "nested deeper than 100 levels"),
    "somewhat deep": (b"a: " + b"[" * 400 + b"]" * 400, "nested deeper than 100 levels"),
    "somewhat deep JSON": (b'{"a":' * 975 + b"1" + b"}" * 975, "nested deeper than 100 levels"),
    "long hexadecimal number": (b"a: 0x" + b"f" * 5_000, "kind: missing"),
    "much YAML that is slow to read": (
        b"? a\n: 1\n" * 500_000,
        "MiB of YAML that only the slow reader",
    ),
    "deep JSON": (b'{"a":' * 10_000, "nested deeper than 100 levels"),
    "deep block mappings": (
        "".join(f"{' ' * n}a:\n" for n in range(1_000)).encode(),
        "nested deeper than 100 levels",
    ),
    "deeper block mappings": (
        "".join(f"{' ' * n}a:\n" for n in range(10_000)).encode(),
        "47 MiB of YAML that only the slow reader supports",
    ),
    "100 MB of NUL": (bytes(100_000_000), "a line of 100000000 characters; at most 3145728"),
    "100 MB of 0": (b"0" * 100_000_000, "a line of 100000000 characters; at most 3145728"),
    "long number": (b"a: " + b"9" * 100_000, "kind: missing"),
}

# Runs compile with its memory limited to 1 GB, which 100 MB of input must not need.
LIMITED = textwrap.dedent("""
    import resource, sys
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    from compiler.cli import main
    main()
""")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_ends_in_a_clear_error(name: str, tmp_path: Path) -> None:
    text, wanted = HOSTILE[name]
    manifest = tmp_path / "m"
    manifest.write_bytes(text)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "compile", manifest],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert wanted in done.stderr.decode()
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
