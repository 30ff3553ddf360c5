"""Block-style YAML to JSON, fast enough for dumps of 50 MB.

`composed` takes minutes for such a dump. Here a stream is cut into chunks that can be read by
themselves (documents, and the items of a long list), and each chunk in plain block style becomes
JSON with the same objects. Everything else, a chunk with an anchor, a tag, a duplicate key or a
mistake, is handed back without JSON, for `composed` to read or to reject.

There is no native parser here that bytes could crash: a line is looked up among the lines and
shapes that came before it (`shape`), and only new ones are analysed (`scalar`, `flow`, `block`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from compiler.yaml import worker
from compiler.yaml.lines import MARKER, UNKNOWN_PATH, KeyPath, Lines
from compiler.yaml.peek import peek

# Bytes of a list from which on a second process helps to read it.
WORTH_A_PROCESS: Final = 4 * 1024 * 1024

# What ends a document in other ways than a lone `---`, or changes how the next one is read.
_MARKER = rb"%|\.\.\.|---(?!\n)"
_OTHER_MARKER = re.compile(rb"\n(?:" + _MARKER + rb")")
_OTHER_MARKER_FIRST = re.compile(_MARKER)
# Line breaks and byte order marks that YAML treats in its own way, where they aren't ASCII.
_OTHER_BREAK = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]|\xef\xbb\xbf")
# A line at the left margin that is neither an item nor a comment.
_ROOT_LINE = re.compile(rb"\n(?:[^ \n#-]|-[^ ])")
# Where an anchor or an alias may start, and some more places. The sign comes first in these
# patterns, since that makes the search for it fast.
_ANCHOR, _ALIAS = (
    re.compile(rb"%b(?:(?<=[-:? ] .)|(?<=[\[{,\n].))[^ \n]" % sign) for sign in (rb"&", rb"\*")
)
_ROOT_BLOCK = re.compile(rb"(?: *+(?:#[^\n]*+)?\n)*(?: *+[&!][^\n ]*+)* *+[|>]")
_NOTHING = re.compile(rb"(?: *+(?:#[^\n]*+)?\n)* *+(?:#[^\n]*+)?")


Shorten = Callable[[bytes], bytes]
"""Takes an item's JSON, and returns JSON without what nobody will ask for."""


@dataclass(frozen=True)
class Outline:
    """What the objects of a stream look like, as far as it helps to read them.

    `type_key` is the key at the top of an object that names its type. An object is skipped, which
    means not read beyond its `head_keys`, unless `is_read` accepts the type. The key `list_key` of
    an object whose type is `list_type` holds a list of objects, which is cut into its items.
    """

    type_key: bytes
    head_keys: tuple[bytes, ...]
    is_read: Callable[[bytes], bool]
    list_key: bytes
    list_type: bytes


class Chunk(NamedTuple):
    """A part of a stream that can be read by itself.

    `text` is YAML: one document or, for an item of a list, a sequence of that one item. `line` is
    the number of its first line in the stream, from 1. `json` is the object as JSON, or None where
    `composed` has to read the text. (Where it rejects an item, the stream breaks YAML's rules,
    although ruamel.yaml may accept it as a whole: quoted text that goes on at the left margin with
    a dash.) `item` is an item's index in its list; the list itself comes before its items, with the
    list as null. `head` is set where the object is skipped: its `head_keys`.
    """

    text: bytes
    line: int
    json: bytes | None
    item: int | None = None
    head: dict[bytes, bytes] | None = None


def chunks(
    stream: bytes,
    outline: Outline,
    shorten: Shorten = bytes,
    *,
    workers: int = 1,
    seen: set[KeyPath] | None = None,
    with_json: bool = True,
) -> Iterator[Chunk]:
    """Cut a YAML stream into chunks, in the order in which they appear in it.

    The JSON of a chunk has the values that `composed` finds there. A stream that can't be cut
    (directives, unusual line breaks) is one chunk without JSON.

    With two `workers` a second process, forked from this one, may read half of a long list. What it
    sends over goes through `shorten` first. At the end `seen` has the paths of all keys of the
    chunks with JSON, perhaps with more, or `UNKNOWN_PATH`. Without `with_json` the stream is cut
    in the same way, and no JSON is made of what it is cut into.
    """
    lines = stream.replace(b"\r\n", b"\n") if b"\r" in stream else stream
    if not _can_be_cut(lines):
        yield Chunk(stream, 1, None)
        return
    stream = lines
    reading = _Reading(stream, outline, shorten, may_fork=workers > 1, with_json=with_json)
    line = 1
    for start, end in _documents(stream):
        body = start + len(MARKER) if stream.startswith(MARKER, start) else start
        if (region := reading.list_region(body, end)) and (
            json := reading.shell(body, end, region)
        ):
            first, after = region
            yield Chunk(stream[start:first] + stream[after:end], line, json)
            before = stream.count(b"\n", start, first)
            yield from reading.items(region, line + before)
        elif head := reading.head(stream[body:end], 0):
            yield Chunk(stream[start:end], line, None, head=head)
        else:
            json = reading.to_json(stream[body:end])
            if json is None and _ROOT_BLOCK.match(stream, body):
                # ruamel.yaml finds no end for a block scalar at the left margin.
                yield Chunk(stream[start:], line, None)
                return
            # Nothing but comments is a document only behind a `---`.
            if body > start or json != b"null":
                yield Chunk(stream[start:end], line, json)
        line += stream.count(b"\n", start, end)
    if seen is not None:
        seen |= reading.lines.seen


def _can_be_cut(stream: bytes) -> bool:
    """Say whether a stream has no directives, markers or line breaks of the unusual kinds."""
    return (
        b"\r" not in stream
        and not _OTHER_MARKER_FIRST.match(stream)
        and not _OTHER_MARKER.search(stream)
        and (stream.isascii() or _OTHER_BREAK.search(stream) is None)
    )


def _documents(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each document starts, with its line `---` if there is one, and where it ends."""
    start = 0
    while (end := stream.find(b"\n" + MARKER, start) + 1) > 0:
        yield start, end
        start = end
    yield start, len(stream)


class _Reading:
    """One stream, and what was learnt from it so far."""

    def __init__(
        self,
        stream: bytes,
        outline: Outline,
        shorten: Shorten,
        *,
        may_fork: bool,
        with_json: bool,
    ) -> None:
        self._stream = stream
        self._outline = outline
        self._shorten = shorten
        self._may_fork = may_fork
        self._with_json = with_json
        self.lines = Lines()

    def to_json(self, text: bytes) -> bytes | None:
        """Return a document as JSON where it is wanted; one without anything always is."""
        return self.lines.to_json(text) if self._with_json or _NOTHING.fullmatch(text) else None

    def _item_to_json(self, text: bytes) -> bytes | None:
        return self.lines.item_to_json(text) if self._with_json else None

    def head(self, text: bytes, column: int) -> dict[bytes, bytes] | None:
        """Return the head of an object that is skipped, None for one that is to be read."""
        type_key = self._outline.type_key
        # Most are read: they are recognized by one search.
        before = b"\n" + b" " * column + type_key + b": "
        at = text.find(before)
        if at < 0 and not (column == 0 and text.startswith(before[1:])):
            return None
        start = at + len(before) if at >= 0 else len(before) - 1
        end = text.find(b"\n", start)
        if self._outline.is_read(text[start : end if end >= 0 else len(text)].strip(b" ")):
            return None
        head = peek(text, column, self._outline.head_keys)
        return None if head is None or self._outline.is_read(head.get(type_key, b"")) else head

    def list_region(self, start: int, end: int) -> tuple[int, int] | None:
        """Find the text of a document's list where it is at the left margin, as in dumps.

        There is none where the document has anchors and aliases, which may reach from one item to
        another.
        """
        stream, key = self._stream, self._outline.list_key + b":\n- "
        at = start if stream.startswith(key, start) else stream.find(b"\n" + key, start, end) + 1
        if not stream.startswith(key, at) or (
            _ANCHOR.search(stream, start, end) and _ALIAS.search(stream, start, end)
        ):
            return None
        first = at + len(key) - len(b"- ")
        after = _ROOT_LINE.search(stream, first, end)
        return first, after.start() + 1 if after else end

    def shell(self, start: int, end: int, region: tuple[int, int]) -> bytes | None:
        """Return the JSON of a list with its items null, or None for what is no list."""
        text = self._stream[start : region[0]] + self._stream[region[1] : end]
        head = peek(text, 0, (self._outline.type_key,))
        if head is None or head.get(self._outline.type_key) != self._outline.list_type:
            return None
        return self.lines.to_json(text)

    def items(self, region: tuple[int, int], line: int) -> Iterator[Chunk]:
        """Yield the items of a list, whose text starts at this line of the stream."""
        start, end = region
        # A second process costs some 10 ms, as long as 0.5 MB take: it may get half of the rest.
        middle = self._stream.find(b"\n- ", (start + end) // 2, end) + 1
        is_long = self._may_fork and end - start >= WORTH_A_PROCESS and middle > 0
        if not is_long or not worker.is_available():
            middle = end
        index = 0

        def rest() -> Iterator[bytes]:
            for text in self._item_texts(middle, end):
                head = self.head(b"  " + text[2:], 2)
                json = self.lines.item_to_json(text) if head is None else None
                yield b"\n" if json is None else b"%b\n" % self._shorten(json)
            yield b"%b\n" % msgspec.json.encode(self.lines.seen)

        with ExitStack() as stack:
            done = stack.enter_context(worker.meanwhile(rest)) if middle < end else None
            for text in self._item_texts(start, end):
                # The other process's line is empty where it had none; where it died, there is none,
                # or one without its end.
                theirs = done.readline() if done and start >= middle else b""
                if head := self.head(b"  " + text[2:], 2):
                    yield Chunk(text, line, None, index, head)
                else:
                    is_whole = len(theirs) > 1 and theirs.endswith(b"\n")
                    json = theirs[:-1] if is_whole else self._item_to_json(text)
                    yield Chunk(text, line, json, index)
                line += text.count(b"\n")
                index += 1
                start += len(text)
            if done:
                self._add_seen(done.readline())

    def _add_seen(self, theirs: bytes) -> None:
        """Add the paths of keys that the other process saw."""
        try:
            self.lines.seen |= msgspec.json.decode(theirs, type=set[KeyPath])
        except msgspec.DecodeError:  # it failed
            self.lines.seen.add(UNKNOWN_PATH)

    def _item_texts(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            at_next = self._stream.find(b"\n- ", start, end) + 1 or end
            yield self._stream[start:at_next]
            start = at_next
