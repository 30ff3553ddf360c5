"""Workloads to Pods, for hand-written manifests: what their controllers would start.

Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers and Jobs become Pods;
CronJobs, which have Pods at times, and other vendors' kinds don't.

Sources: kubernetes `pkg/controller/replicaset`, `pkg/controller/statefulset/stateful_set_utils.go`
(names, ordinals, labels), `pkg/controller/daemon`, `pkg/controller/job/job_controller.go`
(`manageJob`), `pkg/controller/podautoscaler/horizontal.go` (`minReplicas`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from compiler.control_plane.endpoint_slices import suffix
from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.control_plane.scheduling import Scheduler, meets
from compiler.control_plane.workload_checks import AUTOSCALER, TEMPLATE, VERSIONS
from compiler.errors import Problem
from compiler.yaml.plain import Path

# Those that can be scaled by hand, each with a selector that `selects` reads.
WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet")

# What a made Pod's name may begin with is cut here: the whole is no longer than a generated name.
_LONGEST = 55
# A Node's name is not cut where it doesn't have to be.
_LONGEST_OF_ALL = 240
# A StatefulSet's Pods have names that others depend on: they come first where two are the same.
_ORDER = (*WORKLOADS[::-1], "ReplicationController", "Job", "DaemonSet")

_Key = tuple[str, str, str]
"""Namespace, kind and name."""


def selects(workload: dict[str, object], labels: dict[str, object]) -> bool:
    """Say whether a workload's `matchLabels` select a Pod's labels; without any they don't."""
    wanted = map_at(workload, "spec", "selector", "matchLabels")
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


@dataclass(frozen=True)
class Expanded:
    """Objects with the Pods of their workloads, and what to report about these."""

    objects: tuple[PlainObject, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()


def with_pods(objects: Sequence[PlainObject]) -> Expanded:
    """Add the Pods of workloads, unless they are among the objects.

    `check_workloads` has found nothing wrong. Pods are named `web-1`, `web-2`, … (a StatefulSet's
    begin with 0, as there), a DaemonSet's with their Node's name. A name that is taken gets five
    letters more.
    """
    return _Expansion(objects).run()


@dataclass
class _Made:
    """A Pod that is to be made: its number among its workload's, its name and Node."""

    number: int
    name: str
    node: str = ""
    labels: dict[str, object] = field(default_factory=dict)


class _Expansion:
    def __init__(self, objects: Sequence[PlainObject]) -> None:
        self.objects = objects
        self.nodes = {found.name: found.value for found in objects if found.kind == "Node"}
        self.scheduler = Scheduler(self.nodes)
        self.owners = set(_owners(objects))
        self.minima = dict(_minima(objects))
        self.taken = {(one.namespace, one.name) for one in objects if one.kind == "Pod"}
        self.given = set(self.taken)
        self.orphans: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
        for found in objects:
            if found.kind == "Pod" and _owner(found) is None:
                self.orphans[found.namespace].append(map_at(found.value, "metadata", "labels"))
        self.notes: list[str] = []
        self.warnings: list[Problem] = []

    def run(self) -> Expanded:
        workloads = [found for found in self.objects if found.kind in VERSIONS]
        order = sorted(workloads, key=lambda one: (_ORDER.index(one.kind), one.subject))
        made = {id(one): list(self._pods_of(one)) for one in order}
        pods = [pod for one in workloads for pod in made[id(one)]]
        for found in self.objects:
            if found.kind == "CronJob":
                self.notes.append(f"{found.subject} has no Pods here: it starts them at times")
        return Expanded((*self.objects, *pods), tuple(self.notes), tuple(self.warnings))

    def _pods_of(self, workload: PlainObject) -> Iterator[PlainObject]:
        if _key(workload) in self.owners:
            return  # its Pods, or ReplicaSets, are given
        template = map_at(workload.value, *TEMPLATE)
        if workload.kind == "DaemonSet":
            made = list(self._daemons(workload))
        else:
            made = list(self._numbered(workload))
            self._place(workload, made)
        for one in made:
            yield _pod(workload, template, one, pending=bool(self.nodes and not one.node))

    def _numbered(self, workload: PlainObject) -> Iterator[_Made]:
        """Name a workload's Pods; those of a StatefulSet that are given are left out."""
        base = _shortened(workload.name, _LONGEST, workload.subject)
        first, count = self._numbers(workload)
        for number in range(first, first + count):
            labels: dict[str, object] = {}
            if workload.kind == "StatefulSet":
                name = f"{workload.name}-{number}"
                if (workload.namespace, name) in self.given:
                    continue
                labels = {
                    "statefulset.kubernetes.io/pod-name": name,
                    "apps.kubernetes.io/pod-index": str(number),
                }
            elif workload.kind == "Job":
                labels = {"batch.kubernetes.io/job-name": workload.name, "job-name": workload.name}
                if text_at(workload.value, "spec", "completionMode") == "Indexed":
                    labels["batch.kubernetes.io/job-completion-index"] = str(number - first)
            yield _Made(number, self._free(workload, f"{base}-{number}", number), labels=labels)

    def _free(self, workload: PlainObject, name: str, number: int) -> str:
        """Return a name that no other Pod has: this one, or with letters that a hash chooses."""
        free, tries = name, 0
        while (workload.namespace, free) in self.taken:
            free = f"{name}-{suffix(f'{workload.subject} {number} {tries}')}"
            tries += 1
        self.taken.add((workload.namespace, free))
        return free

    def _numbers(self, workload: PlainObject) -> tuple[int, int]:
        """Return the number of a workload's first Pod, and how many it has."""
        value, kind = workload.value, workload.kind
        if kind == "Job":
            parallel, wanted = (at(value, "spec", name) for name in ("parallelism", "completions"))
            count = parallel if isinstance(parallel, int) else 1
            if isinstance(wanted, int):
                count = min(count, wanted)
            return 1, self._noted(workload, 0 if at(value, "spec", "suspend") is True else count)
        replicas = at(value, "spec", "replicas")
        count = replicas if isinstance(replicas, int) else 1
        if count and (minimum := self.minima.get(_key(workload))):
            source, least = minimum
            over = f", not its replicas: {count}" if isinstance(replicas, int) else ""
            count = least
            self.notes.append(f"{workload.subject} has the minReplicas of {source}: {least}{over}")
        self._noted(workload, count)
        if kind in {"ReplicaSet", "ReplicationController"}:
            free = self.orphans[workload.namespace]
            count -= min(count, sum(_adopts(workload, labels) for labels in free))
        start = at(value, "spec", "ordinals", "start")
        return (start if isinstance(start, int) else 0) if kind == "StatefulSet" else 1, count

    def _noted(self, workload: PlainObject, count: int) -> int:
        """Note where a workload has no Pods, and return how many it has."""
        if not count:
            self.notes.append(f"{workload.subject} has 0 Pods")
        return count

    def _place(self, workload: PlainObject, made: Sequence[_Made]) -> None:
        """Give Pods their Nodes, where Nodes are known; warn where none fits."""
        spec = map_at(workload.value, *TEMPLATE, "spec")
        fixed = text_at(spec, "nodeName")
        if fixed or not self.nodes or not made:
            for one in made:
                one.node = fixed
            return
        first = made[0].number
        last = made[-1].number
        nodes = self.scheduler.spread(workload.subject, spec, last - first + 1)
        if not nodes:
            stay = f"{len(made)} Pods stay" if len(made) > 1 else "Pod stays"
            self._warn_pending(workload, spec, f"so its {stay} pending, without endpoints")
            return
        for one in made:
            one.node = nodes[one.number - first]

    def _daemons(self, workload: PlainObject) -> Iterator[_Made]:
        spec = map_at(workload.value, *TEMPLATE, "spec")
        if not self.nodes:
            message = "has a Pod per Node, and there are no Nodes, so it has no endpoints"
            self.warnings.append(workload.problem(("kind",), message, "add the cluster's Nodes"))
            return
        nodes = self.scheduler.daemon_nodes(spec)
        if not nodes:
            self._warn_pending(workload, spec, "so it has no Pods and no endpoints")
        for node in nodes:
            name = _shortened(f"{workload.name}-{node}", _LONGEST_OF_ALL, node)
            yield _Made(0, self._free(workload, name, 0), node)

    def _warn_pending(self, workload: PlainObject, spec: Mapping[str, object], so: str) -> None:
        path, why = self.scheduler.why_pending(spec)
        hint = "add Nodes on which it fits"
        where: Path = (*TEMPLATE, "spec", *path)
        self.warnings.append(workload.problem(where, f"{why}, {so}", hint))


def _pod(
    workload: PlainObject, template: Mapping[str, object], made: _Made, *, pending: bool
) -> PlainObject:
    owner = {
        "apiVersion": text_at(workload.value, "apiVersion"),
        "kind": workload.kind,
        "name": workload.name,
        "controller": True,
    }
    metadata: dict[str, object] = {
        "name": made.name,
        "namespace": workload.namespace,
        "labels": {**map_at(template, "metadata", "labels"), **made.labels},
        "ownerReferences": [owner],
    }
    spec = {name: one for name, one in map_at(template, "spec").items() if name != "nodeName"}
    if made.node:
        spec["nodeName"] = made.node
    value: dict[str, object] = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    value["spec"] = spec
    if pending:
        unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        value["status"] = {"phase": "Pending", "conditions": [unscheduled]}
    within = (workload, TEMPLATE)
    file, document, base = workload.file, workload.document, workload.base
    return PlainObject(file, document, base, value, within, made.number)


def _shortened(name: str, limit: int, identity: str) -> str:
    """Cut a name that is too long, with letters behind it by which it differs from others."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 6].rstrip('.-')}-{suffix(identity)}"


def _key(found: PlainObject) -> _Key:
    return found.namespace, found.kind, found.name


def _adopts(workload: PlainObject, labels: dict[str, object]) -> bool:
    """Say whether a ReplicaSet or ReplicationController counts a Pod without an owner as its own.

    A Deployment's does not: its selector asks for a hash of the template as well.
    """
    selector = map_at(workload.value, "spec", "selector")
    wanted: dict[str, object] = selector
    if workload.kind == "ReplicaSet":
        if not all(meets(one, labels) for one in list_at(selector, "matchExpressions")):
            return False
        wanted = map_at(selector, "matchLabels")
    elif not selector:
        wanted = map_at(workload.value, *TEMPLATE, "metadata", "labels")
    return all(labels.get(name) == value for name, value in wanted.items())


def _owner(found: PlainObject) -> tuple[str, str] | None:
    """Return kind and name of an object's controller, None where it has none."""
    for one in list_at(found.value, "metadata", "ownerReferences"):
        if at(one, "controller") is True:
            return text_at(one, "kind"), text_at(one, "name")
    return None


def _owners(objects: Sequence[PlainObject]) -> Iterator[_Key]:
    """Find the workloads of which Pods or ReplicaSets are given, as a dump of a cluster has them.

    A Pod's ReplicaSet may be left out of the dump; its name and the Pod's label name the
    Deployment.
    """
    for found in objects:
        if found.kind not in {"Pod", "ReplicaSet"}:
            continue
        owner = _owner(found)
        if owner is None:
            continue
        kind, name = owner
        yield found.namespace, kind, name
        template = text_at(found.value, "metadata", "labels", "pod-template-hash")
        if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
            yield found.namespace, "Deployment", name.removesuffix(f"-{template}")


def _minima(objects: Sequence[PlainObject]) -> Iterator[tuple[_Key, tuple[str, int]]]:
    """Find the least number of Pods of each workload that an autoscaler is for."""
    for found in objects:
        if found.kind == AUTOSCALER:
            target = at(found.value, "spec", "scaleTargetRef")
            least = at(found.value, "spec", "minReplicas")
            key = found.namespace, text_at(target, "kind"), text_at(target, "name")
            yield key, (found.subject, least if isinstance(least, int) else 1)
