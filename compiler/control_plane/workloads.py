"""Workloads to Pods, for hand-written manifests: what a Deployment or StatefulSet would start.

Source: kubernetes `pkg/controller/deployment`, `pkg/controller/statefulset`. DaemonSets and Jobs
are left out: how many Pods they have depends on more than their manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.control_plane.objects import PlainObject, at, map_at, text_at

WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet")


def selects(workload: dict[str, object], labels: dict[str, object]) -> bool:
    """Say whether a workload's `matchLabels` select a Pod's labels; without any they don't."""
    wanted = map_at(workload, "spec", "selector", "matchLabels")
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def with_pods(objects: Sequence[PlainObject]) -> tuple[list[PlainObject], list[str]]:
    """Add the Pods of workloads of which there is none; return a note per workload.

    They are named `web-1`, `web-2`, … (a StatefulSet's begin with 0, as there).
    """
    made = list(objects)
    notes = []
    for found in objects:
        if found.kind not in WORKLOADS or _has_pods(found, objects):
            continue
        pods = list(_pods_of(found))
        made += pods
        count = f"{len(pods)} Pod{'' if len(pods) == 1 else 's'}"
        notes.append(f"{found.subject} has {count}")
    return made, notes


def _has_pods(workload: PlainObject, objects: Sequence[PlainObject]) -> bool:
    return any(
        one.kind == "Pod"
        and one.namespace == workload.namespace
        and selects(workload.value, map_at(one.value, "metadata", "labels"))
        for one in objects
    )


def _pods_of(workload: PlainObject) -> Iterator[PlainObject]:
    replicas = at(workload.value, "spec", "replicas")
    count = replicas if isinstance(replicas, int) and replicas >= 0 else 1
    first = 0 if workload.kind == "StatefulSet" else 1
    template = map_at(workload.value, "spec", "template")
    for number in range(first, first + count):
        value: dict[str, object] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{workload.name}-{number}",
                "namespace": workload.namespace,
                "labels": dict(map_at(template, "metadata", "labels")),
            },
            "spec": dict(map_at(template, "spec")),
        }
        if not text_at(value, "spec", "nodeName"):
            value["spec"] = {k: v for k, v in map_at(value, "spec").items() if k != "nodeName"}
        yield PlainObject(workload.file, workload.document, workload.base, value)
