"""From events to what happens: Pods that start, become ready, terminate and go, step by step."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor

from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.events import Event, in_order
from compiler.analysis.sticky.recording import Recorded
from compiler.analysis.sticky.world import Object, World, services_named
from compiler.control_plane.objects import at, text_at
from compiler.control_plane.workloads import WORKLOADS
from compiler.manifests.convert import shorten
from compiler.manifests.source import Source

# A Deployment's maxSurge and maxUnavailable by default.
QUARTER = "25%"
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Step:
    """The cluster from a time on.

    `label` is the event's, empty for what follows of it. `source` are the objects, None where they
    stay as they were, `path` other rules instead of objects. `gone` are addresses that don't answer
    any more. `rebooted` are the nodes that lose their lists (`*` for all).
    """

    at: float
    label: str = ""
    source: Source | None = None
    path: str = ""
    gone: frozenset[str] | None = None
    rebooted: str = ""


@dataclass(frozen=True)
class Pace:
    """How long Pods take: until a new one is ready, and until a terminating one is gone (seconds).

    `grace` is None where the Pods' own `terminationGracePeriodSeconds` decides.
    """

    start: float = 5.0
    grace: float | None = None


Manifests = Callable[[str], World]
"""Reads other manifests."""


@dataclass
class Timeline:
    """Plays events in a cluster of objects. `service` is the one that events mean by default."""

    world: World
    service: str
    pace: Pace
    read: Manifests
    waiting: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    now: float = 0.0
    serial: int = 0
    rebooted: str = ""
    labels: list[str] = field(default_factory=list)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self.serial += 1
        heapq.heappush(self.waiting, (self.now + seconds, self.serial, action))

    def run(self, events: Sequence[Event], end: float) -> list[Step]:
        """Return all steps up to the end, the first of which is the beginning.

        Raises StickyError where an event names what is not there at its time.
        """
        steps = [Step(0.0, "", self.world.source(), gone=frozenset())]
        texts = steps[0].source
        labels = self.labels
        for event in in_order(events):
            if event.at > end:
                raise StickyError(
                    f"{event.kind} comes at {event.at:g} s, after the end ({end:g} s)"
                )
            self.serial += 1
            action: Callable[[], None] = _Starter(self, event)
            heapq.heappush(self.waiting, (event.at, self.serial, action))
        while self.waiting and self.waiting[0][0] <= end:
            self.now = self.waiting[0][0]
            labels.clear()
            self.rebooted = ""
            gone = frozenset(self.gone)
            while self.waiting and self.waiting[0][0] == self.now:
                heapq.heappop(self.waiting)[2]()
            source = self.world.source()
            changed = source != texts
            texts = source
            lost = frozenset(self.gone)
            if changed or labels or lost != gone or self.rebooted:
                steps.append(
                    Step(
                        self.now,
                        ", ".join(labels),
                        source if changed else None,
                        gone=lost if lost != gone else None,
                        rebooted=self.rebooted,
                    )
                )
        return steps

    def record(self, changes: Sequence[Recorded]) -> None:
        """Let recorded slices replace the ones that are there, each at its time."""
        for change in changes:
            self.serial += 1
            action: Callable[[], None] = _Change(self, change)
            heapq.heappush(self.waiting, (change.at, self.serial, action))

    def begin(self, event: Event) -> str:
        """Begin an event; return its label."""
        action = {
            "scale": self._scale,
            "rollout": self._rollout,
            "not-ready": self._unready,
            "ready": self._ready,
            "terminate": self._terminate,
            "crash": self._crash,
            "drain": self._drain,
            "affinity": self._affinity,
            "timeout": self._timeout,
            "restart": self._restart,
            "reboot": self._reboot,
            "manifests": self._manifests,
        }[event.kind]
        return _labelled(event, action(event))

    # Pods.

    def start_pod(self, like: str, owner: str, then: Callable[[], None] | None = None) -> str:
        """Start a Pod, which is ready after a while; never where no node takes it."""
        pod = self.world.add(like, owner)
        if not pod:
            return pod

        def ready() -> None:
            if pod in self.world.pods() and not self.world.is_terminating(pod):
                self.world.set_ready(pod, ready=True)
                if then is not None:
                    then()

        self.gone -= set(self.world.addresses(pod))
        self.after(self.pace.start, ready)
        return pod

    def end_pod(self, pod: str, grace: float) -> None:
        """Terminate a Pod, which is gone once its grace period is over."""
        if self.world.is_terminating(pod):
            return
        self.world.terminate(pod)
        addresses = set(self.world.addresses(pod))

        def go() -> None:
            self.gone |= addresses
            if pod in self.world.pods():
                self.world.remove(pod)

        self.after(grace, go)

    def grace_of(self, workload: Object | None) -> float:
        """Return the grace period of a workload's Pods."""
        if self.pace.grace is not None:
            return self.pace.grace
        seconds = at(workload, "spec", "template", "spec", "terminationGracePeriodSeconds")
        return float(seconds) if isinstance(seconds, int) else GRACE_SECONDS

    def grace_of_pod(self, pod: str) -> float:
        """Return the grace period of one Pod."""
        for kind in WORKLOADS:
            for workload in self.world.of_kind(kind):
                if pod in self.world.pods_of_workload(workload):
                    return self.grace_of(workload)
        return self.grace_of(None)

    def owner(self, event: Event) -> tuple[str, Object | None, list[str]]:
        """Return what an event scales or rolls out: its name, its workload, and its Pods."""
        name = event.target or self.service
        workload = self.world.workload(name) if event.target else None
        service = None if workload else self.world.find("Service", name)
        if workload is None and service is None:
            known = [*map(_name, self.world.of_kind("Service"))]
            hint = f"there are {', '.join(known[:5])}" if known else ""
            raise StickyError(f"no workload and no Service {shorten(name)}", hint)
        if service is not None:
            workload = self.world.workload_of(service)
            pods = self.world.pods_of_service(service)
        else:
            pods = self.world.pods_of_workload(workload or {})
        named = name if workload is None else text_at(workload, "metadata", "name")
        alive = [pod for pod in pods if not self.world.is_terminating(pod)]
        return named.rpartition("/")[2], workload, alive

    def _scale(self, event: Event) -> str:
        name, workload, pods = self.owner(event)
        wanted = int(event.value)
        if workload is not None:
            workload["spec"]["replicas"] = wanted
        owner = (event.target or self.service) if workload is None else _name(workload)
        like = self.world.pattern(owner, pods)
        if wanted > len(pods) and not like:
            message = f"{name} has had no Pod that others could be made like"
            raise StickyError(message, "begin with one, and scale to 0 after it")
        for _ in range(wanted - len(pods)):
            self.start_pod(like, name)
        # as a ReplicaSet does, those that are not ready first, then from the fullest node
        for _ in range(len(pods) - wanted):
            nodes = [self.world.node(pod) for pod in pods]
            chosen = max(
                range(len(pods)),
                key=lambda at: (not self.world.is_ready(pods[at]), nodes.count(nodes[at]), at),
            )
            self.end_pod(pods.pop(chosen), self.grace_of(workload))
        return name

    def _rollout(self, event: Event) -> str:
        name, workload, pods = self.owner(event)
        if not pods:
            raise StickyError(f"{name} has no Pod to replace")
        _Rollout(self, name, workload, pods).step()
        return name

    def _drain(self, event: Event) -> str:
        node = event.target
        if node not in {*self.world.nodes(), *map(self.world.node, self.world.pods())}:
            names = ", ".join(self.world.nodes()[:5])
            raise StickyError(f"no node {shorten(node)}", f"there are {names}" if names else "")
        self.world.cordoned.add(node)
        for pod in self.world.pods():
            if self.world.node(pod) == node and not self.world.is_terminating(pod):
                self.start_pod(pod, pod)
                self.end_pod(pod, self.grace_of_pod(pod))
        return node

    def _unready(self, event: Event) -> str:
        pod = self.world.pod(event.target)
        self.world.set_ready(pod, ready=False)
        return pod

    def _ready(self, event: Event) -> str:
        pod = self.world.pod(event.target)
        self.world.set_ready(pod, ready=True)
        self.gone -= set(self.world.addresses(pod))
        return pod

    def _terminate(self, event: Event) -> str:
        pod = self.world.pod(event.target)
        self.end_pod(pod, self.grace_of_pod(pod))
        return pod

    def _crash(self, event: Event) -> str:
        pod = self.world.pod(event.target)
        self.gone |= set(self.world.addresses(pod))
        self.world.set_ready(pod, ready=False)
        return pod

    # Services, nodes, everything.

    def _affinity(self, event: Event) -> str:
        (service,) = services_named(self.world, [event.target or self.service])
        self.world.set_affinity(service, event.value)
        return _name(service)

    def _timeout(self, event: Event) -> str:
        (service,) = services_named(self.world, [event.target or self.service])
        self.world.set_timeout(service, int(event.value))
        return _name(service)

    def _restart(self, event: Event) -> str:
        return event.target

    def _reboot(self, event: Event) -> str:
        self.rebooted = event.target or "*"
        return event.target

    def _manifests(self, event: Event) -> str:
        before = {address for pod in self.world.pods() for address in self.world.addresses(pod)}
        self.world = self.read(event.target)
        # what was under way belongs to objects that are replaced
        self.waiting = [one for one in self.waiting if isinstance(one[2], _Starter | _Change)]
        heapq.heapify(self.waiting)
        after = {address for pod in self.world.pods() for address in self.world.addresses(pod)}
        # what the new manifests lack has ended by then
        self.gone = (self.gone | before) - after
        return event.target


@dataclass
class _Starter:
    """Begins an event when its time comes."""

    timeline: Timeline
    event: Event

    def __call__(self) -> None:
        self.timeline.labels.append(self.timeline.begin(self.event))


@dataclass
class _Change:
    """Puts a recorded slice in place."""

    timeline: Timeline
    change: Recorded

    def __call__(self) -> None:
        act = self.timeline.world.drop_slice if self.change.deleted else self._put
        act(self.change.slice_)
        words = "deleted" if self.change.deleted else "changed"
        self.timeline.labels.append(f"{self.change.key} {words}")

    def _put(self, slice_: Object) -> None:
        self.timeline.world.put_slice(slice_)


class _Rollout:
    """A Deployment's rolling update.

    New Pods as long as there are no more than `maxSurge` above the wanted number; old ones are
    removed as long as no more than `maxUnavailable` are missing. Source: kubernetes
    `pkg/controller/deployment/rolling.go`, `util.ResolveFenceposts`.
    """

    def __init__(
        self, timeline: Timeline, name: str, workload: Object | None, pods: Sequence[str]
    ) -> None:
        self.timeline, self.name = timeline, name
        self.workload, self.old = workload, list(pods)
        self.wanted = len(pods)
        self.new: list[str] = []
        self.ended: list[str] = []
        self.ready = 0
        strategy = at(workload, "spec", "strategy", "rollingUpdate")
        self.surge = _part(at(strategy, "maxSurge"), self.wanted, up=True)
        self.unavailable = _part(at(strategy, "maxUnavailable"), self.wanted, up=False)
        if at(workload, "spec", "strategy", "type") == "Recreate":
            self.surge, self.unavailable = 0, self.wanted
        if self.surge == 0 and self.unavailable == 0:
            self.unavailable = 1
        settle = at(workload, "spec", "minReadySeconds")
        self.settle = float(settle) if isinstance(settle, int) else 0.0

    def step(self) -> None:
        """Start and end as many Pods as the strategy allows now."""
        spare = self.wanted + self.surge - len(self.old) - len(self.new)
        for _ in range(min(spare, self.wanted - len(self.new))):
            self.new.append(self.timeline.start_pod(self._like(), self.name, self._one_ready))
        ending = min(len(self.old), len(self.old) + self.ready - (self.wanted - self.unavailable))
        grace = self.timeline.grace_of(self.workload)
        for _ in range(ending):
            self.ended.append(self.old.pop())
            self.timeline.end_pod(self.ended[-1], grace)
        if ending > 0 and len(self.new) < self.wanted:
            self.step()

    def _like(self) -> str:
        """Return a Pod that is still there: its endpoints are what new ones are made like."""
        there = set(self.timeline.world.pods())
        return next(pod for pod in [*self.old, *self.new, *self.ended] if pod in there)

    def _one_ready(self) -> None:
        def available() -> None:
            self.ready += 1
            self.step()

        self.timeline.after(self.settle, available)


def _part(given: object, whole: int, *, up: bool) -> int:
    """Resolve `maxSurge` (rounded up) or `maxUnavailable` (rounded down): a number or a percent."""
    value = QUARTER if given is None else given
    if isinstance(value, int):
        return value
    text = str(value)
    if not (text.endswith("%") and text[:-1].isdecimal()):
        raise StickyError(f"{shorten(text)} is no number of Pods and no percentage")
    exact = int(text[:-1]) * whole / 100
    return ceil(exact) if up else floor(exact)


def _labelled(event: Event, target: str) -> str:
    """Return an event's label, with the name that its target turned out to have."""
    return replace(event, target=target).label


def _name(service: Object) -> str:
    namespace = text_at(service, "metadata", "namespace") or "default"
    return f"{namespace}/{text_at(service, 'metadata', 'name')}"
