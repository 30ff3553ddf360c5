"""Findings that the owner of a Service has decided to live with, by an annotation.

    metadata:
      annotations:
        proxyrules.dev/ignore: "PR101: clients use one port only"

An entry is one or more ids and a reason; several entries are separated by semicolons or new lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compiler.manifests.schema import Service

ANNOTATION = "proxyrules.dev/ignore"
PATH = ("metadata", "annotations", ANNOTATION)

_SEPARATOR = re.compile(r"[;\n]")
_ENTRY = re.compile(r"\s*([^:]*?)\s*(?::\s*(.*?))?\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: the ids that it names, its reason (empty without one) and its own text."""

    ids: tuple[str, ...]
    reason: str
    text: str


def entries(value: str) -> Iterator[Entry]:
    """Read the entries of an annotation."""
    for text in _SEPARATOR.split(value):
        found = _ENTRY.match(text)
        if found and text.strip():
            ids = tuple(word for word in re.split(r"[\s,]+", found[1]) if word)
            yield Entry(ids, (found[2] or "").strip(), text.strip())


def service_of(subject: str) -> str:
    """Return the Service (`default/web`) that the subject of a finding names; empty if none."""
    kind, _, name = subject.partition(" ")
    return name.partition(":")[0] if kind == "Service" else ""


class Suppressions:
    """The annotations of the Services, and which of them were needed.

    `suppressed` counts the findings that were left out.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self.services: Mapping[str, Service] = {
            f"{one.metadata.namespace or 'default'}/{one.metadata.name}": one
            for one in services
            if one.metadata and one.metadata.annotations and one.metadata.annotations.lint_ignore
        }
        self.suppressed = 0
        self._used: set[tuple[str, str]] = set()

    def entries_of(self, name: str) -> list[Entry]:
        """Return the entries of a Service."""
        service = self.services.get(name)
        metadata = service.metadata if service else None
        annotations = metadata.annotations if metadata else None
        return list(entries((annotations and annotations.lint_ignore) or ""))

    def covers(self, rule_id: str, subject: str) -> bool:
        """Whether a finding is to be left out."""
        name = service_of(subject)
        if name not in self.services:
            return False
        if not any(rule_id in entry.ids for entry in self.entries_of(name)):
            return False
        self._used.add((name, rule_id))
        self.suppressed += 1
        return True

    def is_used(self, name: str, rule_id: str) -> bool:
        """Whether an entry of a Service has left out any finding of a rule so far."""
        return (name, rule_id) in self._used
