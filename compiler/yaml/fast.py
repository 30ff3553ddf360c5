"""Block-style YAML to JSON, at the speed that 50 MB of `kubectl get -o yaml` ask for.

ruamel.yaml is the reference: it takes minutes for such a dump. Here a stream is cut into pieces
that can be read by themselves (documents, and the items of a `List` such as kubectl prints), and
each piece that is written in plain block style becomes JSON with the same objects. All else, a
piece with an anchor, a tag, a flow collection, a date, a duplicate key or a mistake, is handed
back without JSON, for ruamel.yaml to read or to refuse.

There is no native parser here that bytes could crash: a line is looked up among the lines and
shapes that came before it (`yaml_shape`), and only the new is looked at (`yaml_scalar`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from compiler.yaml import worker
from compiler.yaml.scalar import (
    is_blank,
    is_later_plain_line,
    is_plain,
    is_plain_string,
    is_quoted_string,
    is_readable,
    quote,
    to_json,
)
from compiler.yaml.shape import Node, UnsupportedYamlError, root

# Shapes that are learnt before all is forgotten: some 10 MB. Dumps have hundreds.
MAX_LEARNT: Final = 10_000
# Bytes of a list from which on a second process helps to read it.
WORTH_A_PROCESS: Final = 4 * 1024 * 1024
# Lines of one quoted or plain scalar; kubectl folds them at column 80.
MAX_FOLDED_LINES: Final = 200

# A line taken apart. Keys are plain ones that no one could take for another type than a string,
# and quoted ones without escapes.
_LINE = re.compile(
    rb"""(?P<head> (?P<indent>\ *+) (?P<dashes>(?:-\ )*)
      (?: (?:
          (?! (?:[tT]rue|TRUE|[fF]alse|FALSE|[nN]ull|NULL): )
          (?P<plain> [A-Za-z_/] [-A-Za-z0-9_./]{0,300}+ )
        | " (?P<double> [!#-\[\]-~] [\ !#-\[\]-~]{0,300}+ ) "
        | ' (?P<single> [!#-&(-\[\]-~]{1,300}+ ) '
      ) : (?=\ |\Z) )?
    ) (?P<value> .*+ )""",
    re.VERBOSE,
)
_LITERAL = re.compile(rb" *+\|(-?) *+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_MARKED: Final = b"---\n"
# What ends a document in other ways than a lone `---`, or changes how the next one is read.
_MARKER = rb"%|\.\.\.|---(?!\n)"
_OTHER_MARKER = re.compile(rb"\n(?:" + _MARKER + rb")")
_OTHER_MARKER_FIRST = re.compile(_MARKER)
# Line breaks and byte order marks that YAML treats in its own way, where they aren't ASCII.
_OTHER_BREAK = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]|\xef\xbb\xbf")
# A line at the left margin that is neither an item nor a comment.
_ROOT_LINE = re.compile(rb"\n(?:[^ \n#-]|-[^ ])")
# Where an anchor or an alias may start, and some more places. The sign stands first in these
# patterns, since that makes the search for it fast.
_ANCHOR, _ALIAS = (
    re.compile(rb"%b(?:(?<=[-:? ] .)|(?<=[\[{,\n].))[^ \n]" % sign) for sign in (rb"&", rb"\*")
)
_ROOT_BLOCK = re.compile(rb"(?: *+(?:#[^\n]*+)?\n)*(?: *+[&!][^\n ]*+)* *+[|>]")


Shorten = Callable[[bytes], bytes]
"""Takes an item's JSON, and gives JSON without what nobody will ask for."""


class Chunk(NamedTuple):
    """A part of a stream that can be read by itself.

    `text` is YAML: one document or, for an item of a list, a sequence of that one item. `line` is
    the number of its first line in the stream, from 1. `json` is the object as JSON, or None where
    the text is to be read by ruamel.yaml. (Where it refuses an item, the stream breaks YAML's
    rules, although ruamel.yaml may accept it as a whole: quoted text that goes on at the left
    margin with a dash.) `item` is an item's index in its list's `items`; the list itself comes
    before its items, with `items` null.
    """

    text: bytes
    line: int
    json: bytes | None
    item: int | None = None


class _Kind(msgspec.Struct):
    kind: str = ""


def chunks(stream: bytes, shorten: Shorten = bytes) -> Iterator[Chunk]:
    """Cut a YAML stream into pieces, in the order in which they stand in it.

    The JSON of a piece gives the objects that ruamel.yaml's safe loader finds there. A stream that
    can't be cut (directives, unusual line breaks) is one piece without JSON.

    A second process does half of a long list. What it sends over goes through `shorten` first.
    """
    lines = stream.replace(b"\r\n", b"\n") if b"\r" in stream else stream
    if (
        b"\r" in lines
        or _OTHER_MARKER_FIRST.match(lines)
        or _OTHER_MARKER.search(lines)
        or not (lines.isascii() or _OTHER_BREAK.search(lines) is None)
    ):
        yield Chunk(stream, 1, None)
        return
    stream = lines
    shapes = _Shapes()
    line = 1
    for start, end in _documents(stream):
        body = start + len(_MARKED) if stream.startswith(_MARKED, start) else start
        if (region := _items(stream, body, end)) and (
            json := _shell(shapes, stream, (body, end), region)
        ):
            first, after = region
            yield Chunk(stream[start:first] + stream[after:end], line, json)
            before = stream.count(b"\n", start, first)
            yield from _list_items(shapes, stream, region, line + before, shorten)
        else:
            json = shapes.to_json(stream[body:end])
            if json is None and _ROOT_BLOCK.match(stream, body):
                # ruamel.yaml finds no end for a block scalar at the left margin.
                yield Chunk(stream[start:], line, None)
                return
            # Nothing but comments is a document only behind a `---`.
            if body > start or json != b"null":
                yield Chunk(stream[start:end], line, json)
        line += stream.count(b"\n", start, end)


def _documents(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each document starts, with its line `---` if there is one, and where it ends."""
    start = 0
    while (end := stream.find(b"\n" + _MARKED, start) + 1) > 0:
        yield start, end
        start = end
    yield start, len(stream)


def _items(stream: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Find the text of a document's `items` where they stand at the left margin, as kubectl's do.

    There are none where the document has anchors and aliases, which may reach from one item to
    another.
    """
    key = b"items:\n- "
    at = start if stream.startswith(key, start) else stream.find(b"\n" + key, start, end) + 1
    if not stream.startswith(key, at) or (
        _ANCHOR.search(stream, start, end) and _ALIAS.search(stream, start, end)
    ):
        return None
    first = at + len(b"items:\n")
    after = _ROOT_LINE.search(stream, first, end)
    return first, after.start() + 1 if after else end


def _shell(
    shapes: _Shapes, stream: bytes, document: tuple[int, int], items: tuple[int, int]
) -> bytes | None:
    """Return the JSON of a `List` with `items` null, or None for what is none."""
    json = shapes.to_json(stream[document[0] : items[0]] + stream[items[1] : document[1]])
    if json is None:
        return None
    try:
        kind = msgspec.json.decode(json, type=_Kind).kind
    except msgspec.ValidationError:
        return None
    return json if kind == "List" else None


def _list_items(
    shapes: _Shapes, stream: bytes, items: tuple[int, int], line: int, shorten: Shorten
) -> Iterator[Chunk]:
    """Yield the items of a list, whose text starts at this line of the stream."""
    start, end = items
    # A second process costs some 10 ms, as long as 0.5 MB take: it may get half of the rest.
    middle = stream.find(b"\n- ", (start + end) // 2, end) + 1
    if end - start < WORTH_A_PROCESS or not middle or not worker.is_there():
        middle = end
    index = 0

    def rest() -> Iterator[bytes]:
        for text in _item_texts(stream, middle, end):
            json = shapes.item_to_json(text)
            yield b"\n" if json is None else b"%b\n" % shorten(json)

    with ExitStack() as stack:
        done = stack.enter_context(worker.meanwhile(rest)) if middle < end else None
        for text in _item_texts(stream, start, end):
            # The other process's line is empty where it had none; where it died, there is none, or
            # one without its end.
            theirs = done.readline() if done and start >= middle else b""
            is_whole = len(theirs) > 1 and theirs.endswith(b"\n")
            json = theirs[:-1] if is_whole else shapes.item_to_json(text)
            yield Chunk(text, line, json, index)
            line += text.count(b"\n")
            index += 1
            start += len(text)


def _item_texts(stream: bytes, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        at_next = stream.find(b"\n- ", start, end) + 1 or end
        yield stream[start:at_next]
        start = at_next


class _Shapes:
    """What was learnt from the pieces so far, and the reading of the next one."""

    def __init__(self) -> None:
        self.root = root()
        self.learnt = 0

    def to_json(self, text: bytes) -> bytes | None:
        """Return a document, or a sequence of one item, as JSON; None where it's not for us."""
        if self.learnt > MAX_LEARNT // 2:
            self.root, self.learnt = root(), 0
        try:
            return self._to_json(text.split(b"\n"))
        except UnsupportedYamlError:
            return None

    def item_to_json(self, text: bytes) -> bytes | None:
        """Return the item of a sequence of one item as JSON; None where it's not for us."""
        json = self.to_json(text)
        return None if json is None else json[1:-1]

    def _to_json(self, lines: list[bytes]) -> bytes:
        """Turn lines into JSON; this loop is where the time goes."""
        node = self.root
        parts: list[bytes] = []  # one a line
        add = parts.append
        rest = iter(lines)
        for line in rest:
            known = node.get(line)
            if known is not None:
                node, json = known
                add(json)
                continue
            head, _, value = line.rpartition(b" ")
            step = node.steps.get(head)
            here = node
            if step is not None and is_plain_string(value):
                node = step[0]
                json = b'%b"%b"' % (step[1], value)
            elif step is not None and is_quoted_string(value):
                node = step[0]
                json = step[1] + value
            else:
                node, json, more = self._read(node, lines, parts)
                add(json)
                for _ in islice(rest, more):
                    add(b"")
                continue
            add(json)
            if here.room:
                here.room -= 1
                here[line] = node, json
        add(node.end())
        return b"".join(parts)

    def _read(self, node: Node, lines: list[bytes], parts: list[bytes]) -> tuple[Node, bytes, int]:
        """Read the line behind those that became `parts`, with all that YAML has to say of it.

        Returns the place after it, its JSON, and how many more lines belong to it.
        """
        line = lines[len(parts)]
        if is_blank(line):
            return node, b"", 0
        found = _LINE.fullmatch(line)
        if found is None or not is_readable(line):
            raise UnsupportedYamlError
        column = len(found["indent"])
        if not node.awaits and column > node.column:
            parts[-1], more = _folded_plain(node.column, lines, parts)
            return node, b"", more
        key = found["plain"] or found["double"] or found["single"] or b""
        if not key and not found["dashes"]:
            raise UnsupportedYamlError
        if (step := node.steps.get(found["head"])) is None:
            self.learnt += 1
            if self.learnt > MAX_LEARNT:
                raise UnsupportedYamlError
            step = node.step(column, len(found["dashes"]) // 2, key)
            node.steps[found["head"].rstrip(b" ")] = step
        after, json = step
        if is_blank(found["value"]):
            if not key:
                raise UnsupportedYamlError
            node[line] = after.awaiting, json
            return after.awaiting, json, 0
        value, more = _value(found["value"], after.column, lines, len(parts))
        json += value
        if node.room and not more:
            node.room -= 1
            node[line] = after, json
        return after, json, more


def _value(text: bytes, column: int, lines: list[bytes], index: int) -> tuple[bytes, int]:
    """Return the JSON of a scalar that starts on the line with this index, and its later lines.

    `column` is that of the mapping or sequence that it belongs to: later lines are deeper.
    """
    if literal := _LITERAL.fullmatch(text):
        return _literal(column, lines, index + 1, keeps_last_break=not literal[1])
    json = to_json(text)
    more = 0
    while json is None:
        more += 1
        text = text.strip(b" ")
        if text[:1] not in (b'"', b"'") or index + more == len(lines) or more > MAX_FOLDED_LINES:
            raise UnsupportedYamlError
        text += b" " + _deeper_line(column, lines[index + more])
        json = to_json(text)
    return json, more


def _folded_plain(column: int, lines: list[bytes], parts: list[bytes]) -> tuple[bytes, int]:
    """Go on with the plain scalar of the line before: its JSON anew, and the lines after this."""
    index = len(parts)
    found = _LINE.fullmatch(lines[index - 1]) if index and parts[-1] else None
    if found is None or not is_plain(found["value"]):
        raise UnsupportedYamlError
    text = found["value"].strip(b" ")
    before = parts[-1].removesuffix(to_json(text) or b"")
    more = -1
    while index < len(lines) and lines[index][: column + 1].strip(b" ") == b"" != lines[index]:
        line = _deeper_line(column, lines[index])
        if not is_later_plain_line(line) or more > MAX_FOLDED_LINES:
            raise UnsupportedYamlError
        text += b" " + line
        index += 1
        more += 1
    json = to_json(text)
    if json is None:
        raise UnsupportedYamlError
    return before + json, more


def _deeper_line(column: int, line: bytes) -> bytes:
    """Return a later line of a folded scalar without its indentation."""
    text = line.strip(b" ")
    if not text or len(line) - len(line.lstrip(b" ")) <= column:
        raise UnsupportedYamlError
    return text


def _literal(
    column: int, lines: list[bytes], index: int, *, keeps_last_break: bool
) -> tuple[bytes, int]:
    """Return the JSON of a literal block whose text starts at this index, and its lines."""
    first = index
    width = len(lines[index]) - len(lines[index].lstrip(b" ")) if index < len(lines) else 0
    if width <= column or width == len(lines[index]):
        raise UnsupportedYamlError
    content = []
    while index < len(lines) and not lines[index][:width].strip(b" "):
        line = lines[index]
        if (line and not line.strip(b" ")) or _CONTROL.search(line) or not is_readable(line):
            raise UnsupportedYamlError
        content.append(line[width:])
        index += 1
    # The last line of a text that doesn't end with a line break has none to keep.
    if index == len(lines) and lines[-1]:
        raise UnsupportedYamlError
    if index < len(lines) and len(lines[index]) - len(lines[index].lstrip(b" ")) > column:
        raise UnsupportedYamlError
    text = b"\n".join(content).rstrip(b"\n") + (b"\n" if keeps_last_break else b"")
    return quote(text).replace(b"\n", b"\\n"), index - first
