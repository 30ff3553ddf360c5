"""The keys at the top of a document, without reading what is below them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from compiler.yaml.scalar import is_plain_string, is_quoted_string

# What may appear at the column of a block mapping's keys: a plain key, an item of the sequence that
# is a key's value, a comment. Anything else may be a key in another notation.
_KEY = re.compile(rb"([A-Za-z][-A-Za-z0-9_./]*+):(?: ++([^\n]*+))?")
_ITEM = re.compile(rb"-(?: [^\n]*+)?")
_SHALLOW: Final[Mapping[int, re.Pattern[bytes]]] = {
    column: re.compile(rb"\n( {0,%d})(?![ \n])([^\n]++)" % column) for column in (0, 2)
}


def peek(text: bytes, column: int, keys: Collection[bytes]) -> dict[bytes, bytes] | None:
    """Return the strings that these keys have in a mapping whose keys are at a column (0 or 2).

    None where the text's outermost lines are not plain keys of one mapping, each of `keys` at most
    once and with a string on its line: whoever asks has to read the whole text then. What is
    deeper than those lines is not looked at; in well-formed YAML it can't change the answer.
    """
    found: dict[bytes, bytes] = {}
    is_first = True
    for line in _SHALLOW[column].finditer(b"\n" + text):
        if line[2].startswith(b"#"):
            continue
        key = _KEY.fullmatch(line[2])
        if len(line[1]) != column or (key is None and (is_first or not _ITEM.fullmatch(line[2]))):
            return None
        is_first = False
        if key is not None and key[1] in keys:
            value = (key[2] or b"").rstrip(b" ")
            if is_quoted_string(value):
                value = value[1:-1]
            elif not is_plain_string(value):
                return None
            if key[1] in found:
                return None
            found[key[1]] = value
    return found
