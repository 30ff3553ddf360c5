"""The fixes of findings, made in the texts that the findings are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.run import LintReport, Located
from compiler.manifests.source import Source
from compiler.manifests.text import decode, is_json
from compiler.manifests.workloads import Workload
from compiler.yaml.edit import Change, NotEditable, edited


@dataclass(frozen=True)
class Fixes:
    """The new texts by file, the findings that they correct, and files that can't be corrected.

    `diff` is the difference in the form of `diff -u`.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    fixed: tuple[Located, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    diff: str = ""


def fixes_of(context: Context, report: LintReport) -> Fixes:
    """Make the fixes of a report's findings. Nothing is written."""
    changes: defaultdict[int, list[Change]] = defaultdict(list)
    fixed: defaultdict[int, list[Located]] = defaultdict(list)
    for one in report.findings:
        for edit in one.fix:
            target = edit.at.object
            place = target.place if isinstance(target, Workload) else context.fields.place(target)
            changes[place.source].append((place.document, (*place.path, *edit.at.path), edit.value))
            fixed[place.source].append(one)
    texts: dict[str, str] = {}
    failed: list[tuple[str, str]] = []
    corrected: list[Located] = []
    diff = ""
    for number, some in changes.items():
        source = context.given.sources[number]
        before = decode(source.text)
        try:
            _check_file(source)
            after = _edited(before, some)
        except NotEditable as error:
            failed.append((source.name, str(error)))
            continue
        texts[source.name] = after
        corrected += {id(one): one for one in fixed[number]}.values()
        diff += _diff(before, after, source.name)
    return Fixes(texts, tuple(corrected), tuple(failed), diff)


def _edited(text: str, changes: list[Change]) -> str:
    if is_json(text):
        message = "JSON is not changed: correct it by hand"
        raise NotEditable(message)
    return edited(text, changes)


def _check_file(source: Source) -> None:
    """Make sure that a file can be replaced by a text. Raises `NotEditable`."""
    path = Path(source.name)
    if not path.is_file():  # standard input
        message = "give a file"
        raise NotEditable(message)
    if path.read_bytes() != decode(source.text).encode():
        message = "it is compressed, has a byte order mark, or was changed: correct it by hand"
        raise NotEditable(message)


def _diff(before: str, after: str, name: str) -> str:
    lines = unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, name
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
