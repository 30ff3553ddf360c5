"""What the API server would reject in workloads, of the fields that their Pods depend on.

Source: kubernetes `pkg/apis/apps/validation`, `pkg/apis/batch/validation`,
`pkg/apis/core/validation` (`ValidateReplicationControllerSpec`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.control_plane.pods import name_problems, pod_problems
from compiler.control_plane.scheduling import meets, requirement_problems, spec_problems
from compiler.errors import Problem
from compiler.manifests.convert import shorten
from compiler.manifests.text import group_of
from compiler.yaml.plain import Path

# The kinds that become Pods, and their version.
VERSIONS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
}
AUTOSCALER = "HorizontalPodAutoscaler"
TEMPLATE = ("spec", "template")
# Operators of a workload's selector.
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
# More Pods than a cluster is built for (kubernetes' limit of 150,000).
MAX_PODS = 150_000
_COUNTS: tuple[tuple[str, ...], ...] = (
    ("spec", "replicas"),
    ("spec", "parallelism"),
    ("spec", "completions"),
    ("spec", "ordinals", "start"),
)


def check_workloads(objects: Sequence[PlainObject]) -> list[Problem]:
    """Find what the API server would reject of workloads and autoscalers."""
    problems: list[Problem] = []
    first: dict[tuple[str, str, str], PlainObject] = {}
    for found in objects:
        if found.kind in VERSIONS:
            key = found.namespace, found.kind, found.name
            problems += workload_problems(found, first.setdefault(key, found))
        elif found.kind == AUTOSCALER:
            problems += autoscaler_problems(found)
    return problems


def workload_problems(found: PlainObject, first: PlainObject) -> Iterator[Problem]:
    """Find what is wrong with a workload; `first` is the first object of its kind and name."""
    version = text_at(found.value, "apiVersion")
    if version != VERSIONS[found.kind]:
        message = f"{shorten(version)} is not supported" if version else "missing"
        yield found.problem(("apiVersion",), message, VERSIONS[found.kind])
        return
    yield from name_problems(found)
    if first is not found:
        place = first.problem(("metadata", "name"), "")
        message = f"duplicate object, first at {place.file}:{place.line}:{place.column}"
        yield found.problem(("metadata", "name"), message, "an object can appear only once")
    spec = at(found.value, "spec")
    if not isinstance(spec, dict):
        expected = "every workload needs one"
        yield (
            found.problem(("spec",), "missing", expected)
            if spec is None
            else found.wrong_type(("spec",), "a mapping", spec)
        )
        return
    for path in _COUNTS:
        yield from count_problems(found, path)
    template = at(found.value, *TEMPLATE)
    if not isinstance(template, dict):
        if template is None:
            yield found.problem(TEMPLATE, "missing", "the Pods are made from it")
        else:
            yield found.wrong_type(TEMPLATE, "a mapping", template)
        return
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    made = PlainObject(found.file, found.document, found.base, pod, (found, TEMPLATE))
    problems = [*pod_problems(made), *spec_problems(made)]
    yield from problems
    if not problems:
        yield from _selector_problems(found)


def count_problems(found: PlainObject, path: tuple[str, ...]) -> Iterator[Problem]:
    """Find what is wrong with a number of Pods."""
    count = at(found.value, *path)
    if count is None:
        return
    if type(count) is not int:
        yield found.wrong_type(path, "a whole number", count)
    elif count < 0:
        yield found.problem(path, f"{count} is negative", "must be 0 or more")
    elif count > MAX_PODS and path[-1] != "completions":
        yield found.problem(path, f"{count} is too large", f"at most {MAX_PODS}")


def autoscaler_problems(found: PlainObject) -> Iterator[Problem]:
    """Find what is wrong with a HorizontalPodAutoscaler, as far as it decides a number of Pods."""
    if not isinstance(at(found.value, "spec"), dict):
        yield found.problem(("spec",), "missing", "it names what is scaled")
        return
    yield from count_problems(found, ("spec", "minReplicas"))
    for name in ("kind", "name"):
        if not text_at(found.value, "spec", "scaleTargetRef", name):
            path: Path = ("spec", "scaleTargetRef", name)
            yield found.problem(path, "missing", "it names what is scaled")


def _selector_problems(found: PlainObject) -> Iterator[Problem]:
    """Check that a workload selects its own Pods. A Job's selector is made by the API server."""
    selector = at(found.value, "spec", "selector")
    if found.kind == "Job" or (selector is None and found.kind == "ReplicationController"):
        return
    if not isinstance(selector, dict):
        if selector is None:
            yield found.problem(("spec", "selector"), "missing", "it must select the Pods")
        else:
            yield found.wrong_type(("spec", "selector"), "a mapping", selector)
        return
    labels = map_at(found.value, *TEMPLATE, "metadata", "labels")
    is_plain = found.kind == "ReplicationController"
    where: tuple[str, ...] = ("spec", "selector")
    if not is_plain:
        where = (*where, "matchLabels")
        expressions = list_at(selector, "matchExpressions")
        place: Path = ("spec", "selector", "matchExpressions")
        if wrong := list(requirement_problems(found, place, expressions, OPERATORS)):
            yield from wrong
            return
        if not expressions and not map_at(selector, "matchLabels"):
            yield found.problem(("spec", "selector"), "is empty", "it must select the Pods")
        for number, one in enumerate(expressions):
            if not meets(one, labels):
                message = "the labels of the template don't match"
                yield found.problem((*place, number), message, _LABELS_HINT)
    for name, value in map_at(found.value, *where).items():
        if not isinstance(value, str):
            yield found.wrong_type((*where, name), "a string", value)
        elif labels.get(name) != value:
            given = labels.get(name)
            has = f"has {name}: {given}" if isinstance(given, str) else "has no such label"
            message = f"{shorten(value)} doesn't match the template, which {has}"
            yield found.problem((*where, name), message, _LABELS_HINT)


_LABELS_HINT = "a selector must match spec.template.metadata.labels"


# Groups that workloads were once in, and that people write by mistake.
_GROUPS = {"", "core", "apps", "batch", "extensions"}
_BY_LOWER_CASE = {kind.lower(): kind for kind in VERSIONS}


def misnamed(objects: Sequence[PlainObject]) -> Iterator[Problem]:
    """Warn of workloads whose kind or apiVersion has a mistake, so that they have no Pods."""
    for found in objects:
        kind, version = (text_at(found.value, name) for name in ("kind", "apiVersion"))
        meant = _BY_LOWER_CASE.get(kind.lower())
        if meant is None or found.kind in VERSIONS or group_of(version) not in _GROUPS:
            continue
        if kind == meant:
            message = f"{shorten(version)} has no kind {kind}, so it is skipped"
            yield found.problem(("apiVersion",), message, f"did you mean {VERSIONS[meant]}?")
        else:
            message = f"there is no kind {shorten(kind)}, so it is skipped"
            yield found.problem(("kind",), message, f"did you mean {meant}?")
