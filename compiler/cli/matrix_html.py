"""A matrix as one static HTML page: no script, nothing loaded, light and dark."""

from __future__ import annotations

import html
from collections.abc import Iterator

from compiler.analysis.cells import Cell
from compiler.analysis.matrix import Matrix
from compiler.cli.colour import shown
from compiler.cli.html_style import STYLE
from compiler.cli.matrix_words import (
    FROM_WORDS,
    SCOPE,
    Block,
    blocks,
    cell_in_words,
    entry_in_words,
    groups_of,
    legend,
)

_STYLE = f"""\
{STYLE}.dropped, .rejected {{ background: light-dark(#fde2e1, #5c1f1c); }}
.undecided, .unknown {{ background: light-dark(#fff3c9, #4d3d00); }}
"""


def as_html(matrix: Matrix) -> Iterator[str]:
    """Give the lines of the page: a table for each service port, and what the senders are."""
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<title>Where Services lead, by node</title>"
    yield f"<style>\n{_STYLE}</style>"
    yield "</head>"
    yield "<body>"
    yield "<main>"
    yield "<h1>Where Services lead, by node</h1>"
    found = list(blocks(matrix))
    if not found:
        yield "<p>No service ports.</p>"
    for block in found:
        yield from _table(block, matrix)
    if found:
        yield "<h2>What was looked at</h2>"
        yield "<ul>"
        for name, words in legend(matrix):
            yield f"<li>{_text(name)}: {_text(words)}</li>"
        for note in (*matrix.notes, SCOPE):
            yield f"<li>{_text(note)}</li>"
        yield "</ul>"
    yield "</main>"
    yield "</body>"
    yield "</html>"


def _table(block: Block, matrix: Matrix) -> Iterator[str]:
    # a region that scrolls must be reached by keyboard, and named
    yield f'<div class="wide" role="region" tabindex="0" aria-label="{_text(str(block.key))}">'
    yield "<table>"
    yield f"<caption>{_text(str(block.key))}</caption>"
    yield "<thead>"
    yield '<tr><th scope="col">Entry point</th><th scope="col">From</th>'
    for group in block.groups:
        names = ", ".join(matrix.columns[place] for place in group)
        yield f'<th scope="col">{_text(names)}</th>'
    yield "</tr>"
    yield "</thead>"
    counts: dict[object, int] = {}
    for line in block.lines:
        counts[line.entry] = counts.get(line.entry, 0) + 1
    last = None
    for line in block.lines:
        if line.entry != last:
            if last is not None:
                yield "</tbody>"
            yield "<tbody>"
        yield "<tr>"
        if line.entry != last:
            entry = _text(entry_in_words(line.entry))
            yield f'<th scope="rowgroup" rowspan="{counts[line.entry]}">{entry}</th>'
            last = line.entry
        senders = ", ".join(FROM_WORDS[sender] for sender in line.senders)
        yield f'<th scope="row">{senders}</th>'
        if len(groups_of(line.cells)) == 1:
            yield _cell(line.cells[0], len(line.cells))
        else:
            yield from map(_cell, line.cells)
        yield "</tr>"
    yield "</tbody>"
    yield "</table>"
    yield "</div>"


def _cell(cell: Cell, columns: int = 1) -> str:
    """Write a cell; what is the same on all nodes is one, over all columns."""
    # the word is in the cell, too: colour alone says nothing to many readers
    bad = [r.kind for r in cell if r.kind in ("dropped", "rejected", "undecided", "unknown")]
    colour = f' class="{bad[0]}"' if bad else ""
    wide = f' colspan="{columns}"' if columns > 1 else ""
    return f"<td{wide}{colour}>{'<br>'.join(map(_text, cell_in_words(cell)))}</td>"


def _text(text: str) -> str:
    return html.escape(shown(text))
