"""`proxyrules diff --matrix`: the cells of the matrix that change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import click

from compiler.analysis.matrix_diff import CellChange, MatrixDiff, compare_matrices
from compiler.cli.colour import Paint, shown
from compiler.cli.matrix_formats import escaped, json_cell, json_entry, markdown_cell
from compiler.cli.matrix_input import chosen_keys, load_side, open_side
from compiler.cli.matrix_options import Chosen
from compiler.cli.matrix_text import FOLD, wrapped
from compiler.cli.matrix_words import (
    FROM_WORDS,
    cell_in_words,
    entry_in_words,
    grouped,
    nodes_in_words,
)
from compiler.cli.options import CompileOptions
from compiler.cli.rules_input import choose_family, gathered
from compiler.errors import InputError, Problem

FORMATS = ("text", "json", "markdown")


def matrix_diff(
    old: str,
    new: str,
    options: CompileOptions,
    versions: tuple[str | None, str | None],
    chosen: Chosen,
) -> MatrixDiff:
    """Read both sides and compare their matrices; `versions` are those of OLD and NEW alone.

    Raises `InputError`.
    """
    first, second = gathered(lambda: open_side([old]), lambda: open_side([new]))
    rules = [one for one in (*first, *second) if not one.manifests]
    for side, name, version in (
        (first, "--from-version", versions[0]),
        (second, "--to-version", versions[1]),
    ):
        if version and not side[0].manifests:
            raise click.UsageError(f"{name} is for manifests, but {side[0].name} is rules")
    family = choose_family(rules, options)
    options = options.with_cluster_read()
    each = [replace(options, kube_version=one or options.kube_version) for one in versions]
    # a Service may be on one side alone, and its address another's on the other
    every = replace(chosen, services=())
    mixed = bool(first[0].manifests) != bool(second[0].manifests)
    sides = [
        # the node that is named is that of the manifests
        (replace(one, node=None), Chosen()) if mixed and not side[0].manifests else (one, every)
        for side, one in zip((first, second), each, strict=True)
    ]
    before = load_side(first, *sides[0], family)
    after = load_side(second, *sides[1], before.family)
    keys = chosen_keys([before.ports, after.ports], chosen)
    found = compare_matrices(before.columns, after.columns, keys)
    if not found.nodes:
        names = ", ".join(column.name for column in before.columns[:10])
        message = f"has none of the nodes of {before.name}"
        raise InputError(Problem(after.name, message, f"these are {names}"))
    left_out = dict.fromkeys((*before.left_out, *after.left_out))
    return replace(found, not_compared=(*found.not_compared, *left_out))


def formatted(diff: MatrixDiff, format_: str, paint: Paint) -> Iterable[str]:
    """Return the text in chunks. Raises `UsageError` for a format that a matrix has not."""
    if format_ not in FORMATS:
        raise click.UsageError(f"--matrix has no format {format_}; use {', '.join(FORMATS)}")
    if format_ == "json":
        return [_json(diff)]
    lines = _markdown(diff) if format_ == "markdown" else _text(diff, paint)
    return (line + "\n" for line in lines)


def summary(diff: MatrixDiff) -> str:
    """Sum up how many cells change."""
    if diff.same:
        return f"None of {diff.cells} cells changes."
    verb = "changes" if len(diff.changes) == 1 else "change"
    return f"{len(diff.changes)} of {diff.cells} cells {verb}."


def looked_at(diff: MatrixDiff) -> Iterator[str]:
    """Give what was compared and what was not."""
    senders = ", ".join(FROM_WORDS[sender] for sender in diff.senders) or "no sender"
    points = "1 entry point" if diff.entries == 1 else f"{diff.entries} entry points"
    nodes = nodes_in_words(range(len(diff.nodes)), diff.nodes)
    yield f"compared: {points} from {senders}, on {nodes}: a packet each"
    if diff.unknown:
        cells = "1 cell" if diff.unknown == 1 else f"{diff.unknown} cells"
        yield f"not compared: {cells} that could not be looked at on both sides"
    yield from (f"not compared: {words}" for words in diff.not_compared)
    yield from diff.notes
    yield "not compared: all other packets; diff without --matrix compares a node's rules for all"


def _together(diff: MatrixDiff) -> Iterator[tuple[CellChange, tuple[str, ...]]]:
    """Give each change once, with the nodes that have the same one."""
    for _, some in groupby(diff.changes, key=lambda change: (change.entry, change.sender)):
        changes = list(some)
        for group in grouped([(change.before, change.after) for change in changes]):
            yield changes[group[0]], tuple(changes[place].node for place in group)


def _named(nodes: Sequence[str], diff: MatrixDiff) -> str:
    places = [place for place, name in enumerate(diff.nodes) if name in set(nodes)]
    return nodes_in_words(places, diff.nodes)


def _text(diff: MatrixDiff, paint: Paint) -> Iterator[str]:
    key = entry = None
    for change, nodes in _together(diff):
        if change.entry.key != key:
            key = change.entry.key
            yield paint(shown(str(key)), "bold")
        if (change.entry, change.sender) != entry:
            entry = change.entry, change.sender
            yield f"  {shown(entry_in_words(change.entry))} from {FROM_WORDS[change.sender]}"
        yield from wrapped(f"    {_named(nodes, diff)}", " " * 6)
        for sign, texts, colour in zip("-+", _sides(change), ("red", "green"), strict=True):
            for words in texts:
                for line in wrapped(f"      {sign} {words}", " " * 10):
                    yield paint(line, colour)
    yield summary(diff)
    for words in looked_at(diff):
        yield from wrapped(words)


def _sides(change: CellChange) -> tuple[list[str], list[str]]:
    """Write both cells: in full where what differs is among the endpoints that are not named."""
    for fold in (FOLD, 0):
        before, after = (cell_in_words(cell, fold=fold) for cell in (change.before, change.after))
        if before != after:
            break
    return before, after


def _markdown(diff: MatrixDiff) -> Iterator[str]:
    yield "### Where Services lead: cells that change"
    yield ""
    yield summary(diff)
    if diff.changes:
        yield ""
        yield "| Service port | Entry point | From | Nodes | Before | After |"
        yield "|---|---|---|---|---|---|"
    for change, nodes in _together(diff):
        cells = (
            escaped(str(change.entry.key)),
            escaped(entry_in_words(change.entry)),
            FROM_WORDS[change.sender],
            escaped(_named(nodes, diff)),
            markdown_cell(change.before),
            markdown_cell(change.after),
        )
        yield f"| {' | '.join(cells)} |"
    yield ""
    for words in looked_at(diff):
        yield f"- {escaped(words)}"


def _json(diff: MatrixDiff) -> str:
    value = {
        "same": diff.same,
        "changes": [
            {
                **json_entry(change.entry),
                "from": change.sender,
                "nodes": list(nodes),
                "before": json_cell(change.before),
                "after": json_cell(change.after),
            }
            for change, nodes in _together(diff)
        ],
        "compared": {
            "nodes": list(diff.nodes),
            "from": list(diff.senders),
            "entryPoints": diff.entries,
            "cells": diff.cells,
            "cellsChanged": len(diff.changes),
            "cellsNotKnown": diff.unknown,
        },
        "notCompared": list(diff.not_compared),
        "notes": list(diff.notes),
    }
    return json.dumps(value, indent=2) + "\n"
