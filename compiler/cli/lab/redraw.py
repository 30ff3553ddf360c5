"""A view that is drawn again in place while something goes on, by rich."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compiler.lab.errors import LabError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

View = Callable[[int, int], Sequence[str]]
"""Draws lines for a terminal of so many columns and rows."""

_PER_SECOND = 4
# Of the time, no more than a part in so many goes into drawing.
_SHARE = 10


def can_redraw() -> bool:
    """Say whether standard output is a terminal on which the cursor can be moved."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


@contextmanager
def redrawn(view: View) -> Iterator[None]:
    """Show a view on the terminal's other screen, in its size at each time, until the end.

    The terminal is as it was afterwards, whatever the end. Raises LabError without rich.
    """
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        raise LabError(
            "--watch on a terminal needs rich, which is not installed; "
            f"install it with `{sys.executable} -m pip install rich`"
        ) from None
    console = Console(highlight=False)
    frame = _Frame(view, console)
    with Live(
        console=console, screen=True, get_renderable=frame.drawn, refresh_per_second=_PER_SECOND
    ):
        yield


class _Frame:
    """The view as it was drawn last; a slow one is drawn less often."""

    def __init__(self, view: View, console: Console) -> None:
        self._view, self._console = view, console
        self._size = (0, 0)
        self._next = 0.0
        self._text: Text | None = None

    def drawn(self) -> Text:
        """Return what the terminal is to show now."""
        from rich.text import Text

        begin, size = time.monotonic(), (self._console.width, self._console.height)
        if self._text is None or size != self._size or begin >= self._next:
            columns, rows = size
            lines = cropped(self._view(columns, rows), rows)
            self._text = Text("\n").join(Text.from_ansi(line) for line in lines)
            self._text.no_wrap, self._text.overflow = True, "crop"
            self._size = size
            self._next = begin + _SHARE * (time.monotonic() - begin)
        return self._text


def cropped(lines: Sequence[str], rows: int) -> Sequence[str]:
    """Leave out the last lines of what is too high, and say so."""
    if len(lines) <= rows:
        return lines
    return [*lines[: rows - 1], f"... {len(lines) - rows + 1} more lines"]
