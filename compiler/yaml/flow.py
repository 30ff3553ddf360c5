"""Flow collections on one line, as JSON: `[sh, -c]`, `{name: http, port: 80}`, `["a", {b: 'c'}]`.

Their scalars are plain ones without any character that means something in a flow collection, and
quoted ones. Everything else, a duplicate key for one, is left to `composed`.
"""

from __future__ import annotations

import re
from typing import Final

from compiler.yaml.scalar import COMMENT, DOUBLE, SINGLE, is_readable, plain_to_json, quote

# Levels of nesting; deeper ones are not read here.
MAX_LEVELS: Final = 16

_PLAIN = (
    rb"(?: ~(?=[ ,\]}]) | [A-Za-z0-9_./] | -(?=[A-Za-z0-9_./-]) )"
    rb"(?: [-A-Za-z0-9_./@+=$^;()]++ | \ ++(?=[-A-Za-z0-9_./@+=$^;()]) )*"
)
_SCALAR = re.compile(
    rb"(?: (?P<double>" + DOUBLE + rb") | (?P<single>" + SINGLE + rb") | (?P<plain>" + _PLAIN
    + rb") )\ *+",
    re.VERBOSE,
)  # fmt: skip
_BLANKS = re.compile(rb" *+")
_END = re.compile(rb"\ *+ (?: (?<=\ )" + COMMENT + rb")?", re.VERBOSE)


class _UnsupportedError(Exception):
    """Not a flow collection of the kind that is read here."""


def to_json(text: bytes) -> bytes | None:
    """Return the JSON of a flow collection; None for what is not read here."""
    start = _past_blanks(text, 0)
    if text[start : start + 1] not in (b"[", b"{") or not is_readable(text):
        return None
    try:
        json, end = _value(text, start, 0)
    except _UnsupportedError:
        return None
    return json if _END.fullmatch(text, end) else None


def _value(text: bytes, at: int, level: int) -> tuple[bytes, int]:
    """Return the JSON of the value that begins at an offset, and where what follows it begins."""
    opening = text[at : at + 1]
    if opening == b"[":
        return _list(text, at, level + 1)
    if opening == b"{":
        return _mapping(text, at, level + 1)
    return _scalar(text, at)


def _scalar(text: bytes, at: int) -> tuple[bytes, int]:
    found = _SCALAR.match(text, at)
    if found is None:
        raise _UnsupportedError
    if plain := found["plain"]:
        json = plain_to_json(plain)
    elif single := found["single"]:
        json = quote(single[1:-1].replace(b"''", b"'"))
    else:
        json = found["double"]
    if json is None:
        raise _UnsupportedError
    return json, found.end()


def _list(text: bytes, at: int, level: int) -> tuple[bytes, int]:
    at, is_last = _first(text, at, b"]", level)
    parts = []
    while not is_last:
        json, at = _value(text, at, level)
        parts.append(json)
        at, is_last = _next(text, at, b"]")
    return b"[%b]" % b",".join(parts), at


def _mapping(text: bytes, at: int, level: int) -> tuple[bytes, int]:
    at, is_last = _first(text, at, b"}", level)
    parts: dict[bytes, bytes] = {}
    while not is_last:
        key, after = _scalar(text, at)
        # A quoted key needs no blank behind its colon.
        is_plain = text[at : at + 1] not in (b'"', b"'")
        colon = text[after : after + 2]
        if key[:1] != b'"' or key in parts or b"\\" in key or colon[:1] != b":":
            raise _UnsupportedError
        if colon != b": " and (is_plain or colon[1:] not in (b'"', b"'", b"[", b"{")):
            raise _UnsupportedError
        json, at = _value(text, _past_blanks(text, after + 1), level)
        parts[key] = json
        at, is_last = _next(text, at, b"}")
    return b"{%b}" % b",".join(b"%b:%b" % pair for pair in parts.items()), at


def _first(text: bytes, at: int, closing: bytes, level: int) -> tuple[int, bool]:
    """Go past an opening bracket; whether the collection is empty."""
    if level > MAX_LEVELS:
        raise _UnsupportedError
    at = _past_blanks(text, at + 1)
    is_empty = text[at : at + 1] == closing
    return at + is_empty, is_empty


def _next(text: bytes, at: int, closing: bytes) -> tuple[int, bool]:
    """Go past a comma or the closing bracket behind a value; whether it was the bracket."""
    at = _past_blanks(text, at)
    found = text[at : at + 1]
    if found == closing:
        return at + 1, True
    if found != b",":
        raise _UnsupportedError
    return _past_blanks(text, at + 1), False


def _past_blanks(text: bytes, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at
