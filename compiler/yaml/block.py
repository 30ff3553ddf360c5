"""Scalars of several lines, as JSON: literal and folded blocks, quoted and plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from compiler.yaml import flow, scalar
from compiler.yaml.shape import UnsupportedYamlError

# Lines of one quoted or plain scalar; emitters fold them at column 80.
MAX_FOLDED_LINES: Final = 200

_HEADER = re.compile(rb" *+([|>])(-?) *+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def value_to_json(
    text: bytes, column: int, lines: Sequence[bytes], index: int
) -> tuple[bytes, int]:
    """Return the JSON of a value that starts on the line with this index, and its later lines.

    `column` is that of the mapping or sequence that it belongs to: later lines are deeper. Raises
    `UnsupportedYamlError`.
    """
    if header := _HEADER.fullmatch(text):
        content, more = _block(column, lines, index + 1)
        if header[1] == b">":
            content = _folded(content)
        while content and not content[-1]:
            content.pop()
        json = scalar.quote(b"\n".join(content) + (b"" if header[2] else b"\n"))
        return json.replace(b"\n", b"\\n"), more
    json_or_none = scalar.to_json(text) or flow.to_json(text)
    more = 0
    while json_or_none is None:
        more += 1
        text = text.strip(b" ")
        if text[:1] not in (b'"', b"'") or index + more == len(lines) or more > MAX_FOLDED_LINES:
            raise UnsupportedYamlError
        text += b" " + _deeper_line(column, lines[index + more])
        json_or_none = scalar.to_json(text)
    return json_or_none, more


def continued_plain(
    text: bytes, column: int, lines: Sequence[bytes], index: int
) -> tuple[bytes, int]:
    """Return the JSON of a plain scalar that goes on at the line with this index.

    Also returns how many lines it has from there on. Raises `UnsupportedYamlError`.
    """
    more = 0
    while index < len(lines) and lines[index][: column + 1].strip(b" ") == b"" != lines[index]:
        line = _deeper_line(column, lines[index])
        if not scalar.is_later_plain_line(line) or more > MAX_FOLDED_LINES:
            raise UnsupportedYamlError
        text += b" " + line
        index += 1
        more += 1
    json = scalar.to_json(text)
    if json is None:
        raise UnsupportedYamlError
    return json, more


def _deeper_line(column: int, line: bytes) -> bytes:
    """Return a later line of a quoted or plain scalar without its indentation."""
    text = line.strip(b" ")
    if not text or len(line) - len(line.lstrip(b" ")) <= column:
        raise UnsupportedYamlError
    return text


def _block(column: int, lines: Sequence[bytes], index: int) -> tuple[list[bytes], int]:
    """Return the lines of a block scalar that starts at this index, and how many they are."""
    first = index
    width = len(lines[index]) - len(lines[index].lstrip(b" ")) if index < len(lines) else 0
    if width <= column or width == len(lines[index]):
        raise UnsupportedYamlError
    content = []
    while index < len(lines) and not lines[index][:width].strip(b" "):
        line = lines[index]
        if (line and not line.strip(b" ")) or _CONTROL.search(line) or not scalar.is_readable(line):
            raise UnsupportedYamlError
        content.append(line[width:])
        index += 1
    # The last line of a text that doesn't end with a line break has none to keep.
    if index == len(lines) and lines[-1]:
        raise UnsupportedYamlError
    if index < len(lines) and len(lines[index]) - len(lines[index].lstrip(b" ")) > column:
        raise UnsupportedYamlError
    return content, index - first


def _folded(content: list[bytes]) -> list[bytes]:
    """Join the lines of each paragraph with blanks; a paragraph ends at an empty line."""
    if any(line.startswith(b" ") for line in content):
        raise UnsupportedYamlError  # deeper lines are not folded
    folded: list[bytes] = []
    is_open = False
    for line in content:
        if line and is_open:
            folded[-1] += b" " + line
        elif line:
            folded.append(line)
        elif not is_open:
            folded.append(b"")
        is_open = bool(line)
    return folded
