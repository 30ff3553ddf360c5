"""`proxyrules.yaml`: the snapshots that it names, each with its places in the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from compiler.errors import InputError, Problem
from compiler.family import Family
from compiler.manifests.convert import shorten
from compiler.manifests.source import Source
from compiler.manifests.text import decode
from compiler.snapshots.command import CommandError, words_of
from compiler.snapshots.schema import DIRECTORY, FILE, KINDS, SCHEMA, check
from compiler.yaml.plain import (
    Path,
    PlainDocument,
    Position,
    SyntaxProblem,
    duplicate_keys,
    field_path,
    is_too_deep,
)


@dataclass(frozen=True)
class Definition:
    """A snapshot as the file defines it; `nodes` are names, or `ALL` or `KINDS`.

    `places` are the line and column of each of its fields, `()` is its own.
    """

    file: str
    name: str
    manifests: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    config: str | None = None
    nodes: tuple[str, ...] | str = KINDS
    families: tuple[Family, ...] = ()
    kube_version: str | None = None
    from_workloads: bool = False
    make_nodes: int = 0
    cluster: tuple[str, ...] = ()
    places: Mapping[Path, Position] = field(default_factory=dict)

    def problem(self, path: Path, message: str, hint: str = "") -> Problem:
        """Return a problem with one of its fields, or with itself where it does not have it."""
        at = path
        while at not in self.places and at:
            at = at[:-1]
        line, column = self.places.get(at, (None, None))
        return Problem(self.file, message, hint, line, column, self.subject, field_path(path))

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"snapshot {self.name}" if self.name else "a snapshot"


@dataclass(frozen=True)
class SnapshotFile:
    """What `proxyrules.yaml` says. `directory` is a path from the file's folder, without `.`.

    `partial` are definitions with problems, without the fields that have them.
    """

    directory: str
    definitions: tuple[Definition, ...]
    problems: tuple[Problem, ...] = ()
    partial: tuple[Definition, ...] = ()

    def named(self, names: Sequence[str]) -> tuple[Definition, ...]:
        """Return the definitions of these names, all without any. Raises `InputError`."""
        known = [one.name for one in self.definitions]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(
                Problem.of_argument("names", f"no snapshot {shorten(name)}", _near(name, known))
                for name in unknown
            )
        return tuple(one for one in self.definitions if not names or one.name in names)


def _near(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return f"snapshots: {', '.join(known[:5])}{more}"


def read_file(source: Source) -> SnapshotFile:
    """Read the file. `SnapshotFile.problems` has all that is wrong; what is not is there too.

    Raises `InputError` where nothing of it can be used.
    """
    document = _document(source)
    reading = _Reading(source.name, document)
    found = reading.file()
    if not found.definitions and not found.partial:
        raise InputError(found.problems)
    return found


def _document(source: Source) -> PlainDocument:
    from compiler.yaml.composed import compose

    try:
        documents = compose(decode(source.text))
        if len(documents) > 1:
            line, column = documents[1].locate(())
            problem = Problem(source.name, "a second document", "write one", line, column)
            raise InputError(problem)
        _ = documents[0].value if documents else None
    except SyntaxProblem as problem:
        raise InputError(
            Problem(source.name, problem.message, problem.hint, problem.line, problem.column)
        ) from problem
    if not documents or documents[0].value is None or is_too_deep(documents[0].value):
        hint = "proxyrules snapshot init writes an example"
        raise InputError(Problem(source.name, "no snapshots in it", hint))
    return documents[0]


class _Reading:
    def __init__(self, name: str, document: PlainDocument) -> None:
        self._name, self._document = name, document
        self.problems: list[Problem] = []
        self._bad: set[Path] = set()

    def add(self, path: Path, message: str, hint: str = "", at_key: bool = False) -> None:
        """Report a problem with a value, or a key."""
        if hint == "quote it" and (written := self._document.written(path)):
            hint = f'quote it: "{written}"'
        line, column = self._document.locate(path, key=at_key)
        self._bad.add(path)
        self.problems.append(Problem(self._name, message, hint, line, column, "", field_path(path)))

    def file(self) -> SnapshotFile:
        value: Any = self._document.value
        for path in duplicate_keys(value):
            self.add(path, "duplicate key", "a key can appear only once", at_key=True)
        # a file with settings of lint alone is one that these commands can't use
        check(value, {**SCHEMA, "anyOf": (), "required": ["snapshots"]}, self.add)
        mapping = value if isinstance(value, dict) else {}
        directory = DIRECTORY
        if "directory" in mapping and not self._is_bad(("directory",)):
            directory = self._directory(mapping["directory"])
        items = mapping.get("snapshots")
        items = items if isinstance(items, list) else []
        self._check_names(items)
        definitions: list[list[Definition]] = [[], []]
        for place, item in enumerate(items):
            if isinstance(item, dict):
                definition = self._definition(place, item)
                definitions[self._is_bad(("snapshots", place))].append(definition)
        in_order = sorted(self.problems, key=lambda p: (p.line or 0, p.column or 0))
        usable, partial = map(tuple, definitions)
        return SnapshotFile(directory, usable, tuple(in_order), partial)

    def _is_bad(self, path: Path) -> bool:
        return any(bad[: len(path)] == path for bad in self._bad)

    def _directory(self, text: str) -> str:
        """Return the folder of the files; the default where this one can't be used."""
        self._check_path(("directory",), text)
        path = str(PurePosixPath(text))
        if not self._is_bad(("directory",)) and path.split("/", 1)[0] in (".", ".git"):
            hint = f"use a folder of its own, such as {DIRECTORY}"
            self.add(("directory",), f"{shorten(text)} can't hold the files", hint)
        return DIRECTORY if self._is_bad(("directory",)) else path

    def _check_path(self, path: Path, text: str) -> None:
        parts = text.split("/")
        if text.startswith(("/", "~")) or ".." in parts:
            message = f"{shorten(text)} is outside the folder of {FILE}"
            if ".." in parts and not text.startswith(("/", "~")):
                message = f"{shorten(text)} has `..`, which may lead outside the folder of {FILE}"
            self.add(path, message, "use a path below it")
        elif "\\" in text or "\0" in text:
            self.add(path, f"{shorten(text)} is not a path", "separate folders by /")

    def _definition(self, place: int, item: dict[str, Any]) -> Definition:
        """Make a definition of the fields that are valid."""
        base: Path = ("snapshots", place)
        lists = {name: self._bad_list((*base, name), item) for name in ("manifests", "cluster")}
        item = {name: value for name, value in item.items() if not self._is_bad((*base, name))}
        item |= {name: value for name, value in lists.items() if value}
        manifests, cluster = (
            self._patterns((*base, name), item.get(name, ())) for name in ("manifests", "cluster")
        )
        if "config" in item:
            self._check_path((*base, "config"), item["config"])
        words = self._command((*base, "command"), item.get("command"))
        item = {name: value for name, value in item.items() if not self._is_bad((*base, name))}
        nodes = item.get("nodes", KINDS)
        return Definition(
            self._name,
            item.get("name", ""),
            manifests,
            words,
            item.get("config"),
            nodes if isinstance(nodes, str) else tuple(nodes),
            tuple(Family(one) for one in item.get("families", ())),
            item.get("kubeVersion"),
            item.get("fromWorkloads", False),
            int(item.get("makeNodes", 0)),
            cluster,
            self._places(base, item),
        )

    def _bad_list(self, path: Path, item: dict[str, Any]) -> list[str]:
        """Return a list of strings of which only some are bad, else an empty one."""
        given = item.get(str(path[-1]))
        if path in self._bad or not isinstance(given, list) or not self._is_bad(path):
            return []
        return [one if isinstance(one, str) else "" for one in given]

    def _patterns(self, path: Path, given: Sequence[str]) -> tuple[str, ...]:
        """Return patterns; a bad one is empty, so that the others keep their places."""
        for index, pattern in enumerate(given):
            if not self._is_bad((*path, index)):
                self._check_path((*path, index), pattern)
        return tuple(
            "" if self._is_bad((*path, index)) else pattern for index, pattern in enumerate(given)
        )

    def _command(self, path: Path, given: object) -> tuple[str, ...]:
        if not isinstance(given, str | list):
            return ()
        try:
            return words_of(given if isinstance(given, str) else tuple(given))
        except CommandError as error:
            self.add(path, error.message, error.hint)
            return ()

    def _places(self, base: Path, item: dict[str, Any]) -> dict[Path, Position]:
        paths: list[Path] = [()]
        for name, value in item.items():
            paths.append((name,))
            if isinstance(value, list):
                paths += [(name, index) for index in range(len(value))]
        return {path: self._document.locate((*base, *path)) for path in paths}

    def _check_names(self, items: Sequence[object]) -> None:
        first: dict[str, int] = {}
        for place, item in enumerate(items):
            name = item.get("name") if isinstance(item, dict) else None
            path = ("snapshots", place, "name")
            if not isinstance(name, str) or self._is_bad(path):
                continue
            if name in first:
                line, _ = self._document.locate(("snapshots", first[name], "name"))
                message = f"the name {shorten(name)} is taken (first at line {line})"
                self.add(path, message, "names must be unique")
            first.setdefault(name, place)
