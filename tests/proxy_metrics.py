"""What kube-proxy serves at /metrics, as far as it matters, in its own order and with its help.

`python -m tests.proxy_metrics` writes those of `fixtures/metrics/`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compiler.api import compile_rules
from tests.cases import FIXTURES

CASE = FIXTURES / "local-policy-on-five-nodes"
FOLDER = FIXTURES / "metrics"
NOW = 1764603123.0
FAMILIES = ("IPv4", "IPv6")


@dataclass
class Served:
    """kube-proxy on one node: by family, the rules of filter and nat, and when it synced.

    `labelled` is whether the release has the label `ip_family`; without it the last family's
    numbers are served. `extra` are lines of other metrics.
    """

    rules: Mapping[str, tuple[int, int]]
    no_local: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    version: str = "v1.34.2"
    labelled: bool = True
    synced: float = NOW - 12.5
    queued: float = NOW - 13.25
    failures: int = 0
    pending: int = 0
    extra: Sequence[str] = ()

    def text(self) -> str:
        """Write the text."""
        lines = [*_COMMON, *self.extra]
        lines += _metric("endpoint_changes_pending", "gauge", {"": self.pending})
        lines += _metric("iptables_restore_failures_total", "counter", self._each(self.failures))
        rules, last = {}, {}
        for family, counts in self.rules.items():
            for table, count in zip(("filter", "nat"), counts, strict=True):
                labels = self._labels(family, table=table)
                rules[labels] = count
                last[labels] = count // 2
        lines += _metric("iptables_last", "gauge", last)
        lines += _metric("iptables_total", "gauge", rules)
        lines += _metric("last_queued_timestamp_seconds", "gauge", self._each(self.queued))
        lines += _metric("last_timestamp_seconds", "gauge", self._each(self.synced))
        local = {
            self._labels(family, traffic_policy=policy): count
            for family in self.rules
            for policy, count in zip(
                ("external", "internal"), self.no_local.get(family, (0, 0)), strict=True
            )
        }
        lines += _metric("no_local_endpoints_total", "gauge", local)
        lines += _metric("service_changes_pending", "gauge", {"": 0})
        lines += [
            "# HELP kubernetes_build_info [BETA] A metric with a constant '1' value labeled by",
            "# TYPE kubernetes_build_info gauge",
            f'kubernetes_build_info{{compiler="gc",git_version="{self.version}"}} 1',
        ]
        return "\n".join(lines) + "\n"

    def _each(self, value: float) -> dict[str, float]:
        return {self._labels(family): value for family in self.rules}

    def _labels(self, family: str, **labels: str) -> str:
        if self.labelled:
            labels = {"ip_family": family, **labels}
        return ",".join(f'{name}="{value}"' for name, value in labels.items())


def _metric(name: str, kind: str, values: Mapping[str, float]) -> list[str]:
    name = f"kubeproxy_sync_proxy_rules_{name}"
    lines = [f"# HELP {name} [ALPHA] {name}", f"# TYPE {name} {kind}"]
    for labels, value in values.items():
        braces = f"{{{labels}}}" if labels else ""
        lines.append(f"{name}{braces} {_number(value)}")
    return lines


def _number(value: float) -> str:
    """Write a number as Go does: large ones with an exponent."""
    if math.isnan(value):
        return "NaN"
    if value < 1e6:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.17e}".partition("e")
    return f"{mantissa.rstrip('0')}e+{int(exponent):02}"


_COMMON = """\
# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 61
# HELP kubeproxy_network_programming_duration_seconds [ALPHA] In Cluster Network Programming Latency
# TYPE kubeproxy_network_programming_duration_seconds histogram
kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="0"} 0
kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="+Inf"} 3
kubeproxy_network_programming_duration_seconds_sum{ip_family="IPv4"} 1.211e-05
kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 3
# HELP process_start_time_seconds [ALPHA] Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.76459912319e+09""".splitlines()


def counted(text: str) -> tuple[int, int]:
    """Count the rules of filter and nat in kube-proxy's text."""
    tables = text.split("*nat")
    first, second = (sum(line.startswith("-A ") for line in t.splitlines()) for t in tables)
    return first, second


def served_by(node: str, manifest: str = str(CASE / "input.yaml")) -> Served:
    """Return what an up-to-date node serves: its numbers are counted in the text of its rules."""
    config = str(CASE / "kube-proxy.yaml")
    rules, local = {}, {}
    for family in FAMILIES:
        text = compile_rules(
            [manifest], config=config, node=node, ip_family=family.lower(), kube_version="1.34"
        ).text
        rules[family] = counted(text)
        local[family] = (int("has no local endpoints" in text), 0)
    return Served(rules, local)


def main() -> None:
    """Write the metrics of five nodes: two as predicted, one old, one that fails, one without."""
    FOLDER.mkdir(exist_ok=True)
    comment = f"# proxyrules: collected at {NOW:.0f}\n"
    nodes = {f"worker-{number}": served_by(f"worker-{number}") for number in range(1, 5)}
    old = nodes["worker-3"]
    old.rules = {**old.rules, "IPv4": (old.rules["IPv4"][0], old.rules["IPv4"][1] - 4)}
    old.synced, old.queued = NOW - 7245, NOW - 7012
    nodes["worker-4"].failures = 3
    for name, node in nodes.items():
        (FOLDER / f"{name}.metrics").write_text(comment + node.text())


if __name__ == "__main__":
    main()
