"""A matrix as Markdown, JSON and CSV; text and HTML are in modules of their own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from compiler.analysis.cells import Cell
from compiler.analysis.matrix import Matrix
from compiler.analysis.node_view import Entry
from compiler.cli.colour import shown
from compiler.cli.matrix_words import (
    FROM_WORDS,
    SCOPE,
    Line,
    blocks,
    cell_in_words,
    entry_in_words,
    groups_of,
    legend,
    nodes_in_words,
)

_CSV_HEAD = (
    "service_port",
    "protocol",
    "entry_point",
    "address",
    "port",
    "from",
    "source",
    "node",
    "outcome",
    "to",
    "percent",
    "share",
    "masqueraded",
    "at",
)
# What spreadsheets take for a formula where a field begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_markdown(matrix: Matrix) -> Iterator[str]:
    """Give the lines: a heading and a table for each service port, and the notes."""
    found = list(blocks(matrix))
    if not found:
        yield "No service ports."
        return
    for block in found:
        heads = [nodes_in_words(group, matrix.columns) for group in block.groups]
        yield f"### {escaped(str(block.key))}"
        yield ""
        yield f"| Entry point | From | {' | '.join(map(escaped, heads))} |"
        yield f"|---|---|{'---|' * len(heads)}"
        last = None
        for line in block.lines:
            entry = escaped(entry_in_words(line.entry)) if line.entry != last else ""
            last = line.entry
            yield f"| {entry} | {_from(line)} | {' | '.join(map(markdown_cell, line.cells))} |"
        yield ""
    for name, words in legend(matrix):
        yield f"- {escaped(name)}: {escaped(words)}"
    for note in (*matrix.notes, SCOPE):
        yield f"- {escaped(note)}"


def _from(line: Line) -> str:
    return ", ".join(FROM_WORDS[sender] for sender in line.senders)


def markdown_cell(cell: Cell) -> str:
    """Write a cell of a Markdown table, whole."""
    return "<br>".join(map(escaped, cell_in_words(cell)))


def escaped(text: str) -> str:
    """Write text so that nothing in it is markup or ends a table's cell."""
    special = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    return "".join(special.get(c, f"\\{c}" if c in "\\`*_[]|#~" else c) for c in shown(text))


def as_json(matrix: Matrix) -> str:
    """Return the matrix as one JSON object; nodes with the same cell share it."""
    value = {
        "nodes": [
            {"name": name, "nodePortAddresses": list(own)}
            for name, own in zip(matrix.columns, matrix.addresses, strict=True)
        ],
        "rows": [
            {
                **json_entry(row.entry),
                "from": row.sender,
                "sources": dict(zip(matrix.columns, row.sources, strict=True)),
                "cells": [
                    {
                        "nodes": [matrix.columns[place] for place in group],
                        "results": json_cell(row.cells[group[0]]),
                    }
                    for group in groups_of(row.cells)
                ],
            }
            for row in matrix.rows
        ],
        "notes": [*matrix.notes, SCOPE],
    }
    return json.dumps(value, indent=2) + "\n"


def json_entry(entry: Entry) -> dict[str, object]:
    """Return an entry point's fields."""
    return {
        "servicePort": entry.key.name,
        "protocol": entry.key.protocol,
        "entryPoint": entry.via,
        "address": entry.address or None,
        "port": entry.port,
    }


def json_cell(cell: Cell) -> list[dict[str, object]]:
    """Return all that becomes of a cell's packets."""
    return [
        {
            "outcome": result.kind,
            "to": result.to or None,
            "share": round(float(result.share), 9),
            "exactShare": str(result.share),
            "masqueraded": result.source == "masquerade",
            "source": result.source if result.source not in ("", "masquerade") else None,
            "at": result.at or None,
        }
        for result in cell
    ]


def as_csv(matrix: Matrix) -> Iterator[str]:
    """Give lines of one table: one for everything that becomes of the packets of every cell."""
    yield _csv_line(_CSV_HEAD)
    for row in matrix.rows:
        entry = row.entry
        for node, source, cell in zip(matrix.columns, row.sources, row.cells, strict=True):
            for result in cell:
                yield _csv_line(
                    (
                        entry.key.name,
                        entry.key.protocol,
                        entry.via,
                        entry.address,
                        str(entry.port),
                        row.sender,
                        source,
                        node,
                        result.kind,
                        result.to,
                        f"{float(result.share) * 100:.7g}",
                        str(result.share),
                        {"": "no", "masquerade": "yes"}.get(result.source, result.source),
                        result.at,
                    )
                )


def _csv_line(fields: Sequence[str]) -> str:
    line = io.StringIO()
    safe = [f"'{field}" if field.startswith(_FORMULA) else field for field in fields]
    csv.writer(line, lineterminator="").writerow(map(shown, safe))
    return line.getvalue()
