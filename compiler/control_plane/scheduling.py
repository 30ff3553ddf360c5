"""Which Nodes a Pod may run on, and which of them it gets, the same ones every time.

Looked at are what manifests say: `nodeName`, `nodeSelector`, required node affinity, taints and
tolerations, `unschedulable`. Not looked at are resources, ports of the host, volumes, affinity
between Pods, topology spread constraints and preferences.

Sources: kubernetes `pkg/scheduler/framework/plugins/{nodeaffinity,tainttoleration,
nodeunschedulable}`; `staging/src/k8s.io/component-helpers/scheduling/corev1/{helpers.go,
nodeaffinity/nodeaffinity.go}`; `pkg/controller/daemon/daemon_controller.go`
(`NodeShouldRunDaemonPod`), `pkg/controller/daemon/util/daemonset_util.go`
(`AddOrUpdateDaemonPodTolerations`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import nlargest

from compiler.control_plane.address_pool import digest
from compiler.control_plane.objects import PlainObject, at, list_at, map_at, text_at
from compiler.errors import Problem
from compiler.manifests.convert import shorten
from compiler.yaml.plain import Path

CONTROL_PLANE_ROLE = "node-role.kubernetes.io/control-plane"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
TOLERATION_OPERATORS = ("Equal", "Exists")
# Effects that keep a Pod away; PreferNoSchedule does not.
REPELLING = ("NoSchedule", "NoExecute")
REQUIRED = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")

Spec = Mapping[str, object]
Labels = Mapping[str, object]

# What every DaemonSet's Pods tolerate; those on the host's network also the last one.
_DAEMON_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
        ("network-unavailable", "NoSchedule"),
    )
]
_MIX, _MASK = 0x9E3779B97F4A7C15, 2**64 - 1


class Scheduler:
    """Places Pods on the Nodes of a cluster, each by names alone."""

    def __init__(self, nodes: Mapping[str, dict[str, object]]) -> None:
        self.nodes = nodes
        self._names = sorted(nodes)
        self._control_plane = {
            name
            for name, node in nodes.items()
            if CONTROL_PLANE_ROLE in map_at(node, "metadata", "labels")
        }
        self._digests = {name: digest(f"Node {name}") for name in self._names}
        self._known: dict[str, list[str]] = {}

    def fitting(self, spec: Spec) -> list[str]:
        """Return the Nodes that a Pod may run on, by name.

        Those of the control plane are left free, even without a taint, where there are others.
        """
        fitting = self._fitting(spec)
        return [name for name in fitting if name not in self._control_plane] or fitting

    def daemon_nodes(self, spec: Spec) -> list[str]:
        """Return the Nodes that a DaemonSet's Pod of this spec runs on."""
        extra = _DAEMON_TOLERATIONS if spec.get("hostNetwork") is True else _DAEMON_TOLERATIONS[:-1]
        return self._fitting({**spec, "tolerations": [*list_at(spec, "tolerations"), *extra]})

    def node_for(self, name: str, spec: Spec) -> str:
        """Return the Node of a Pod of its own; empty where it fits on none."""
        names = self.fitting(spec)
        return names[digest(name) % len(names)] if names else ""

    def spread(self, name: str, spec: Spec, count: int) -> list[str]:
        """Return the Nodes of a workload's Pods, one after the other; none where it fits on none.

        The Nodes are taken in turn, in an order that the workload's name and theirs decide (highest
        random weight): Pods that are added don't move the others, and no Node gets two more than
        another.
        """
        names = self.fitting(spec)
        seed = digest(name)
        order = nlargest(count, names, key=lambda one: (self._digests[one] ^ seed) * _MIX & _MASK)
        return [order[number % len(order)] for number in range(count)] if order else []

    def _fitting(self, spec: Spec) -> list[str]:
        chosen = [spec.get(key) for key in ("nodeName", "nodeSelector", "affinity", "tolerations")]
        key = json.dumps(chosen)
        if key not in self._known:
            self._known[key] = [
                name
                for name in self._names
                if all(fits(spec, self.nodes[name]) for _, fits in FILTERS)
            ]
        return self._known[key]

    def why_pending(self, spec: Spec) -> tuple[Path, str]:
        """Say which field of a Pod's spec leaves no Node, and what about it."""
        left = self._names
        for path, fits in FILTERS:
            fitting = [name for name in left if fits(spec, self.nodes[name])]
            if not fitting:
                return path, _why(path, spec, [self.nodes[name] for name in left])
            left = fitting
        return (), "fits on no Node"


def _why(path: Path, spec: Spec, nodes: Sequence[Mapping[str, object]]) -> str:
    if path == ("nodeName",):
        return f"there is no Node {shorten(text_at(spec, 'nodeName'))}"
    if path == ("nodeSelector",):
        wanted = map_at(spec, "nodeSelector").items()
        return f"no Node has {', '.join(f'{key}={value}' for key, value in wanted)}"
    if path == REQUIRED:
        return "no Node matches"
    taints = {
        ":".join(filter(None, (f"{key}={value}" if value else key, effect))): None
        for node in nodes
        for key, value, effect in _taints(node)
        if not _tolerated(spec, (key, value, effect))
    }
    return f"no Node is left without a taint that is not tolerated ({', '.join(taints)})"


def _fits_name(spec: Spec, node: Mapping[str, object]) -> bool:
    return text_at(spec, "nodeName") in ("", text_at(node, "metadata", "name"))


def _fits_selector(spec: Spec, node: Mapping[str, object]) -> bool:
    labels = map_at(node, "metadata", "labels")
    return all(labels.get(key) == value for key, value in map_at(spec, "nodeSelector").items())


def _fits_affinity(spec: Spec, node: Mapping[str, object]) -> bool:
    """Any of the terms is enough; one without requirements matches nothing."""
    if at(spec, *REQUIRED) is None:
        return True
    labels = map_at(node, "metadata", "labels")
    fields: Labels = {"metadata.name": text_at(node, "metadata", "name")}
    for term in list_at(spec, *REQUIRED, "nodeSelectorTerms"):
        wanted: list[tuple[object, Labels]]
        wanted = [(one, labels) for one in list_at(term, "matchExpressions")]
        wanted += [(one, fields) for one in list_at(term, "matchFields")]
        if wanted and all(meets(one, values) for one, values in wanted):
            return True
    return False


def meets(requirement: object, labels: Labels) -> bool:
    """Say whether labels meet a requirement of `matchExpressions`."""
    value = labels.get(text_at(requirement, "key"))
    operator, values = text_at(requirement, "operator"), list_at(requirement, "values")
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in values) == (operator == "In")
    try:
        number, limit = int(str(value)), int(str(values[0]))
    except (ValueError, IndexError):
        return False
    return number > limit if operator == "Gt" else operator == "Lt" and number < limit


def _taints(node: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    if at(node, "spec", "unschedulable") is True:
        yield UNSCHEDULABLE, "", "NoSchedule"
    for taint in list_at(node, "spec", "taints"):
        if text_at(taint, "effect") in REPELLING:
            yield text_at(taint, "key"), text_at(taint, "value"), text_at(taint, "effect")


def _tolerated(spec: Spec, taint: tuple[str, str, str]) -> bool:
    key, value, effect = taint
    for one in list_at(spec, "tolerations"):
        exists = text_at(one, "operator") == "Exists"
        same_key = text_at(one, "key") == key or (exists and not text_at(one, "key"))
        same_effect = text_at(one, "effect") in ("", effect)
        if same_key and same_effect and (exists or text_at(one, "value") == value):
            return True
    return False


def _fits_taints(spec: Spec, node: Mapping[str, object]) -> bool:
    return all(_tolerated(spec, taint) for taint in _taints(node))


FILTERS: tuple[tuple[Path, Callable[[Spec, Mapping[str, object]], bool]], ...] = (
    (("nodeName",), _fits_name),
    (("nodeSelector",), _fits_selector),
    (REQUIRED, _fits_affinity),
    (("tolerations",), _fits_taints),
)


def spec_problems(found: PlainObject) -> Iterator[Problem]:
    """Find what the API server would reject of the fields of a Pod's spec that are looked at."""
    spec = map_at(found.value, "spec")
    shapes: list[tuple[tuple[str, ...], type, str]] = [
        (("nodeSelector",), dict, "a mapping"),
        (("tolerations",), list, "a list"),
        (("affinity",), dict, "a mapping"),
        (("affinity", "nodeAffinity"), dict, "a mapping"),
        (REQUIRED, dict, "a mapping"),
        ((*REQUIRED, "nodeSelectorTerms"), list, "a list"),
    ]
    for path, type_, expected in shapes:
        value = at(spec, *path)
        if value is not None and not isinstance(value, type_):
            yield found.wrong_type(("spec", *path), expected, value)
    for key, value in map_at(spec, "nodeSelector").items():
        if not isinstance(value, str):
            yield found.wrong_type(("spec", "nodeSelector", key), "a string", value)
    for number, term in enumerate(list_at(spec, *REQUIRED, "nodeSelectorTerms")):
        for kind in ("matchExpressions", "matchFields"):
            where: Path = ("spec", *REQUIRED, "nodeSelectorTerms", number, kind)
            yield from requirement_problems(found, where, list_at(term, kind), OPERATORS)
    for number, one in enumerate(list_at(spec, "tolerations")):
        operator = at(one, "operator")
        if operator is not None and operator not in (*TOLERATION_OPERATORS, ""):
            message = f"unsupported value {shorten(str(operator))}"
            hint = f"supported values: {', '.join(TOLERATION_OPERATORS)}"
            yield found.problem(("spec", "tolerations", number, "operator"), message, hint)


def requirement_problems(
    found: PlainObject, where: Path, requirements: Sequence[object], operators: Sequence[str]
) -> Iterator[Problem]:
    """Find requirements of `matchExpressions` with an operator that there is not."""
    for number, one in enumerate(requirements):
        operator = at(one, "operator")
        if operator not in operators:
            message = (
                "missing" if operator is None else f"unsupported value {shorten(str(operator))}"
            )
            hint = f"supported values: {', '.join(operators)}"
            yield found.problem((*where, number, "operator"), message, hint)
