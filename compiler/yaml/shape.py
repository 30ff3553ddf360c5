"""The shapes that block YAML takes from line to line, learnt while reading.

A dump repeats a few hundred shapes a hundred thousand times. A `Node` is a place in such a shape:
which mappings and sequences are open, at which columns, and which keys each mapping has had so
far. What a next line does to it (the JSON between two values, the place after it) is worked out
once, by YAML's rules of indentation, and remembered.
"""

from __future__ import annotations

from typing import Final

# Deeper than any object of an API; a deeper document is left to `composed`.
MAX_DEPTH: Final = 64
# A key is compared with those before it, so that none comes twice: a mapping of more keys is left
# to `composed` as well.
MAX_KEYS: Final = 1000
# Lines that one place remembers whole.
ROOM: Final = 64


class UnsupportedYamlError(Exception):
    """A line that is not block YAML of the kind that is read here; `composed` judges it."""


class Node(dict[bytes, tuple["Node", bytes]]):
    """A place in a shape; maps next lines that came before to what they led to.

    `steps` maps the head of a next line (its indentation, dashes, key and colon) whose value is on
    the same line to the place behind it and the JSON up to the value. `awaiting` is the same place
    with the value still to come on the next lines.
    """

    __slots__ = (
        "_awaiting", "_entries", "after", "awaits", "close", "column", "depth", "is_mapping",
        "key", "previous", "room", "steps", "up",
    )  # fmt: skip

    def __init__(self, column: int, close: bytes, up: Node | None) -> None:
        """Open a container at a column, in another; `close` is the JSON that ends it."""
        self.column = column
        self.close = close
        self.up = up
        self.is_mapping = close == b"}"
        self.depth: int = 0 if up is None else up.depth + 1
        self.key = b""
        self.previous: Node | None = None
        self.awaits = False
        self.after: Node = self
        self._awaiting: Node | None = None
        self._entries: dict[tuple[int, bytes], Node] = {}
        self.steps: dict[bytes, tuple[Node, bytes]] = {}
        self.room = ROOM
        if self.depth > MAX_DEPTH:
            raise UnsupportedYamlError

    def with_key(self, key: bytes) -> Node:
        """Return the place in this mapping behind one more key."""
        earlier: Node | None = self
        keys = 0
        while earlier is not None:
            keys += 1
            if earlier.key == key or keys > MAX_KEYS:
                raise UnsupportedYamlError
            earlier = earlier.previous
        node = Node(self.column, self.close, self.up)
        node.key, node.previous = key, self
        return node

    @property
    def path(self) -> tuple[str, ...]:
        """The keys that lead here, without the indexes of sequences."""
        keys: list[str] = []
        node: Node | None = self
        while node is not None:
            if node.key:
                keys.append(node.key.decode())
            node = node.up
        return tuple(reversed(keys))

    @property
    def awaiting(self) -> Node:
        """The same place, with its value still to come."""
        if self._awaiting is None:
            node = Node(self.column, self.close, self.up)
            node.awaits, node.after = True, self
            self._awaiting = node
        return self._awaiting

    def step(self, column: int, dashes: int, key: bytes) -> tuple[Node, bytes]:
        """Return where a line with this indentation, dashes and key leads, and the JSON for it.

        The JSON closes what the line ends, and reaches up to the line's value. `key` is empty for
        an item of a sequence that is no mapping.
        """
        node, json = self, b""
        if self.awaits and (column > self.column or (dashes and column == self.column)):
            node, opens = self.after, True
            if node.up is None and column > 0:
                raise UnsupportedYamlError
        else:
            node, json = self._back_to(column, is_dash=dashes > 0)
            opens = False
        for _ in range(dashes):
            if opens:
                node, json = Node(column, b"]", node), json + b"["
            opens = True
            column += 2
        if not key:
            return node, json
        if opens:
            return node.entry(column, key), b'%b{"%b":' % (json, key)
        return node.with_key(key), b'%b"%b":' % (json, key)

    def entry(self, column: int, key: bytes) -> Node:
        """Return the place behind the first key of a mapping at a column, inside this container.

        It is the same place for all items of a sequence, so that they are learnt once.
        """
        found = self._entries.get((column, key))
        if found is None:
            found = self._entries[column, key] = Node(column, b"}", self).with_key(key)
        return found

    def _back_to(self, column: int, *, is_dash: bool) -> tuple[Node, bytes]:
        """Close what a line at this column ends: the container that it goes on with, the JSON."""
        node, json = (self.after, b"null") if self.awaits else (self, b"")
        while node.up is not None and (
            node.column > column
            # A sequence may be at the column of the key that it belongs to: a key ends it.
            or (node.column == column and not node.is_mapping and not is_dash)
        ):
            json += node.close
            node = node.up
        if node.up is None or node.column != column or node.is_mapping == is_dash:
            raise UnsupportedYamlError
        return node, json + b","

    def end(self) -> bytes:
        """Return the JSON that closes everything that is open here."""
        json = b"null" if self.awaits else b""
        node = self.after
        while node.up is not None:
            json += node.close
            node = node.up
        return json


def root() -> Node:
    """Return the place before a document's first line."""
    return Node(-1, b"", None).awaiting
