"""Checks of the rules about annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.generated_clusters import Cluster, Object, subject
from tests.lint_checks import check, checks


def annotated(cluster: Cluster) -> Iterator[tuple[Object, str]]:
    for service in cluster.of("Service"):
        annotation = service["metadata"].get("annotations", {}).get("proxyrules.dev/ignore")
        if annotation:
            yield service, annotation


def has_slices(cluster: Cluster, service: Object) -> bool:
    """Whether a Service has slices of all its families."""
    metadata = service["metadata"]
    kinds = {
        one["addressType"]
        for one in cluster.of("EndpointSlice")
        if one["metadata"]["namespace"] == metadata["namespace"]
        and one["metadata"]["labels"].get("kubernetes.io/service-name") == metadata["name"]
    }
    return kinds.issuperset(service["spec"]["ipFamilies"])


@check("PR001")
def ignore_without_reason(cluster: Cluster) -> set[str]:
    return {subject(service) for service, text in annotated(cluster) if ":" not in text}


@check("PR002")
def unused_ignore(cluster: Cluster) -> set[str]:
    found = set()
    for service, text in annotated(cluster):
        for rule in re.findall(r"PR\d{3}", text):
            reported = checks()[rule](cluster) if rule in checks() else set()
            name = subject(service)
            if rule in checks() and not has_slices(cluster, service):
                continue  # what the rule would report is not known
            if not any(one == name or one.startswith(f"{name}:") for one in reported):
                found.add(name)
    return found
