"""A file of events, in YAML or JSON.

events:
  - at: 10m
    event: rollout:web
  - at: 40m
    event: scale:web=5
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from compiler.analysis.sticky.duration import seconds_of
from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.events import Event, read_event_words
from compiler.errors import InputError, Problem
from compiler.manifests.convert import describe, shorten
from compiler.manifests.source import Source
from compiler.manifests.text import decode, is_json
from compiler.yaml.composed import compose
from compiler.yaml.plain import Path, PlainDocument, SyntaxProblem, json_documents

_KEYS = ("at", "event")
_HINT = "write events: with a list of at: and event:"


def read_events(source: Source, is_file: Callable[[str], bool]) -> tuple[Event, ...]:
    """Read all events of a file. Raises `InputError` with every problem and its place."""
    try:
        text = decode(source.text)
        documents: list[PlainDocument] = list(
            json_documents(text) if is_json(text) else compose(text)
        )
    except SyntaxProblem as problem:
        place = (problem.line, problem.column)
        raise InputError(Problem(source.name, str(problem), problem.hint, *place)) from problem
    reader = _Reader(source.name, is_file)
    events = [event for document in documents for event in reader.document(document)]
    if not events and not reader.problems:
        reader.problems.append(Problem(source.name, "no events in it", _HINT))
    if reader.problems:
        raise InputError(reader.problems)
    return tuple(events)


class _Reader:
    def __init__(self, name: str, is_file: Callable[[str], bool]) -> None:
        self.name, self.is_file = name, is_file
        self.problems: list[Problem] = []

    def document(self, document: PlainDocument) -> Iterator[Event]:
        """Read one document: a mapping with `events`, or the list itself."""
        value, base = document.value, ()
        if value is None:
            return
        items: object = value
        where: Path = base
        if isinstance(value, dict):
            for key in value:
                if key != "events":
                    self._problem(document, (key,), f"unknown key {shorten(str(key))}", _HINT)
            items, where = value.get("events"), ("events",)
        if not isinstance(items, list):
            self._problem(document, where, f"expected a list, found {describe(items)}", _HINT)
            return
        for number, item in enumerate(items):
            event = self._event(document, (*where, number), item)
            if event is not None:
                yield event

    def _event(self, document: PlainDocument, where: Path, item: object) -> Event | None:
        if not isinstance(item, dict):
            message = f"expected a mapping, found {describe(item)}"
            self._problem(document, where, message, "write at: and event:")
            return None
        for key in item:
            if key not in _KEYS:
                message = f"unknown key {shorten(str(key))}"
                self._problem(document, (*where, key), message, "keys are at and event")
        missing = [key for key in _KEYS if key not in item]
        if missing:
            self._problem(document, where, f"{missing[0]} is missing")
            return None
        try:
            at = seconds_of(_written(item["at"]))
        except StickyError as error:
            self._problem(document, (*where, "at"), str(error), error.hint)
            return None
        try:
            return read_event_words(at, _written(item["event"]), self.is_file)
        except StickyError as error:
            self._problem(document, (*where, "event"), str(error), error.hint)
            return None

    def _problem(self, document: PlainDocument, where: Path, message: str, hint: str = "") -> None:
        line, column = document.locate(where, key=message.startswith("unknown key"))
        steps = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in where)
        self.problems.append(
            Problem(self.name, message, hint, line, column, "", steps.removeprefix("."))
        )


def _written(value: object) -> str:
    """Return a scalar as text: `20` is a number in YAML, and a duration here."""
    return value if isinstance(value, str) else str(value)
