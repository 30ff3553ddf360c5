"""What an unquoted scalar means: YAML 1.1 as go-yaml v2 reads it.

Tools written in Go turn YAML into JSON with that library (sigs.k8s.io/yaml), so its reading is the
one that counts: `yes` is true, `0120` is octal, `12:30:45` and `2024-01-01` are strings. Source:
`resolve` in its `resolve.go`; a date becomes a string again in `scalar` of its `decode.go`.
"""

from __future__ import annotations

import math
import re

WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
# A float once its underscores are gone, and a number in base 2, 8 or 16 as Go's ParseInt takes it.
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)"
    r"(?:(?P<decimal>0|[1-9][0-9]*)|0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<binary>[01]+)"
    r"|0[oO]?(?P<octal>[0-7]+))"
)
_BASES = {"decimal": 10, "hex": 16, "binary": 2, "octal": 8}
# Underscores that a number which begins with its point may have (Go's ParseFloat).
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])_(?=[0-9])")
# What YAML 1.2 reads as decimal and YAML 1.1 as octal.
_TWO_MEANINGS = re.compile(r"[-+]?0[0-7_]*[0-7]_*")
# More digits than any number has that a float can hold.
_MAX_DIGITS = 1000


def resolve(text: str) -> bool | int | float | str | None:
    """Return the value of an unquoted scalar without a tag."""
    if text in WORDS:
        return WORDS[text]
    first = text[0]
    if first == ".":
        digits = _BETWEEN_DIGITS.sub("", text)
    elif first in "+-0123456789":
        digits = text.replace("_", "")
    else:
        return text
    number = _number(digits)
    return text if number is None else number


def octal(text: str) -> tuple[int, int] | None:
    """Return both values of a number that YAML 1.1 reads as octal and YAML 1.2 as decimal."""
    if not _TWO_MEANINGS.fullmatch(text) or len(text) > _MAX_DIGITS:
        return None
    digits = text.replace("_", "")
    value, decimal = int(digits, 8), int(digits)
    return (value, decimal) if value != decimal else None


def _number(text: str) -> int | float | None:
    if len(text) > _MAX_DIGITS:
        return None
    if found := _INTEGER.fullmatch(text):
        name = found.lastgroup or ""
        value = int(found["sign"] + found[name], _BASES[name])
        if name != "decimal" or -(2**63) <= value < 2**64:
            return value
    if _FLOAT.fullmatch(text):
        fraction = float(text)
        return None if math.isinf(fraction) else fraction  # out of range: a string
    return None
