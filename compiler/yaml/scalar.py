"""One YAML scalar on one line, as JSON.

`to_json` takes what `resolve` reads as a string, a 64-bit integer, a decimal fraction, a bool or
null. It returns None for everything else (a number in another notation, an escape that JSON does
not have, an anchor, a tag, ...), which `composed` then reads.
"""

from __future__ import annotations

import re

from compiler.yaml.resolve import resolve

# Characters that begin a plain scalar and mean nothing there; then any that are not `: ` or ` #`.
# Bytes of 0x80 and more are UTF-8, which `is_readable` checks. Possessive (`++`), as all
# repetitions here: no text, however long, is scanned twice.
_FIRST = rb"(?: [A-Za-z0-9_/.($+;^\\<=\x80-\xff] | -(?=[-A-Za-z0-9_/.]) )"
_MORE = rb"""(?: [!-"$-9;-~\x80-\xff]++ | :(?=[^ ]) | (?<=[^ ])\# | \ ++(?=[^ \#]) )*"""
# JSON has all of these escapes, with the same meaning.
DOUBLE = rb'"(?: [^"\\\x00-\x1f\x7f]++ | \\["\\/bfnrt] )*"'
SINGLE = rb"'(?: [^'\x00-\x1f\x7f]++ | '' )*'"
COMMENT = rb"\#[^\x00-\x1f\x7f]*+"

# A value as it appears behind its key or dash: blanks, the scalar, perhaps a comment.
_VALUE = re.compile(
    rb"\ *+ (?: (?P<integer>-?[1-9][0-9]{0,17}|0) (?=\ |\Z)"
    rb" | (?P<plain>~ (?=\ |\Z) | " + _FIRST + _MORE + rb")"
    rb" | (?P<double>" + DOUBLE + rb") (?=\ |\Z)"
    rb" | (?P<single>" + SINGLE + rb") (?=\ |\Z)"
    rb" ) (?: \ ++" + COMMENT + rb")? \ *+",
    re.VERBOSE,
)
_BLANK = re.compile(rb"\ *+(?:" + COMMENT + rb")?", re.VERBOSE)
_LATER_LINE = re.compile(rb"(?!\#)" + _MORE, re.VERBOSE)
# Numbers that JSON writes in the same way.
_INTEGER = re.compile(r"-?[1-9][0-9]{0,17}|0")
_FRACTION = re.compile(r"-?(?:[1-9][0-9]{0,14}|0)\.[0-9]{1,15}")
# Longer than any word or number.
_MAX_RESOLVED = 40

# Outside ASCII: no line breaks that YAML 1.1 knows (NEL, LS, PS), no byte order mark, nothing that
# ruamel.yaml's reader rejects, no no-break space.
_NOT_READABLE = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")

# The values that nearly all lines of a dump hold: a string without blanks whose first character
# rules out that it is anything else, an IPv4 address or prefix, a UUID. None needs an escape.
is_plain_string = re.compile(
    rb"(?!(?:[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"
    rb"|true|null|false|True|Null|False|TRUE|NULL|FALSE)\Z)"
    rb"(?:[A-Za-z/][-A-Za-z0-9_./@+=,]*+(?::[-A-Za-z0-9_./@+=,]++)*"
    rb"|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(?:/[0-9]+)?"
    rb"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
).fullmatch
is_whole_number = re.compile(rb"[1-9][0-9]{0,17}").fullmatch
is_quoted_string = re.compile(rb'"[^"\\\x00-\x1f\x7f-\xff]*"').fullmatch


def is_readable(text: bytes) -> bool:
    """Whether text outside ASCII is UTF-8 without characters that YAML treats in its own way."""
    try:
        return text.isascii() or not _NOT_READABLE.search(text.decode())
    except UnicodeDecodeError:
        return False


def is_blank(text: bytes) -> bool:
    """Whether there is nothing but blanks and a comment."""
    return _BLANK.fullmatch(text) is not None and is_readable(text)


def quote(text: bytes) -> bytes:
    """Return a string as JSON; it has no control characters."""
    if b'"' in text or b"\\" in text:
        text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"%b"' % text


def to_json(text: bytes) -> bytes | None:
    """Return the JSON of what appears behind a key or a dash, or None for what is not read here."""
    found = _VALUE.fullmatch(text)
    if found is None or not is_readable(text):
        return None
    kind = found.lastgroup
    value: bytes = found[kind or 0]
    if kind == "plain":
        return plain_to_json(value)
    if kind == "single":
        return quote(value[1:-1].replace(b"''", b"'"))
    return value


def plain_to_json(text: bytes) -> bytes | None:
    """Return the JSON of an unquoted scalar; None for a number that JSON writes differently."""
    if len(text) > _MAX_RESOLVED and text[:1].isalpha():
        return quote(text)
    written = text.decode()
    value = resolve(written)
    if isinstance(value, str):
        return quote(text)
    if value is None:
        return b"null"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    is_json = (_INTEGER if isinstance(value, int) else _FRACTION).fullmatch(written)
    return text if is_json else None


def is_plain(text: bytes) -> bool:
    """Whether a value is neither quoted nor ended by a comment, so that it may go on below."""
    found = _VALUE.fullmatch(text)
    return found is not None and found.lastgroup in ("plain", "integer") and b" #" not in text


def is_later_plain_line(text: bytes) -> bool:
    """Whether a line without its indentation can go on a plain scalar that began above."""
    return _LATER_LINE.fullmatch(text) is not None
