"""The neutral plan: what is decided, before anything is written."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

import compiler.proxy
from compiler.compilation import Compilation, compile_rules
from compiler.manifests.source import Source
from compiler.proxy.iptables_plan import project
from compiler.proxy.plan import Blocked, LocalTraffic, PlannedServicePort
from tests.cases import FIXTURE_CASES, FIXTURES, ROOT, Case, case_id


def compile_fixture(name: str) -> Compilation:
    case = Case(FIXTURES / name)
    options = case.options
    return compile_rules(
        [case.manifest],
        config=case.config,
        kube_version=options[options.index("--kube-version") + 1],
        ip_family=case.family,
        node=options[options.index("--node") + 1] if "--node" in options else None,
    )


def only_port(compilation: Compilation) -> PlannedServicePort:
    (port,) = compilation.plan.service_ports
    return port


# An endpoint in two slices, terminating in the first one only, beside one that is ready.
COPIES = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.0.0.10, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.1.0.2]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints:
- {addresses: [10.1.0.1]}
"""


@pytest.mark.parametrize(
    ("kube_version", "ips"),
    [
        ("1.34", ["10.1.0.2"]),
        ("1.35", ["10.1.0.2"]),
        ("1.36", ["10.1.0.1", "10.1.0.2"]),
        ("1.37", ["10.1.0.1", "10.1.0.2"]),
    ],
)
def test_since_1_36_a_copy_that_is_not_terminating_replaces_one_that_is(
    kube_version: str, ips: list[str]
) -> None:
    compilation = compile_rules([Source("m", COPIES.encode())], kube_version=kube_version)
    assert [endpoint.ip for endpoint in only_port(compilation).cluster_endpoints] == ips


def test_what_is_blocked_and_why() -> None:
    port = only_port(compile_fixture("no-endpoints"))
    assert (port.internal_block, port.external_block) == (Blocked.NO_ENDPOINTS,) * 2
    port = only_port(compile_fixture("internal-local-without-local-endpoints"))
    assert port.internal_block is Blocked.NO_LOCAL_ENDPOINTS
    port = only_port(compile_fixture("nodeport-local-without-local-endpoints"))
    assert (port.internal_block, port.external_block) == (None, Blocked.NO_LOCAL_ENDPOINTS)
    port = only_port(compile_fixture("nodeport-local"))
    assert (port.internal_block, port.external_block) == (None, None)


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("nodeport-cluster", LocalTraffic(cidr="10.10.0.0/16")),
        ("detect-bridge", LocalTraffic(interface="cni0")),
        ("detect-interface-prefix", LocalTraffic(interface_prefix="veth")),
        ("detect-nothing", None),
    ],
)
def test_how_local_traffic_is_recognized(name: str, local: LocalTraffic | None) -> None:
    assert compile_fixture(name).plan.local_traffic == local


@pytest.mark.parametrize("case", FIXTURE_CASES, ids=case_id)
def test_the_neutral_plan_has_no_words_of_iptables(case: Case) -> None:
    plan = compile_fixture(case.name).plan
    words = repr(msgspec.to_builtins(plan, enc_hook=str))
    assert not re.search(r"KUBE-|REJECT|DROP|0\.[0-9]{10}|'-[a-z]", words)


def test_reports_are_no_part_of_what_templates_see() -> None:
    seen = set(project(compile_fixture("nodeport-cluster").plan).__dataclass_fields__)
    assert not seen & {"warnings", "total_endpoints", "other_family_service_ports", "plan"}


def test_the_plan_of_an_empty_cluster() -> None:
    compilation = compile_rules([Source("m", b'{"apiVersion": "v1", "kind": "List", "items": []}')])
    assert compilation.plan.service_ports == []
    assert compilation.plan.total_endpoints == 0
    assert compilation.iptables.chains == []


def test_the_import_contract_names_every_neutral_module() -> None:
    """A new module of compiler.proxy is neutral, unless it is named here."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [c for c in settings["contracts"] if c["name"].startswith("The neutral plan")]
    folder = Path(compiler.proxy.__path__[0])
    modules = {f"compiler.proxy.{path.stem}" for path in folder.glob("[!_]*.py")}
    of_iptables = ("iptables_plan", "iptables_counts", "cluster_counts", "chain_name")
    projection = {f"compiler.proxy.{name}" for name in of_iptables}
    assert set(contract["source_modules"]) == modules - projection
    assert projection <= set(contract["forbidden_modules"])
