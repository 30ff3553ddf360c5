"""Changes of values in YAML text that leave all else as it was: comments, order, layout."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from compiler.yaml.plain import Path

Change = tuple[int, Path, "str | int | bool | None"]
"""The number of a document, a path in it, and the new value; None removes the key."""

# Mapping, sequence and offset of the layouts that people write.
_INDENTS = ((2, 2, 0), (2, 4, 2), (4, 4, 0), (4, 6, 4), (4, 4, 2), (2, 3, 1), (3, 3, 0))


class NotEditable(Exception):  # noqa: N818  # a reason, which the caller reports
    """The text can't be written back as it was."""


def edited(text: str, changes: Sequence[Change]) -> str:
    """Make changes in a text.

    Raises `NotEditable` where the text without them would not be written back as it is, so that
    the changes would not be the only difference.
    """
    for indents in _INDENTS:
        yaml = _yaml(*indents)
        documents = _load(yaml, text)
        starts_explicitly = text.startswith("---")
        if _dump(yaml, documents, explicit=starts_explicitly) != text:
            continue
        try:
            for number, path, value in changes:
                _change(documents[number], path, value)
        except (LookupError, TypeError) as error:
            message = "the field to change is not where it was found"
            raise NotEditable(message) from error
        return _dump(yaml, documents, explicit=starts_explicitly)
    message = "its layout would change: correct it by hand"
    raise NotEditable(message)


def _yaml(mapping: int, sequence: int, offset: int) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 30
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    return yaml


def _load(yaml: YAML, text: str) -> list[Any]:
    try:
        return list(yaml.load_all(text))
    except (YAMLError, ValueError, RecursionError) as error:
        message = "it can't be read for a change"
        raise NotEditable(message) from error


def _dump(yaml: YAML, documents: Sequence[Any], *, explicit: bool) -> str:
    yaml.explicit_start = explicit
    stream = StringIO()
    yaml.dump_all(documents, stream)
    return stream.getvalue()


def _change(document: Any, path: Path, value: str | int | bool | None) -> None:
    """Change one value; a mapping that is left empty is removed too."""
    parents = [document]
    for step in path[:-1]:
        parent = parents[-1]
        if value is not None and isinstance(parent, dict) and step not in parent:
            parent[step] = {}
        parents.append(parent[step])
    if value is not None:
        parents[-1][path[-1]] = value
        return
    for parent, step in zip(reversed(parents), reversed(path), strict=True):
        del parent[step]
        if parent or not isinstance(parent, dict):
            return
