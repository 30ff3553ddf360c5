"""A matrix as text that fits 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from compiler.analysis.cells import Cell
from compiler.analysis.matrix import Matrix
from compiler.cli.colour import Paint, shown
from compiler.cli.matrix_words import (
    FROM_WORDS,
    SCOPE,
    Block,
    Line,
    blocks,
    cell_in_words,
    entry_in_words,
    groups_of,
    legend,
    nodes_in_words,
)

WIDTH = 80
_GAP = 2
# A column that is narrower breaks its texts too often to be read.
_NARROWEST = 15
_INDENT = 1
# How far cells are indented that are below their senders.
_STACKED = 2
# So many endpoints are named in a cell.
FOLD = 4
_COLOURS = {"dropped": "red", "rejected": "red", "undecided": "yellow", "unknown": "yellow"}


def as_text(matrix: Matrix, paint: Paint) -> Iterator[str]:
    """Give the lines: a table for each service port, then what the senders are."""
    found = list(blocks(matrix))
    if not found:
        yield "No service ports."
        return
    for one in found:
        yield paint(shown(str(one.key)), "bold")
        yield from (
            _table(one, matrix.columns, paint, stacked=False)
            or _table(one, matrix.columns, paint, stacked=True)
            or _list(one, matrix.columns, paint)
        )
        yield ""
    for name, words in legend(matrix):
        yield from wrapped(f"{name}: {words}")
    for note in (*matrix.notes, SCOPE):
        yield from wrapped(note)


def wrapped(words: str, indent: str = "  ", width: int = WIDTH) -> list[str]:
    """Break a text to lines, all but the first indented; long words stay whole."""
    return textwrap.wrap(
        shown(words),
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(block: Block, names: Sequence[str], paint: Paint, *, stacked: bool) -> list[str]:
    """Write a block as a table, or nothing where it has no place for its columns.

    Where it is `stacked`, the senders are above their cells instead of beside them.
    """
    heads = [shown(nodes_in_words(group, names)) for group in block.groups]
    labels = [f"  {_senders(line)}" for line in block.lines]
    label = _STACKED if stacked else max(map(len, labels))
    least = _least(block, heads)
    spare = WIDTH - label - sum(least) - _GAP * len(least)
    if spare < 0:
        return []
    widths = [width + spare // len(least) for width in least]
    out = _row("".ljust(label), heads, widths, ["bold"] * len(heads), paint)
    last = None
    for line, text in zip(block.lines, labels, strict=True):
        if line.entry != last:
            out.append(shown(entry_in_words(line.entry)))
            last = line.entry
        texts = ["\n".join(_words(cell)) for cell in line.cells]
        colours, wide = [_colour(cell) for cell in line.cells], widths
        if len(texts) > 1 and len(groups_of(line.cells)) == 1:
            # the same on all nodes: once, over the whole width
            texts, colours = [f"all: {texts[0]}"], colours[:1]
            wide = [WIDTH - label - _GAP]
        if stacked:
            out.append(text)
        out += _row(("" if stacked else text).ljust(label), texts, wide, colours, paint)
    return out


def _least(block: Block, heads: Sequence[str]) -> list[int]:
    """Return how wide each column must be: as its longest word, where the cells are not all one."""
    unlike = [line for line in block.lines if len(groups_of(line.cells)) > 1]
    return [
        max(
            _NARROWEST,
            *(
                len(word) + _INDENT
                for text in (head, *(w for line in unlike for w in _words(line.cells[place])))
                for word in text.split()
            ),
        )
        for place, head in enumerate(heads)
    ]


def _row(
    label: str, texts: Sequence[str], widths: Sequence[int], colours: Sequence[str], paint: Paint
) -> list[str]:
    """Write the texts beside one another, each broken to the width of its column."""
    broken = [
        [line for part in text.split("\n") for line in wrapped(part, " " * _INDENT, width)]
        for text, width in zip(texts, widths, strict=True)
    ]
    out = []
    for pieces in zip_longest(*broken, fillvalue=""):
        line = label
        for piece, width, colour in zip(pieces, widths, colours, strict=True):
            padding = " " * (width - len(piece))
            line += " " * _GAP + (paint(piece, colour) if piece and colour else piece) + padding
        out.append(line.rstrip())
        label = " " * len(label)
    return out


def _list(block: Block, names: Sequence[str], paint: Paint) -> Iterator[str]:
    """Write a block that is too wide for a table: under each row, its cells and their nodes."""
    last = None
    for line in block.lines:
        if line.entry != last:
            yield shown(entry_in_words(line.entry))
            last = line.entry
        yield f"  {_senders(line)}"
        for some in groups_of(line.cells):
            places = sorted(place for at in some for place in block.groups[at])
            yield from wrapped(f"    {nodes_in_words(places, names)}", " " * 6)
            colour = _colour(line.cells[some[0]])
            for words in _words(line.cells[some[0]]):
                for piece in wrapped(f"      {words}", " " * 8):
                    yield paint(piece, colour) if colour else piece


def _senders(line: Line) -> str:
    return f"from {', '.join(FROM_WORDS[sender] for sender in line.senders)}"


def _words(cell: Cell) -> list[str]:
    return [shown(words) for words in cell_in_words(cell, fold=FOLD)]


def _colour(cell: Cell) -> str:
    return next((_COLOURS[result.kind] for result in cell if result.kind in _COLOURS), "")
