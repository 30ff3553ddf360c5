"""Restore text that is known to be right, sorted by chain: nothing is read until somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from compiler.family import Family
from compiler.netfilter.chain import Chain, Content
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.shapes import Shapes


def index_rules(chunks: Iterable[str], family: Family) -> Ruleset:
    """Sort the lines of restore text that is known to be right by table and chain.

    Nothing is read: `Chain` reads a rule when somebody asks for it. The text must be what the
    compiler writes: `*TABLE`, chains, `-A` lines, COMMIT. `chunks` may end in the middle of a line.
    """
    shapes = Shapes(family)
    tables: dict[str, dict[str, _Indexed]] = {}
    current: dict[str, _Indexed] = {}
    prefix, lines, number = "\n", [], 0
    for block in _line_blocks(chunks):
        for number, line in enumerate(block, number + 1):  # noqa: B020 - counts on
            if line.startswith(prefix):
                lines.append(line)
            elif line.startswith("-A "):
                name = line[3 : line.index(" ", 3)] if " " in line[3:] else line[3:]
                prefix = f"-A {name} "
                lines = current[name].begin(number)
                lines.append(line)
            elif line.startswith(":"):
                name = line[1 : line.index(" ")]
                current[name] = _Indexed(name, number)
            elif line.startswith("*"):
                current = tables.setdefault(line[1:], {})
    made = {
        table: {name: found.chain(shapes) for name, found in chains.items()}
        for table, chains in tables.items()
    }
    return Ruleset(family, made, lines=number)


class _Indexed:
    """A chain's lines, which come in runs: `starts` has the line and the place of each run."""

    __slots__ = ("line", "lines", "name", "starts")

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.lines: list[str] = []
        self.starts: list[tuple[int, int]] = []

    def begin(self, number: int) -> list[str]:
        """Begin a run on a line, and return the list to append its lines to."""
        self.starts.append((number, len(self.lines)))
        return self.lines

    def chain(self, shapes: Shapes) -> Chain:
        """Return the chain."""
        content = Content(shapes, written=self.lines, start=len(self.name) + 4)
        return Chain(self.name, content, line=self.line, numbers=self._numbers())

    def _numbers(self) -> Sequence[int]:
        if len(self.starts) == 1:
            first = self.starts[0][0]
            return range(first, first + len(self.lines))
        ends = [place for _, place in self.starts[1:]] + [len(self.lines)]
        return [
            number + offset
            for (number, place), end in zip(self.starts, ends, strict=False)
            for offset in range(end - place)
        ]


def _line_blocks(chunks: Iterable[str]) -> Iterator[list[str]]:
    """Give the lines of a text that comes in chunks, those of one chunk at a time."""
    rest = ""
    for chunk in chunks:
        lines = (rest + chunk).split("\n")
        rest = lines.pop()
        yield lines
    if rest:
        yield [rest]
