"""What kube-proxy passes over in silence: whole warnings, and none where all is well."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from compiler.api import compile_rules, complete_manifests
from compiler.manifests.reader import read_manifests
from compiler.manifests.source import Source, read_source
from tests.cases import FIXTURE_CASES
from tests.run import Runner

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
PROXIED = SERVICE + "spec: {clusterIP: 10.96.0.1, ports: [{port: 80, name: http}]}\n---\n"
SLICE = (
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
    "metadata: {name: web-x7k2p, labels: {kubernetes.io/service-name: web}}\n"
    "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]\n"
)
ENDPOINTS = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\n---\n"
ADD_SLICES = "add the EndpointSlices: kubectl get endpointslices -o yaml"
NO_SLICES = "kube-proxy does not read Endpoints, and no EndpointSlice has these"

CASES: dict[str, tuple[str, list[str]]] = {
    "a Service without cluster IP": (
        SERVICE + "spec:\n  ports: [{port: 80}]\n",
        ["m:5:3: Service default/web: spec.clusterIP: missing, so kube-proxy skips this Service; "
         "the API server assigns one, as --from-workloads does"],
    ),
    "a Service with an empty cluster IP": (
        SERVICE + "spec:\n  ports: [{port: 80}]\n  clusterIP: ''\n",
        ["m:6:14: Service default/web: spec.clusterIP: missing, so kube-proxy skips this Service; "
         "the API server assigns one, as --from-workloads does"],
    ),
    "clusterIPs alone": (
        SERVICE + "spec: {ports: [{port: 80}], clusterIPs: [10.96.0.1]}\n",
        ["m:4:7: Service default/web: spec.clusterIP: missing, so kube-proxy skips this Service; "
         'set it to the first of clusterIPs, "10.96.0.1"'],
    ),
    "Services that have none on purpose": (
        SERVICE.replace("web", "a") + "spec: {clusterIP: None, ports: [{port: 80}]}\n---\n"
        + SERVICE.replace("web", "b") + "spec: {type: ExternalName, ports: [{port: 80}]}\n---\n"
        + SERVICE.replace("web", "c, labels: {service.kubernetes.io/service-proxy-name: x}")
        + "spec: {ports: [{port: 80}]}\n---\n" + SERVICE.replace("web", "d") + "spec: {}\n",
        [],
    ),
    "a kind in the wrong case": (
        "apiVersion: v1\nkind: service\nmetadata: {name: web, namespace: shop}\n---\n"
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlices\n---\n"
        "apiVersion: v1\nkind: list\nitems: []\n---\n"
        "apiVersion: example.com/v1\nkind: service\n",
        ['m:2:7: Service shop/web: kind: there is no kind "service", so it is skipped; did you mean Service?',
         'm:6:7: EndpointSlice: kind: there is no kind "EndpointSlices", so it is skipped; did you mean EndpointSlice?',
         'm:9:7: List: kind: there is no kind "list", so it is skipped; did you mean List?'],
    ),
    "a kind in the wrong group": (
        "apiVersion: v1\nkind: EndpointSlice\nmetadata: {name: web-1}\n---\n"
        "apiVersion: v1\nkind: EndpointSliceList\nitems: []\n---\n"
        "apiVersion: apps/v1\nkind: Service\n---\n"
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\n",
        ['m:1:13: EndpointSlice default/web-1: apiVersion: "v1" has no kind EndpointSlice, so it is skipped; '
         "did you mean discovery.k8s.io/v1?",
         'm:5:13: EndpointSliceList: apiVersion: "v1" has no kind EndpointSliceList, so it is skipped; '
         "did you mean discovery.k8s.io/v1?",
         'm:9:13: Service: apiVersion: "apps/v1" has no kind Service, so it is skipped; did you mean v1?'],
    ),
    "Endpoints without slices": (
        PROXIED + ENDPOINTS, [f"m:6:1: Endpoints default/web: {NO_SLICES}; {ADD_SLICES}"]
    ),
    "Endpoints in a list": (
        "apiVersion: v1\nkind: EndpointsList\nitems:\n- metadata: {name: web, namespace: shop}\n",
        [f"m:4:3: Endpoints shop/web: {NO_SLICES}; {ADD_SLICES}"],
    ),
    "Endpoints beside their slices": (PROXIED + ENDPOINTS + SLICE + "ports: [{port: 80, name: http}]\n", []),
    "Endpoints of a headless Service": (
        SERVICE + "spec: {clusterIP: None, ports: [{port: 80}]}\n---\n" + ENDPOINTS, []
    ),
    "a slice of no Service": (
        PROXIED + SLICE.replace("service-name: web", "service-name: wev"),
        ["m:8:66: EndpointSlice default/web-x7k2p: metadata.labels.kubernetes.io/service-name: there is no Service "
         "default/wev among the manifests, so this slice has no effect; did you mean web?"],
    ),
    "a slice of a Service elsewhere": (
        PROXIED.replace("name: web", "name: web, namespace: shop") + SLICE,
        ["m:8:66: EndpointSlice default/web-x7k2p: metadata.labels.kubernetes.io/service-name: there is no Service "
         "default/web among the manifests, so this slice has no effect; there is one in the namespace shop"],
    ),
    "a slice of a Service that is nowhere": (
        SLICE,
        ["m:3:66: EndpointSlice default/web-x7k2p: metadata.labels.kubernetes.io/service-name: there is no Service "
         "default/web among the manifests, so this slice has no effect; add the Service to the manifests"],
    ),
    "a slice without its label": (
        PROXIED + SLICE.replace("kubernetes.io/service-name: web", "app: web"),
        ["m:8:37: EndpointSlice default/web-x7k2p: metadata.labels: no label kubernetes.io/service-name, "
         "so kube-proxy ignores this slice; did you mean kubernetes.io/service-name: web?"],
    ),
    "a slice without labels and with another name": (
        PROXIED + SLICE.replace("name: web-x7k2p, labels: {kubernetes.io/service-name: web}", "name: x"),
        ["m:8:11: EndpointSlice default/x: metadata.labels: no label kubernetes.io/service-name, "
         "so kube-proxy ignores this slice; it names the Service that the endpoints are of"],
    ),
    "slices that kube-proxy is to ignore": (
        SLICE.replace("kubernetes.io/service-name: web", "service.kubernetes.io/headless: ''") + "---\n"
        + SLICE.replace("x7k2p, labels: {", "2, labels: {service.kubernetes.io/service-proxy-name: x, ") + "---\n"
        + SLICE.replace("x7k2p", "3").replace("IPv4", "FQDN"),
        [],
    ),
    "a port of another name": (
        PROXIED + SLICE + "ports: [{port: 8080, name: htp}]\n",
        ['m:11:9: EndpointSlice default/web-x7k2p: ports[0]: Service default/web has no TCP port "htp", '
         "so this port has no effect; did you mean name: http?"],
    ),
    "a port without the name": (
        PROXIED + SLICE + "ports: [{port: 8080}]\n",
        ["m:11:9: EndpointSlice default/web-x7k2p: ports[0]: Service default/web has no TCP port without a name, "
         "so this port has no effect; did you mean name: http?"],
    ),
    "a port of another protocol": (
        PROXIED + SLICE + "ports: [{port: 8080, name: http, protocol: UDP}]\n",
        ['m:11:9: EndpointSlice default/web-x7k2p: ports[0]: Service default/web has no UDP port "http", '
         "so this port has no effect; did you mean protocol: TCP?"],
    ),
    "a port where several may be meant": (
        PROXIED.replace("name: http}", "name: http}, {port: 53, name: dns}") + SLICE + "ports: [{port: 1, name: zzz}]\n",
        ['m:11:9: EndpointSlice default/web-x7k2p: ports[0]: Service default/web has no TCP port "zzz", '
         "so this port has no effect; its ports are http TCP, dns TCP"],
    ),
    "one port in several slices": (
        PROXIED + "".join(SLICE.replace("x7k2p", str(n)) + "ports: [{port: 80, name: htp}]\n---\n" for n in range(3)),
        ['m:11:9: EndpointSlice default/web-0: ports[0]: Service default/web has no TCP port "htp", '
         "so this port has no effect, here and in 2 more slices; did you mean name: http?"],
    ),
    "a port without number": (
        PROXIED + SLICE + "ports: [{name: http}]\n",
        ["m:11:9: EndpointSlice default/web-x7k2p: ports[0].port: missing, so kube-proxy ignores this port; "
         "must be between 1 and 65535"],
    ),
    "slices of a headless Service": (
        SERVICE + "spec: {clusterIP: None, ports: [{port: 80}]}\n---\n" + SLICE + "ports: [{port: 1, name: x}]\n", []
    ),
    "node ports outside the default range": (
        SERVICE + "spec: {clusterIP: 10.96.0.1, ports: [{port: 80, name: a, nodePort: 80},"
        " {port: 81, name: b, nodePort: 30000}, {port: 82, name: c, nodePort: 32768}]}\n",
        ["m:4:68: Service default/web: spec.ports[0].nodePort: node port 80 is outside 30000 to 32767, as is 1 more; "
         "the API server rejects it unless its --service-node-port-range allows it"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_warnings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxyrules: Runner
) -> None:
    text, messages = CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("m").write_text(text)
    result = proxyrules("compile", "m", "--quiet")
    assert result.err.splitlines() == [f"warning: {message}" for message in messages]
    assert result.code == 0


def test_large_texts_are_read_another_way_and_give_the_same_warnings() -> None:
    names = ("Endpoints without slices", "a kind in the wrong group", "a kind in the wrong case")
    text = "---\n".join(CASES[name][0] for name in names)
    padding = "".join(f"# {'x' * 100}\n" for _ in range(11_000))
    small, large = (compile_rules([Source("m", one.encode())]) for one in (text, text + padding))
    assert len(small.warnings) == 7
    assert small.warnings == large.warnings


def test_the_library_names_its_function() -> None:
    source = Source("m", (SERVICE + "spec: {ports: [{port: 80}]}\n").encode())
    (warning,) = compile_rules([source]).warnings
    assert str(warning).endswith("the API server assigns one, as complete_manifests() does")


def test_from_pods_warns_of_no_missing_cluster_ip_but_of_the_rest() -> None:
    text = SERVICE + "spec: {ports: [{port: 80, name: http}]}\n---\n" + SLICE
    completed = complete_manifests([Source("m", (text + "ports: [{port: 1}]\n").encode())])
    (warning,) = completed.warnings
    assert str(warning) == CASES["a port without the name"][1][0]


def test_a_warning_of_a_huge_text_names_the_object_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look its line up would take longer than the compile."""
    monkeypatch.setattr("compiler.manifests.locate.LOCATE_WARNINGS_BELOW", len(SLICE) - 1)
    warnings = compile_rules(
        [Source("small", b"kind: service"), Source("m", SLICE.encode())]
    ).warnings
    assert [str(one).partition(": ")[0] for one in warnings] == ["small:1:7", "m"]
    assert warnings[1].subject == "EndpointSlice default/web-x7k2p"


def test_a_guess_is_made_among_few_names_only() -> None:
    """Looking for similar names would take longer than the compile."""
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"s{n}"},
            "spec": {"clusterIP": f"10.0.{n // 250}.{n % 250}", "ports": [{"port": 80}]},
        }
        for n in range(600)
    ]
    for count, hint in ((400, "did you mean s1?"), (600, "add the Service to the manifests")):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": services[:count]})
        slices = Source("slices", SLICE.replace("service-name: web", "service-name: s1x").encode())
        (warning,) = compile_rules([Source("m", text.encode()), slices]).warnings
        assert warning.hint == hint


def test_fixtures_give_no_warning_but_where_that_is_their_point() -> None:
    found = {
        case.name: Counter(one.field for one in manifests.warnings)
        for case in FIXTURE_CASES
        if (manifests := read_manifests([read_source(case.manifest)])).warnings
    }
    assert found == {
        "invalid-external-ips-and-ranges-are-skipped": {
            "spec.externalIPs[0]": 1,
            "spec.externalIPs[1]": 1,
            "spec.loadBalancerSourceRanges[0]": 1,
        },
        "large-cluster-other-services-slices-do-not-count": {
            "metadata.labels.kubernetes.io/service-name": 1
        },
        "slices-that-do-not-count": {"metadata.labels": 1, "ports[0].port": 2, "ports[0]": 2},
        # Without --from-workloads nothing of it is there yet, the Endpoints' slice included.
        "workloads": {"spec.clusterIP": 5, "": 1},
    }
