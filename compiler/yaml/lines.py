"""The lines of one chunk of block YAML as JSON: each is looked up among those that came before."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

import msgspec

from compiler.yaml.block import continued_plain, value_to_json
from compiler.yaml.scalar import (
    is_blank,
    is_plain,
    is_plain_string,
    is_quoted_string,
    is_readable,
    is_whole_number,
)
from compiler.yaml.scalar import to_json as scalar_to_json
from compiler.yaml.shape import Node, UnsupportedYamlError, root

# The line that a document may begin with.
MARKER: Final = b"---\n"
# Shapes that are learnt before all is forgotten: some 10 MB. Dumps have hundreds.
MAX_LEARNT: Final = 10_000

# The parts of a line. Keys are plain ones that can be nothing but a string, and quoted ones without
# escapes.
LINE = re.compile(
    rb"""(?P<head> (?P<indent>\ *+) (?P<dashes>(?:-\ )*)
      (?: (?:
          (?! (?:[tT]rue|TRUE|[fF]alse|FALSE|[nN]ull|NULL|[yYnN]
              |[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF): )
          (?P<plain> [A-Za-z_/] [-A-Za-z0-9_./]{0,300}+ )
        | " (?P<double> [!#-\[\]-~] [\ !#-\[\]-~]{0,300}+ ) "
        | ' (?P<single> [!#-&(-\[\]-~]{1,300}+ ) '
      ) : (?=\ |\Z) )?
    ) (?P<value> .*+ )""",
    re.VERBOSE,
)

KeyPath = tuple[str, ...]
"""The keys that lead to a value, without the indexes of lists."""

# Among the paths that were seen: there were more, which are unknown.
UNKNOWN_PATH: Final[KeyPath] = ()


class Lines:
    """What was learnt from the lines of the chunks so far, and the reading of the next one."""

    def __init__(self) -> None:
        self.root = root()
        self.learnt = 0
        self.seen: set[KeyPath] = set()

    def to_json(self, text: bytes) -> bytes | None:
        """Return a document, or a sequence of one item, as JSON; None where it is not read here."""
        if self.learnt > MAX_LEARNT // 2:
            self.root, self.learnt = root(), 0
        try:
            return self._to_json(text.split(b"\n"))
        except UnsupportedYamlError:
            return None

    def item_to_json(self, text: bytes) -> bytes | None:
        """Return the item of a sequence of one item as JSON; None where it is not read here."""
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
            elif step is not None and (is_quoted_string(value) or is_whole_number(value)):
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
        """Read the line behind those that became `parts`, by all of YAML's rules.

        Returns the place after it, its JSON, and how many more lines belong to it.
        """
        line = lines[len(parts)]
        if is_blank(line):
            return node, b"", 0
        found = LINE.fullmatch(line)
        if found is None or not is_readable(line):
            raise UnsupportedYamlError
        column = len(found["indent"])
        if not node.awaits and column > node.column:
            return node, b"", self._continue_plain(node.column, lines, parts)
        key = found["plain"] or found["double"] or found["single"] or b""
        if not key and not found["dashes"]:
            raise UnsupportedYamlError
        if (step := node.steps.get(found["head"])) is None:
            self.learnt += 1
            if self.learnt > MAX_LEARNT:
                raise UnsupportedYamlError
            step = node.step(column, len(found["dashes"]) // 2, key)
            node.steps[found["head"].rstrip(b" ")] = step
            if key:
                self.seen.add(step[0].path)
        after, json = step
        if is_blank(found["value"]):
            if not key:
                raise UnsupportedYamlError
            node[line] = after.awaiting, json
            return after.awaiting, json, 0
        value, more = value_to_json(found["value"], after.column, lines, len(parts))
        if value[:1] in (b"{", b"["):
            self._see(after.path, msgspec.json.decode(value))
        json += value
        if node.room and not more:
            node.room -= 1
            node[line] = after, json
        return after, json, more

    def _see(self, path: KeyPath, value: object) -> None:
        """Add the paths of all keys inside a flow collection."""
        if isinstance(value, dict):
            for key, child in value.items():
                self.seen.add((*path, key))
                self._see((*path, key), child)
        elif isinstance(value, list):
            for child in value:
                self._see(path, child)

    def _continue_plain(self, column: int, lines: list[bytes], parts: list[bytes]) -> int:
        """Make the last part anew, whose plain scalar goes on; return how many lines to pass."""
        index = len(parts)
        found = LINE.fullmatch(lines[index - 1]) if index and parts[-1] else None
        if found is None or not is_plain(found["value"]):
            raise UnsupportedYamlError
        text = found["value"].strip(b" ")
        before = parts[-1].removesuffix(scalar_to_json(text) or b"")
        json, more = continued_plain(text, column, lines, index)
        parts[-1] = before + json
        return more - 1
