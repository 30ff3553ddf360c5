"""What `lint` did not look at is reported, and nothing is concluded from it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from compiler.analysis.lint.baseline import without_known
from compiler.analysis.lint.run import LintReport
from compiler.manifests.source import Source
from compiler.questions import lint
from tests.lint_cases import RULES
from tests.run import Runner

NEEDED = {
    "PR102": "needs the number of clients",
    "PR304": "needs kube-proxy's configuration",
    "PR407": "needs Pods or workloads",
    "PR504": "needs kube-proxy's configuration or dumps of nodes",
    "PR601": "needs dumps of nodes",
    "PR701": "needs a newer release",
}


def web(ignore: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": "web"}
    annotations = {"annotations": {"proxyrules.dev/ignore": ignore}} if ignore else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, **annotations},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 80}], **spec},
    }


SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [{"addresses": ["10.244.1.2"], "nodeName": "worker-1"}],
}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "worker-2"},
    "spec": {"podCIDRs": ["10.244.2.0/24"]},
}


def text(*objects: dict[str, Any]) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).encode()


def linted(*objects: dict[str, Any], select: tuple[str, ...] = (), **options: Any) -> LintReport:
    return lint([Source("input.json", text(*objects))], select=select, **options)


def test_rules_without_input_are_named(proxyrules: Runner, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_bytes(text(web(), SLICE, NODE))
    result = proxyrules("lint", file, "--format", "json")
    value = json.loads(result.out)
    reasons = {one["rule"]: one["reason"] for one in value["not_checked"]}
    assert NEEDED.items() <= reasons.items()
    assert not reasons.keys() & set(value["checked"]["rules"])
    assert reasons.keys() | set(value["checked"]["rules"]) == {rule.id for rule in RULES}
    junit = proxyrules("lint", file, "--format", "junit").out
    skipped = [
        one for one in ET.fromstring(junit).iter("testcase") if one.find("skipped") is not None
    ]
    assert {one.attrib["name"].split()[0] for one in skipped} == reasons.keys()


def test_a_dump_alone_checks_no_service(proxyrules: Runner, tmp_path: Path) -> None:
    dump = tmp_path / "node.save"
    dump.write_text("*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\nCOMMIT\n")
    result = proxyrules("lint", dump)
    assert "PR103 to PR303" in result.out
    assert "(need Services)" in result.out
    assert "7 rules checked 0 Services, 0 Nodes, 1 dump." in result.out


@pytest.mark.parametrize(
    ("ignored", "options", "expected"),
    [
        ("PR104", {}, True),
        ("PR102", {}, False),
        ("PR102", {"clients": 5}, True),
        ("PR203", {}, False),
        ("PR407", {}, False),
        ("PR701", {}, False),
    ],
)
def test_an_ignored_rule_that_saw_nothing_is_not_called_unused(
    ignored: str, options: dict[str, Any], expected: bool
) -> None:
    """Else `--fix` would remove what the next run, with more input, needs."""
    one = web(f"{ignored}: known", internalTrafficPolicy="Local")
    found = linted(one, SLICE, NODE, select=("PR002", ignored), **options).findings
    assert bool(found) is expected


@pytest.mark.parametrize("rule", ["PR201", "PR203"])
def test_nodes_that_are_not_given(rule: str) -> None:
    one = web(
        type="NodePort",
        ports=[{"name": "http", "port": 80, "nodePort": 30080}],
        externalTrafficPolicy="Local",
        internalTrafficPolicy="Local",
    )
    reason = (rule, "nodes that no endpoint names: no Nodes are given")
    assert reason in linted(one, SLICE, select=(rule,)).unchecked
    assert reason not in linted(one, SLICE, NODE, select=(rule,)).unchecked


def test_settings_that_are_not_given() -> None:
    daemon_set = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": []}}},
    }
    options = {"kube_version": "1.30", "upgrade_to": "1.31"}
    report = linted(web(), SLICE, daemon_set, select=("PR502", "PR702"), **options)
    reason = "kube-proxy's configuration is not given"
    assert set(report.unchecked) == {
        ("PR502", f"marks of DaemonSet kube-system/calico-node: {reason}"),
        ("PR702", reason),
    }


def test_services_that_are_not_looked_at() -> None:
    """Manifests from git: no cluster IP, no slices."""
    bare = web("PR101: known; PR999: misspelt")
    del bare["spec"]["clusterIP"]
    for one, reason in (
        (bare, "Services without a cluster IP, which kube-proxy skips: default/web"),
        (
            web("PR101: known; PR999: misspelt"),
            "Services whose EndpointSlices are missing, in one IP family or all: default/web",
        ),
    ):
        report = linted(one, select=("PR101", "PR002"))
        assert report.unchecked == (("", reason),)
        (found,) = report.findings
        assert found.message == "ignored without effect: there is no rule PR999"
    headless = web(clusterIP="None")
    assert linted(headless, select=("PR101",)).unchecked == ()
    # Rules about the configuration read no Services of which that matters.
    config = Source(
        "k.yaml", b"kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
    )
    assert linted(web(), select=("PR501",), config=config).unchecked == ()


def test_a_known_finding_of_what_was_not_looked_at_is_not_gone() -> None:
    known = Counter(
        {("PR407", "Service default/web", ""): 1, ("PR104", "Service default/web", ""): 1}
    )
    report = without_known(linted(web(), SLICE, NODE), known)
    assert report.gone == 1
