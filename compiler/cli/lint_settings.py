"""Settings of `lint` in files: `proxyrules.yaml`, or `[tool.proxyrules.lint]` of `pyproject.toml`.

The first of the current folder and those above it that has either is taken, up to the root of the
repository. In one folder `proxyrules.yaml` is taken. Options of the command override the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.cli.lint_levels import FAIL_LEVELS
from compiler.errors import InputError, Problem
from compiler.manifests.convert import describe, shorten
from compiler.manifests.source import read_source
from compiler.manifests.text import decode
from compiler.yaml.plain import Position, SyntaxProblem

YAML_FILE, TOML_FILE = "proxyrules.yaml", "pyproject.toml"
SECTION = "tool.proxyrules.lint"
KEYS = ("select", "ignore", "fail-level", "baseline")

# TOML's own errors have places; of a text without them only what is looked for is found.
_HEADER = re.compile(
    r"^[ \t]*\[\s*" + r"\s*\.\s*".join(SECTION.split(".")) + r"\s*\]", re.MULTILINE
)

_Steps = tuple[str | int, ...]
_Locate = Callable[[_Steps], Position]


@dataclass(frozen=True)
class Settings:
    """What a file sets; None for what it does not. `baseline` is relative to the file's folder."""

    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    fail_level: str | None = None
    baseline: str | None = None


def read_settings(folder: Path) -> Settings:
    """Read the settings that hold in a folder. Raises `InputError` with every problem of a file."""
    for parent in (folder, *folder.parents):
        for name, read in ((YAML_FILE, _yaml), (TOML_FILE, _toml)):
            path = parent / name
            if path.is_file() and (found := read(path, _shown(path, folder))) is not None:
                return found
        if (parent / ".git").exists():
            break
    return Settings()


def _shown(path: Path, folder: Path) -> str:
    """Name a file as messages do: relative to the current folder, if it is in it."""
    return path.name if path.parent == folder else str(path)


def _yaml(path: Path, name: str) -> Settings | None:
    from compiler.snapshots.schema import SCHEMA
    from compiler.yaml.composed import compose

    try:
        documents = compose(decode(read_source(path).text))
        value = documents[0].value if documents else None
    except SyntaxProblem as error:
        problem = Problem(name, error.message, error.hint, error.line, error.column)
        raise InputError(problem) from error
    if value is None:
        return Settings()
    document = documents[0]

    def locate(steps: _Steps) -> Position:
        return document.locate(("lint", *steps), key=bool(steps) and isinstance(steps[-1], str))

    if not isinstance(value, dict):
        message = f"expected a mapping, found {describe(value)}"
        raise InputError(Problem(name, message, "such as lint: {ignore: [PR101]}", 1, 1))
    keys = SCHEMA["properties"]  # the others are for `snapshot` and `review`
    unknown = [key for key in value if key not in keys]
    if unknown:
        line, column = document.locate((unknown[0],), key=True)
        message = f"unknown key {shorten(unknown[0])}"
        raise InputError(Problem(name, message, f"keys: {', '.join(keys)}", line, column))
    return _Reading(name, path.parent, locate, "lint").settings(value.get("lint"))


def _toml(path: Path, name: str) -> Settings | None:
    text = decode(read_source(path).text)
    try:
        value: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(found[1]), int(found[2])) if found else (None, None)
        message = str(error).partition(" (at ")[0]
        message = f"not TOML: {message[:1].lower()}{message[1:]}"
        raise InputError(Problem(name, message, "", line, column)) from error
    for step in SECTION.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return None
    return _Reading(name, path.parent, lambda steps: _in_toml(text, steps), SECTION).settings(value)


def _in_toml(text: str, steps: _Steps) -> Position:
    """Find a key of the section, or an entry of its list, in a text that is valid TOML."""
    header = _HEADER.search(text)
    start = header.end() if header else 0
    at = header.start() if header else 0
    if steps:
        key = re.compile(rf"^[ \t]*([\"']?){re.escape(str(steps[0]))}\1[ \t]*=", re.MULTILINE)
        if found := key.search(text, start):
            at = found.end() - len(found[0].lstrip())
            entries = re.finditer(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'", text[found.end() :])
            if len(steps) > 1:
                for number, entry in enumerate(entries):
                    if number == steps[1]:
                        at = found.end() + entry.start()
                        break
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


class _Reading:
    """Takes the values of a section; `problems` has all that is wrong with them."""

    def __init__(self, file: str, folder: Path, locate: _Locate, section: str) -> None:
        self._file, self._folder, self._locate = file, folder, locate
        self._section = section
        self.problems: list[Problem] = []

    def settings(self, value: object) -> Settings:
        """Return the settings. Raises `InputError`."""
        section: Mapping[str, object] = {}
        if isinstance(value, dict):
            section = value
        elif value is not None:
            self._add((), f"expected a mapping, found {describe(value)}", "")
        for key in section:
            if key not in KEYS:
                self._add((key,), f"unknown key {shorten(key)}", f"keys: {', '.join(KEYS)}")
        settings = Settings(
            select=self._rules(section, "select"),
            ignore=self._rules(section, "ignore"),
            fail_level=self._level(section),
            baseline=self._path(section),
        )
        if self.problems:
            raise InputError(self.problems)
        return settings

    def _add(self, steps: _Steps, message: str, hint: str) -> None:
        line, column = self._locate(steps)
        field = ".".join([self._section, *(str(one) for one in steps if isinstance(one, str))])
        field += "".join(f"[{one}]" for one in steps if isinstance(one, int))
        self.problems.append(Problem(self._file, message, hint, line, column, field=field))

    def _rules(self, section: Mapping[str, object], key: str) -> tuple[str, ...] | None:
        from compiler.analysis.lint.selection import unknown

        value = section.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self._add((key,), f"expected a list, found {describe(value)}", f"{key}: [PR101]")
            return None
        if not value and key == "select":
            self._add((key,), "an empty list selects no rule", "leave it out to select all")
        for index, entry in enumerate(value):
            if not isinstance(entry, str):
                self._add((key, index), f"expected a string, found {describe(entry)}", "")
            elif problem := unknown(entry):
                self._add((key, index), *problem)
        return tuple(map(str, value))

    def _level(self, section: Mapping[str, object]) -> str | None:
        value = section.get("fail-level")
        if value is None or value in FAIL_LEVELS:
            return None if value is None else str(value)
        message = f"unsupported value {shorten(str(value))}"
        self._add(("fail-level",), message, f"supported values: {', '.join(FAIL_LEVELS)}")
        return None

    def _path(self, section: Mapping[str, object]) -> str | None:
        value = section.get("baseline")
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            self._add(("baseline",), f"expected a path, found {describe(value)}", "")
            return None
        return str(self._folder / value) if self._folder != Path.cwd() else value


def split_rules(values: tuple[str, ...]) -> tuple[str, ...] | None:
    """Split `PR1,PR203` given once or more; None where nothing was given."""
    return tuple(_parts(values)) if values else None


def _parts(values: tuple[str, ...]) -> Iterator[str]:
    for value in values:
        yield from (part.strip() for part in value.split(","))
