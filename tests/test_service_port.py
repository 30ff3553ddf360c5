"""Which service ports there are in which family."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.compilation import compile_rules, default_family
from compiler.family import IPV4, IPV6, Family
from compiler.manifests.schema import Service, ServiceSpec
from compiler.manifests.source import Source
from compiler.proxy.service_port import cluster_ip
from tests.run import Runner

HEADLESS = """\
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  clusterIP: None
  clusterIPs: ["None"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  ports: [{port: 5432}]
"""
WEB = """\
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.0.0.10
  ports: [{port: 80}]
"""


@pytest.mark.parametrize("family", Family)
def test_a_dual_stack_headless_service_has_no_service_port(family: Family) -> None:
    compilation = compile_rules([Source("m", (HEADLESS + WEB).encode())], ip_family=family)
    names = [port.name for port in compilation.plan.service_ports]
    assert names == (["default/web"] if family is IPV4 else [])
    assert compilation.other_family_service_ports == (family is IPV6)


def test_a_dual_stack_headless_service_alone_compiles(
    proxyrules: Runner, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "db.yaml").write_text(HEADLESS)
    result = proxyrules("compile", tmp_path / "db.yaml")
    assert result.code == 0, result.err
    assert "db" not in result.out


def test_a_family_beyond_the_cluster_ips_has_none() -> None:
    spec = ServiceSpec(cluster_ips=["10.0.0.1"], ip_families=["IPv4", "IPv6"])
    assert cluster_ip(spec, IPV4) == "10.0.0.1"
    assert cluster_ip(spec, IPV6) is None


def service(*ips: str) -> Service:
    families = ["IPv6" if ":" in ip else "IPv4" for ip in ips]
    return Service(spec=ServiceSpec(cluster_ip=ips[0], cluster_ips=list(ips), ip_families=families))


ONLY_IPV4, ONLY_IPV6 = service("10.0.0.1"), service("fd00::1")
DUAL = service("fd00::2", "10.0.0.2")
NOT_PROXIED = service("None")


@pytest.mark.parametrize(
    ("services", "family"),
    [
        ([], IPV4),
        ([NOT_PROXIED], IPV4),
        ([ONLY_IPV4], IPV4),
        ([ONLY_IPV6], IPV6),
        ([ONLY_IPV6, ONLY_IPV6, NOT_PROXIED], IPV6),
        ([ONLY_IPV6, ONLY_IPV4], IPV4),
        ([ONLY_IPV6, DUAL], IPV4),
        ([DUAL], IPV4),
    ],
)
def test_ipv6_is_the_default_only_where_all_services_are_ipv6_only(
    services: list[Service], family: Family
) -> None:
    assert default_family(services) is family
