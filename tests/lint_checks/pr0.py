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
            if not any(one == name or one.startswith(f"{name}:") for one in reported):
                found.add(name)
    return found
