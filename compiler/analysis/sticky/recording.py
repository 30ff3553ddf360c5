"""A recorded `kubectl get endpointslices --watch -o json`, as changes at times.

Such a record is one JSON object after another: first every EndpointSlice that is there, then each
one again when it changes (kubectl `pkg/cmd/get/get.go`, `watch`). It has no times of its own, and
does not tell a deleted object from a changed one, unless `--output-watch-events` wraps them in
`{"type": "DELETED", "object": …}`. What comes nearest to a time is an annotation that the
EndpointSlice controller writes, in whole seconds, of when the Pod or Service changed:
`endpoints.kubernetes.io/last-change-trigger-time`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from compiler.control_plane.objects import kind_of, text_at
from compiler.errors import InputError, Problem
from compiler.manifests.source import Source
from compiler.manifests.text import decode
from compiler.yaml.plain import PlainDocument, SyntaxProblem, json_documents

TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
_HINT = "record it with: kubectl get endpointslices -A --watch --output-watch-events -o json"


@dataclass(frozen=True)
class Recorded:
    """An EndpointSlice that was there from a time in seconds on, or (`deleted`) no longer."""

    at: float
    slice_: dict[str, Any]
    deleted: bool = False

    @property
    def key(self) -> str:
        """The slice's name and namespace."""
        return _key(self.slice_)


def _key(slice_: object) -> str:
    namespace = text_at(slice_, "metadata", "namespace") or "default"
    return f"{namespace}/{text_at(slice_, 'metadata', 'name')}"


def read_recording(
    source: Source, first: float, every: float | None
) -> tuple[list[dict[str, Any]], list[Recorded]]:
    """Return the slices that were there at first, and the changes after them.

    The first change comes at `first` seconds, each later one as long after it as their trigger
    times are apart; with `every`, one comes every so many seconds. Raises `InputError`.
    """
    documents = _documents(source)
    problems: list[Problem] = []
    initial: dict[str, dict[str, Any]] = {}
    changes: list[tuple[PlainDocument, dict[str, Any], bool]] = []
    for document in documents:
        value = document.value
        kind, deleted = "", False
        if isinstance(value, dict) and isinstance(value.get("object"), dict):
            kind = text_at(value, "type")
            value, deleted = value["object"], kind == "DELETED"
        if not isinstance(value, dict) or kind_of(value) != "EndpointSlice":
            line, column = document.locate(())
            problems.append(Problem(source.name, "no EndpointSlice", _HINT, line, column))
        elif not changes and kind in ("", "ADDED") and _key(value) not in initial:
            initial[_key(value)] = value
        else:
            changes.append((document, value, deleted))
    if not documents:
        problems.append(Problem(source.name, "no JSON object in it", _HINT))
    times = [_trigger(value) for _, value, _ in changes]
    if every is None and None in times:
        document = changes[times.index(None)][0]
        line, column = document.locate(())
        message = f"a change without the annotation {TRIGGER_TIME}"
        hint = "give the time between changes with --watch-every"
        problems.append(Problem(source.name, message, hint, line, column))
    if problems:
        raise InputError(problems)
    moments = _moments([one for one in times if one is not None], len(changes), first, every)
    recorded = [
        Recorded(at, value, deleted)
        for at, (_, value, deleted) in zip(moments, changes, strict=True)
    ]
    return list(initial.values()), recorded


def _moments(times: Sequence[float], count: int, first: float, every: float | None) -> list[float]:
    if every is not None:
        return [first + number * every for number in range(count)]
    moments: list[float] = []
    for time in times:
        at = first + time - times[0]
        # objects that were recorded later changed later, whatever their clocks say
        moments.append(max(at, moments[-1]) if moments else first)
    return moments


def _trigger(value: object) -> float | None:
    written = text_at(value, "metadata", "annotations", TRIGGER_TIME)
    try:
        return datetime.fromisoformat(written).timestamp()
    except ValueError:
        return None


def _documents(source: Source) -> list[PlainDocument]:
    try:
        return list(json_documents(decode(source.text)))
    except SyntaxProblem as problem:
        place = (problem.line, problem.column)
        raise InputError(Problem(source.name, str(problem), _HINT, *place)) from problem
