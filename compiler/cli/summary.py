"""A compile summed up in one line, and with `-v` in more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from compiler.compilation import Compilation
from compiler.manifests.reader import Manifests
from compiler.manifests.schema import Service
from compiler.manifests.validate import is_proxied


def summary_line(compilation: Compilation, rules: Counter[str]) -> str:
    """Sum a compile up; `rules` has the number of rules per table."""
    manifests, plan = compilation.manifests, compilation.plan
    parts = [
        count(len(manifests.services), "Service"),
        f"{count(len(plan.service_ports), plan.family.api_name + ' service port')}",
        count(plan.total_endpoints, "endpoint"),
        "rules: " + ", ".join(f"{table} {number}" for table, number in rules.items()),
    ]
    if others := compilation.other_family_service_ports:
        parts.append(f"{count(others, plan.family.other.api_name + ' service port')} left out")
    if skipped := list(skipped_lines(manifests)):
        parts.append(f"skipped: {', '.join(skipped)}")
    if compilation.warnings:
        parts.append(count(len(compilation.warnings), "warning"))
    return "; ".join(parts)


def count(number: int, noun: str) -> str:
    """`1 Service`, `2 Services`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class RuleCounter:
    """Counts the rules of each table of a restore text while its chunks pass through."""

    def __init__(self) -> None:
        self.rules: Counter[str] = Counter()
        self._table = ""
        self._unfinished = "\n"  # the last line so far, with the line break before it

    def through(self, chunks: Iterable[str]) -> Iterator[str]:
        """Count, and yield the chunks."""
        for chunk in chunks:
            lines, _, last = (self._unfinished + chunk).rpartition("\n")
            self._unfinished = f"\n{last}"
            self._count(lines)
            yield chunk

    def _count(self, lines: str) -> None:
        rest, *tables = lines.split("\n*")
        if rest:
            self.rules[self._table] += rest.count("\n-A ")
        for table in tables:
            self._table, _, _ = table.partition("\n")
            self.rules[self._table] += table.count("\n-A ")


def skipped_lines(manifests: Manifests) -> Iterator[str]:
    """Return what was skipped, and why, one line per reason or kind."""
    reasons = Counter(filter(None, map(why_skipped, manifests.services)))
    for reason, number in reasons.items():
        yield f"{count(number, 'Service')} ({reason})"
    for kind, number in sorted(manifests.skipped_kinds.items()):
        yield f"{number} {kind}"


def why_skipped(service: Service) -> str:
    """Return why kube-proxy skips a Service; empty if it doesn't."""
    if is_proxied(service):
        return ""
    labels = service.metadata.labels if service.metadata else None
    if labels and labels.service_proxy_name is not None:
        return "another proxy's"
    spec = service.spec
    if (labels and labels.headless is not None) or (spec and spec.cluster_ip == "None"):
        return "headless"
    if spec and spec.type == "ExternalName":
        return "ExternalName"
    return "no cluster IP"
