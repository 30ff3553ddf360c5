"""The restore input that kube-proxy writes into its log at `-v=9`."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator

from compiler.family import Family
from compiler.netfilter.parse import detect_family

# klog puts a quoted string ("%+q") after rules= for bytes and <…> for text of several lines.
_LOGGED = re.compile(r'Restoring iptables(?: rules: |"?[^\n]*?[ ,{]"?rules"?[=:])')
# A YAML or JSON document, by its beginning or by the keys that any object has. A log has neither:
# klog indents a value of several lines with a tab, and an entry in JSON begins with its time.
_DOCUMENT = re.compile(
    r"""\A\s*(?:\{(?!\s*"(?:ts|time|level|msg|message|log)")|\[\s*[{"]|%YAML|---)"""
    r"""|^[ ]*(?:-[ ]+)*["']?(?:apiVersion|kind)["']?[ ]*:""",
    re.MULTILINE,
)
# No API object is larger (etcd takes 1.5 MiB): the first one has its keys before this place.
_MAX_OBJECT = 2 * 1024 * 1024
_RULE_LINE = re.compile(r"(?:\*[a-z]+$|:[^ ]+ |-[A-Z] |\[\d+:\d+\] -A |COMMIT$|#)")
_LOG_PREFIX = re.compile(
    r"^.*?(?=\*[a-z]+\s*$|:[A-Z][\w-]* (?:ACCEPT|DROP|-) \[|-[AX] [A-Z]|COMMIT\s*$)"
)


def is_log(text: str) -> bool:
    """Say whether a text is a log with restore input in it.

    YAML or JSON documents are none, whatever their strings quote.
    """
    return _LOGGED.search(text) is not None and _DOCUMENT.search(text, 0, _MAX_OBJECT) is None


def last_restore_input(text: str, family: Family | None = None) -> str | None:
    """Return the last restore input in a log, None if there is none.

    With `family` the last one of that family: a log may hold both. Lines keep their number where
    the log has the input on lines of its own (klog's `<…>` and older versions).
    """
    for start, found in _inputs(text):
        detected = detect_family(found)
        if family is None or detected is None or detected == family:
            return "\n" * text.count("\n", 0, start) + found
    return None


def _inputs(text: str) -> Iterator[tuple[int, str]]:
    """Give every restore input of a log, newest first.

    With each the place from which on its lines are the log's own, 0 where they are not.
    """
    for logged in reversed(list(_LOGGED.finditer(text))):
        start = logged.end()
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        first = text[start:end].lstrip(" ")
        if first.startswith("<"):
            yield end + 1, _own_lines(text, end + 1)
        elif first.startswith('"'):
            if (found := _quoted(first)) is not None:
                yield 0, found
        elif first.lstrip().startswith("*"):
            yield start, _own_lines(text, start)


def _own_lines(text: str, start: int) -> str:
    """Read rules on lines of their own, up to the first line that is not one."""
    rules = []
    for line in _lines_from(text, start):
        bare = line.strip(" \t\r")
        if not _RULE_LINE.match(bare):
            # journald and container runtimes put a prefix before each line
            bare = _LOG_PREFIX.sub("", bare)
        if bare and not _RULE_LINE.match(bare):
            break
        rules.append(bare)
    return "\n".join(rules) + "\n"


def _lines_from(text: str, start: int) -> Iterator[str]:
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _quoted(text: str) -> str | None:
    """Read a Go string (`%+q`) or a JSON string; zap writes bytes as base64."""
    try:
        value = json.JSONDecoder(strict=False).raw_decode(text)[0]
    except ValueError:
        value = _go_string(text)
    if not isinstance(value, str):
        return None
    if value.lstrip().startswith("*"):
        return value
    try:
        decoded = base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return None
    return decoded if decoded.lstrip().startswith("*") else None


_GO_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))"
)
_GO_NAMED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _go_string(text: str) -> str | None:
    """Read a quoted Go string, whose escapes are more than JSON's."""
    found = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    return _GO_ESCAPE.sub(_go_char, found[1]) if found else None


def _go_char(escape: re.Match[str]) -> str:
    for digits, base in ((escape[1], 16), (escape[2], 16), (escape[3], 16), (escape[4], 8)):
        if digits:
            value = int(digits, base)
            return chr(value) if value < 0x110000 else "�"
    return _GO_NAMED.get(escape[5], escape[5])
