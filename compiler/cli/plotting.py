"""Plots by matplotlib, the extra `proxyrules[plot]`: one style, and what a reader needs to see it.

Colours are those of Okabe and Ito, which people with any colour vision tell apart. A plot brings
its white background with it, so that it looks the same on a light and on a dark page.
"""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from compiler.cli.colour import shown
from compiler.cli.exit_codes import Failure
from compiler.cli.output import write_bytes
from compiler.errors import InputError, Problem

SUFFIXES = (".svg", ".png", ".pdf")
# Without their yellow, which is too light for a line on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
GREY = "#595959"

# Characters in a line below a plot.
_WRAP = 100

_STYLE: dict[Any, Any] = {
    # text as text, which can be searched, selected and read out
    "svg.fonttype": "none",
    "svg.hashsalt": "proxyrules",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
}


def check_plot(path: str) -> None:
    """Reject a path that nothing can be drawn to, before anything else is done.

    Raises `InputError`, and `Failure` where matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        hint = "use a name that ends in .svg, .png or .pdf"
        raise InputError(Problem(path, "is no drawing", hint))
    if reason := _unwritable(Path(path)):
        hint = "choose a file in an existing folder"
        raise InputError(Problem(path, f"can't be written: {reason}", hint))
    if importlib.util.find_spec("matplotlib") is None:
        raise Failure(
            "--plot",
            "matplotlib is not installed",
            f"install it with `{sys.executable} -m pip install matplotlib`",
        )


def _unwritable(path: Path) -> str:
    """Say why a file can't be written, as the system would, empty where it can."""
    code = 0
    if path.is_dir():
        code = errno.EISDIR
    elif not path.parent.exists():
        code = errno.ENOENT
    elif not path.parent.is_dir():
        code = errno.ENOTDIR
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        code = errno.EACCES
    return os.strerror(code).lower() if code else ""


@contextmanager
def drawing(path: str, title: str, description: str) -> Iterator[Any]:
    """Yield `pyplot` in the style of all plots; the figure made with it is written to `path`.

    `title` and `description` are for readers who don't see it. Equal figures are equal files.
    Raises `InputError` where the path is no place to write to, and `Failure` where writing failed.
    """
    import matplotlib as mpl

    mpl.use("agg")
    with mpl.rc_context(_STYLE):
        from matplotlib import pyplot as plt

        plt.close("all")
        try:
            yield plt
            kind = Path(path).suffix[1:].lower()
            data = io.BytesIO()
            plt.gcf().savefig(data, format=kind, metadata=_metadata(kind, title, description))
        finally:
            plt.close("all")
    written = data.getvalue()
    write_bytes(_described(written, title, description) if kind == "svg" else written, path)


def _metadata(kind: str, title: str, description: str) -> dict[str, str | None]:
    """Return what a file says of itself; no date, so that equal plots are equal files."""
    if kind == "pdf":
        return {"Title": title, "Subject": description, "CreationDate": None}
    if kind == "png":
        return {"Title": title, "Description": description}
    return {"Date": None}


def _described(svg: bytes, title: str, description: str) -> bytes:
    """Give a picture its title and description, first of all, as screen readers expect them."""
    before, start, rest = svg.partition(b"<svg ")
    attributes, end, after = rest.partition(b">")
    role = b' role="img" aria-labelledby="title desc"'
    title, description = (escape(shown(text)) for text in (title, description))
    words = f'\n <title id="title">{title}</title>\n <desc id="desc">{description}</desc>'
    return before + start + attributes + role + end + words.encode() + after


def label(text: str) -> str:
    """Return a text as matplotlib can print it: a dollar sign would begin a formula."""
    return shown(text).replace("$", r"\$")


def wrapped(text: str) -> str:
    """Return a text in lines, as matplotlib can print it."""
    return "\n".join(map(label, textwrap.wrap(text, _WRAP, break_on_hyphens=False)))


def legend(columns: int) -> dict[str, Any]:
    """Return where a legend is: above the axes, where no data is hidden by it."""
    return {
        "loc": "lower left",
        "bbox_to_anchor": (0, 1),
        "ncols": columns,
        "frameon": False,
        "fontsize": "small",
        "borderaxespad": 0.2,
    }
