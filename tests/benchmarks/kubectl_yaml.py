"""Writes objects as kubectl prints YAML: the style of Go's sigs.k8s.io/yaml.

Keys are sorted, nesting is two spaces, a list's dashes are under its key, and a string is quoted
only where it would otherwise read as something else. That library is the YAML 1.1 emitter of
go-yaml v2: a string of several lines becomes a literal block, one with a space past column 80 is
folded there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

# Strings that YAML 1.1 would read as a bool, null, number or date; go-yaml quotes these.
_READS_AS_OTHER = re.compile(
    r"""(?: | ~ | null | Null | NULL | <<
    | y | Y | yes | Yes | YES | n | N | no | No | NO | on | On | ON | off | Off | OFF
    | true | True | TRUE | false | False | FALSE
    | [-+]?[0-9][0-9_]* (?: \.[0-9_]* )? (?: [eE][-+]?[0-9]+ )?
    | [-+]?\.[0-9_]+ (?: [eE][-+]?[0-9]+ )?
    | [-+]?0[xob][0-9a-fA-F_]+
    | [-+]?\.(?: inf | Inf | INF ) | \.(?: nan | NaN | NAN )
    | [-+]?[0-9][0-9_]* (?: :[0-5]?[0-9] )+ (?: \.[0-9_]* )?
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: [Tt ].* )?
    )""",
    re.VERBOSE,
)
# Why a string can't be plain: an indicator at its start, what would end it, outer blanks.
_NOT_PLAIN = re.compile(r"[,\[\]{}#&*!|>'\"%@`]|[-?:](?: |$)|---|\.\.\.|.*: |.*:$|.* #| |.* $")
_BEST_WIDTH = 80


def yaml_lines(value: Any, indent: int = 0) -> Iterator[str]:
    """Yield the lines, each with its newline, of a list or object that isn't empty."""
    pad = " " * indent
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _entry(f"{pad}{_scalar(key)}:", value[key], indent)
    else:
        for item in value:
            first, *rest = yaml_lines(item, indent + 2) if _nests(item) else (_inline(item),)
            yield f"{pad}- {first.lstrip(' ')}"
            yield from rest


def _nests(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _entry(head: str, value: Any, indent: int) -> Iterator[str]:
    """Yield the lines of one key and its value."""
    if _nests(value):
        yield f"{head}\n"
        yield from yaml_lines(value, indent if isinstance(value, list) else indent + 2)
    elif isinstance(value, str) and "\n" in value:
        keep = "" if value.endswith("\n") else "-"
        yield f"{head} |{keep}\n"
        for line in value.removesuffix("\n").split("\n"):
            yield f"{' ' * (indent + 2)}{line}\n" if line else "\n"
    else:
        yield from _folded(f"{head} ", _inline(value), indent + 2)


def _inline(value: Any) -> str:
    """Return a scalar or an empty collection on one line, with its newline."""
    if isinstance(value, str):
        return f"{_scalar(value)}\n"
    return f"{json.dumps(value)}\n"


def _scalar(text: str) -> str:
    if _READS_AS_OTHER.fullmatch(text):
        return f'"{text}"'
    if not text.isprintable():
        return json.dumps(text)
    if _NOT_PLAIN.match(text):
        return "'" + text.replace("'", "''") + "'"
    return text


def _folded(head: str, text: str, indent: int) -> Iterator[str]:
    """Break a long scalar at the single spaces past column 80, as go-yaml's writer does."""
    line = head
    words = text.split(" ")
    for index, word in enumerate(words):
        if index and len(line) > _BEST_WIDTH and word and words[index - 1]:
            yield f"{line}\n"
            line = " " * indent + word
        else:
            line += f" {word}" if index else word
    yield line
