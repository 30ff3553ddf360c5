"""One YAML scalar on one line, as JSON: the scalars of which there can be no two opinions.

`to_json` takes what ruamel.yaml's safe YAML 1.2 loader reads as a string, a 64-bit integer, a bool
or null, and answers None to all else (a float, a date, an octal number, an escape that JSON does
not have, an anchor, a tag, ...): whoever asks then lets ruamel.yaml read it.
"""

from __future__ import annotations

import re

# What the resolvers of ruamel.yaml for YAML 1.2 read as a float, an int, a merge key or a "value":
# a little more than that, so that nothing of theirs passes as a string. Bools and null are apart.
_NOT_A_STRING = rb"""
    [-+]? [0-9_]++ (?: \. [0-9_]*+ )? (?: [eE] [-+]?+ [0-9]++ )?
  | [-+]? \. [0-9_]++ (?: [eE] [-+]?+ [0-9]++ )?
  | [-+]? \. (?: inf | Inf | INF ) | \. (?: nan | NaN | NAN )
  | [-+]? 0 (?: x [0-9a-fA-F_]*+ | [ob] [0-9_]*+ )
  | = | <<
"""
# What may be a date, whatever follows.
_DATE = rb"[0-9]{4} - [0-9]{1,2}+ - [0-9]{1,2}+ (?: [Tt\ ] | \Z )"
# Characters that begin a plain scalar and mean nothing there; then any that are not `: ` or ` #`.
# Bytes of 0x80 and more are UTF-8, which `is_readable` has a look at. Possessive (`++`), as all
# repetitions here: no text, however long, is gone through twice.
_FIRST = rb"(?: [A-Za-z0-9_/.($+;^\\<=\x80-\xff] | -(?=[-A-Za-z0-9_/.]) )"
_MORE = rb"""(?: [!-"$-9;-~\x80-\xff]++ | :(?=[^ ]) | (?<=[^ ])\# | \ ++(?=[^ \#]) )*"""
# JSON has all of these escapes, with the same meaning.
_DOUBLE = rb'"(?: [^"\\\x00-\x1f\x7f]++ | \\["\\/bfnrt] )*"'
_SINGLE = rb"'(?: [^'\x00-\x1f\x7f]++ | '' )*'"
_COMMENT = rb"\#[^\x00-\x1f\x7f]*+"

# A value as it stands behind its key or dash: blanks, the scalar, perhaps a comment.
_VALUE = re.compile(
    rb"\ *+ (?: (?P<integer>-?[1-9][0-9]{0,17}|0) (?=\ |\Z)"
    rb" | (?P<word>[tT]rue|TRUE|[fF]alse|FALSE|[nN]ull|NULL|~|\{\ *+\}|\[\ *+\]) (?=\ |\Z)"
    rb" | (?! (?:" + _NOT_A_STRING + rb") (?: \ *+\Z | \ ++\# ) ) (?! " + _DATE + rb")"
    rb" (?P<plain>" + _FIRST + _MORE + rb")"
    rb" | (?P<double>" + _DOUBLE + rb") (?=\ |\Z)"
    rb" | (?P<single>" + _SINGLE + rb") (?=\ |\Z)"
    rb" ) (?: \ ++" + _COMMENT + rb")? \ *+",
    re.VERBOSE,
)
_BLANK = re.compile(rb"\ *+(?:" + _COMMENT + rb")?", re.VERBOSE)
_LATER_LINE = re.compile(rb"(?!\#)" + _MORE, re.VERBOSE)
_WORDS = {b"t": b"true", b"f": b"false", b"n": b"null", b"~": b"null", b"{": b"{}", b"[": b"[]"}

# Outside ASCII: no line breaks that YAML 1.1 knows (NEL, LS, PS), no byte order mark, nothing that
# ruamel.yaml's reader refuses, no no-break space.
_NOT_READABLE = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")

# The values that nearly all lines of a dump hold: a string without blanks whose first character
# rules out that it is anything else, an IPv4 address or prefix, a UUID. None needs an escape.
is_plain_string = re.compile(
    rb"(?!(?:true|null|false|True|Null|False|TRUE|NULL|FALSE)\Z)"
    rb"(?:[A-Za-z/][-A-Za-z0-9_./@+=,]*+(?::[-A-Za-z0-9_./@+=,]++)*"
    rb"|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(?:/[0-9]+)?"
    rb"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
).fullmatch
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
    """Return the JSON of what stands behind a key or a dash, or None where it's not for us."""
    found = _VALUE.fullmatch(text)
    if found is None or not is_readable(text):
        return None
    kind = found.lastgroup
    value: bytes = found[kind or 0]
    if kind == "plain":
        return quote(value)
    if kind == "single":
        return quote(value[1:-1].replace(b"''", b"'"))
    if kind == "word":
        return _WORDS[value[:1].lower()]
    return value


def is_plain(text: bytes) -> bool:
    """Whether a value is neither quoted nor ended by a comment, so that it may go on below."""
    found = _VALUE.fullmatch(text)
    return (
        found is not None and found.lastgroup in ("plain", "integer", "word") and b" #" not in text
    )


def is_later_plain_line(text: bytes) -> bool:
    """Whether a line without its indentation can go on a plain scalar that began above."""
    return _LATER_LINE.fullmatch(text) is not None
