"""Colour on a terminal; none in a pipe, under NO_COLOR or on a dumb terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

Paint = Callable[[str, str], str]


def paint_for_stdout() -> Paint:
    """Return a function that colours a text (`red`, `green`, `bold`) where that is wanted.

    See https://no-color.org: any value of NO_COLOR but the empty one means no colour.
    """
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    return _colour


def plain(text: str, colour: str) -> str:  # noqa: ARG001
    """Return the text as it is."""
    return text


def _colour(text: str, colour: str) -> str:
    if colour == "bold":
        return click.style(text, bold=True)
    return click.style(text, fg=colour)


def shown(text: str) -> str:
    """Make text of a dump fit to be shown: control characters in it must not reach a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
