"""Events as users write them: `10m=rollout:web`, `40m=scale:web=5`, `1h=timeout=300`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from compiler.analysis.sticky.duration import seconds_of
from compiler.analysis.sticky.errors import StickyError
from compiler.manifests.convert import shorten


@dataclass(frozen=True)
class Kind:
    """A kind of event: whether it takes a target and a value, and what it does.

    `target` is what the target is (`workload`, `pod`, `node`, `service`); `required` is whether
    there must be one.
    """

    name: str
    target: str
    required: bool
    value: str
    text: str


KINDS = (
    Kind("scale", "workload", False, "a number of Pods", "more or fewer Pods"),
    Kind("rollout", "workload", False, "", "every Pod is replaced, as a Deployment does it"),
    Kind("not-ready", "pod", True, "", "a Pod fails its readiness probe"),
    Kind("ready", "pod", True, "", "a Pod is ready again"),
    Kind("terminate", "pod", True, "", "a Pod is deleted, and serves until its grace period ends"),
    Kind("crash", "pod", True, "", "a Pod is gone at once"),
    Kind("drain", "node", True, "", "a node's Pods are evicted and start elsewhere"),
    Kind("affinity", "service", False, "ClientIP or None", "sessionAffinity changes"),
    Kind("timeout", "service", False, "seconds", "the timeout of session affinity changes"),
    Kind("restart", "node", False, "", "kube-proxy restarts and writes all rules again"),
    Kind(
        "reboot", "node", False, "", "a node loses its lists: a reboot, or rules that were flushed"
    ),
)
_BY_NAME = {kind.name: kind for kind in KINDS}
MAX_TIMEOUT = 86400


@dataclass(frozen=True)
class Event:
    """Something that happens at a time in seconds.

    `kind` is a name of `KINDS`, or `manifests` for other manifests (or rules) from then on, whose
    path is `target`.
    """

    at: float
    kind: str
    target: str = ""
    value: str = ""

    @property
    def label(self) -> str:
        """The event in words."""
        words = {
            "scale": f"scale {self.target} to {self.value}",
            "rollout": f"rollout of {self.target}",
            "not-ready": f"not ready: {self.target}",
            "ready": f"ready again: {self.target}",
            "affinity": f"affinity of {self.target} becomes {self.value}",
            "timeout": f"timeout of {self.target} becomes {self.value} s",
            "restart": f"kube-proxy restarts on {self.target or 'all nodes'}",
            "reboot": f"reboot of {self.target or 'all nodes'}",
            "manifests": f"change to {self.target}",
        }
        return words.get(self.kind, f"{self.kind} {self.target}")


def read_event(text: str, is_file: Callable[[str], bool]) -> Event:
    """Read `TIME=EVENT`. Raises StickyError that says what is wrong."""
    when, separator, rest = text.partition("=")
    if not separator or not rest:
        raise StickyError(f"{shorten(text)} is no event", "write TIME=EVENT, such as 10m=rollout")
    return read_event_words(seconds_of(when), rest, is_file)


def read_event_words(at: float, words: str, is_file: Callable[[str], bool]) -> Event:
    """Read `EVENT[:TARGET][=VALUE]`, or the path of manifests. Raises StickyError."""
    head, _, value = words.partition("=")
    name, _, target = head.partition(":")
    kind = _BY_NAME.get(name)
    if kind is None:
        if is_file(words):
            return Event(at, "manifests", words)
        raise StickyError(f"no event {shorten(name)}, and no such file", _one_of(name))
    if kind.required and not target:
        raise StickyError(f"{name} names no {kind.target}", f"write {name}:{kind.target.upper()}")
    if kind.value and not value:
        written = f"{name}:{target}" if target else name
        raise StickyError(f"{name} has no value", f"write {written}=VALUE, {kind.value}")
    if value and not kind.value:
        raise StickyError(f"{name} takes no value, found {shorten(value)}")
    _check_value(name, value)
    return Event(at, name, target, value)


def _check_value(name: str, value: str) -> None:
    if name == "affinity" and value not in ("ClientIP", "None"):
        message = f"{shorten(value)} is no session affinity"
        raise StickyError(message, "supported values: ClientIP, None")
    if name == "scale" and not (value.isdecimal() and int(value) <= 10_000):
        raise StickyError(f"{shorten(value)} is no number of Pods", "use 0 to 10000")
    if name == "timeout" and not (value.isdecimal() and 1 <= int(value) <= MAX_TIMEOUT):
        raise StickyError(f"{shorten(value)} is no timeout", f"use 1 to {MAX_TIMEOUT} seconds")


def _one_of(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, _BY_NAME)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"events are {', '.join(_BY_NAME)}, or the path of other manifests"


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return events by time; those of one time in the order in which they were given."""
    return tuple(sorted(events, key=lambda event: event.at))
