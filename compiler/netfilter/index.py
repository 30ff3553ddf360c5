"""Text that is known to be right, sorted by chains and not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from compiler.family import Family
from compiler.netfilter.chain import Chain
from compiler.netfilter.content import TOKENS, Content, Lines
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.shapes import Shapes
from compiler.netfilter.table import LazyTable, Table


def index_rules(chunks: Iterable[str], family: Family) -> Ruleset:
    """Sort the lines of restore text that is known to be right by table and chain.

    Nothing is read: `Chain` reads a rule when somebody asks for it. The text must be what the
    compiler writes: `*TABLE`, chains, `-A` lines, COMMIT. `chunks` may end in the middle of a line.
    """
    text = "".join(chunks)
    lines = Lines(text)
    shapes = Shapes(family)
    tables: dict[str, IndexedTable] = {}
    current = IndexedTable(lines, shapes)
    for found in TOKENS.finditer(text):
        if name := found[1]:
            span = found.span()
            if current.runs.setdefault(name, span) is not span:
                current.further.setdefault(name, []).append(span)
        elif names := found[2]:
            numbers = range(lines.at(found.start()), lines.at(found.end()))
            listed = names[1:].replace(" - [0:0]\n", "").split(":")
            current.declared.update(zip(listed, numbers, strict=True))
        elif (line := found[0].rstrip("\n")).startswith("*"):
            current = tables.setdefault(line[1:], IndexedTable(lines, shapes))
    return Ruleset(family, tables, lines=text.count("\n"))


class IndexedTable(LazyTable):
    """A table of a text that was sorted.

    `declared` is the line on which each chain is declared. `runs` is from where to where its rules
    stand, the last end of line included, and `further` the same of chains whose rules are not all
    in a row.
    """

    def __init__(self, lines: Lines, shapes: Shapes) -> None:
        self.declared: dict[str, int] = {}
        super().__init__(self.declared, None, lines)
        self.shapes = shapes
        self.runs: dict[str, tuple[int, int]] = {}
        self.further: dict[str, list[tuple[int, int]]] = {}

    def size(self, name: str) -> int:
        """Return how many rules a chain has."""
        spans = (self.runs.get(name, (0, 0)), *self.further.get(name, ()))
        return sum(self.lines.text.count("\n", begin, end) for begin, end in spans)

    def run(self, name: str) -> tuple[int, int] | None:
        """Return from where to where the rules of a chain stand, if they are in a row."""
        return self.runs.get(name) if name not in self.further else None

    def _make(self, name: str) -> Chain:
        line = self.declared[name]
        first = self.runs.get(name)
        if first is None:
            return Chain(name, Content(self.shapes, texts=()), line=line)
        source, start = self.lines.text, len(name) + 4
        if name not in self.further:
            begin, end = first
            content = Content(self.shapes, source=source, begin=begin, end=end - 1, start=start)
            return Chain(name, content, line=line, origin=(self.lines, begin))
        spans = (first, *self.further[name])
        pieces = [source[begin : end - 1] for begin, end in spans]
        numbers: list[int] = []
        for piece, (begin, _) in zip(pieces, spans, strict=True):
            number = self.lines.at(begin)
            numbers += range(number, number + piece.count("\n") + 1)
        source = "\n".join(pieces)
        content = Content(self.shapes, source=source, begin=0, end=len(source), start=start)
        return Chain(name, content, line=line, numbers=numbers)


def sizes(table: Table, kept: Callable[[str], bool]) -> tuple[int, int]:
    """Return how many rules the chains of a table have that are kept by name, and how many chains.

    No chain is made for that where the text was sorted.
    """
    names = [name for name in table if kept(name)]
    if not isinstance(table, IndexedTable) or not table.runs:
        return sum(len(table[name]) for name in names), len(names)
    spans = [*table.runs.values(), *(span for some in table.further.values() for span in some)]
    # rules of one table stand together
    rules = table.lines.text.count("\n", min(spans)[0], max(spans)[1])
    if len(names) < len(table):
        rules -= sum(table.size(name) for name in set(table).difference(names))
    return rules, len(names)
