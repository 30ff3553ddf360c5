"""What `sticky` played as a drawing, by matplotlib: the extra `proxyrules[plot]`."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path

from compiler.analysis.sticky.run import StickyAnswer
from compiler.cli.exit_codes import Failure
from compiler.cli.output import write_bytes
from compiler.errors import InputError, Problem

SUFFIXES = (".svg", ".png", ".pdf")
# An endpoint per colour; more lines than that can't be told apart.
_MAX_LINES = 10


def check_plot(path: str) -> None:
    """Reject a path that nothing can be drawn to, before anything is played.

    Raises `InputError`, and `Failure` where matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        hint = "use a name that ends in .svg, .png or .pdf"
        raise InputError(Problem(path, "is no drawing", hint))
    if importlib.util.find_spec("matplotlib") is None:
        message = "matplotlib is not installed"
        raise Failure("--plot", message, "install proxyrules[plot]")


def write_plot(answers: Sequence[StickyAnswer], path: str) -> None:
    """Draw skew, connections dealt anew or lost, and clients by endpoint over time."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "proxyrules"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, len(answers), figsize=(8 * len(answers), 9), squeeze=False)
    for place, answer in enumerate(answers):
        _draw([row[place] for row in axes], answer)
    kind = Path(path).suffix[1:].lower()
    data = io.BytesIO()
    # without a date, so that equal runs are equal files
    metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else {}
    figure.savefig(data, format=kind, metadata=metadata)
    plt.close(figure)
    write_bytes(data.getvalue(), path)


def _draw(axes, answer: StickyAnswer) -> None:  # type: ignore[no-untyped-def]
    samples = answer.played.samples
    times = [one.at / answer.played.hz / 60 for one in samples]
    skew, events, clients = axes
    affinity = "no affinity" if answer.timeout is None else f"ClientIP {answer.timeout} s"
    skew.set_title(f"{answer.key}, {affinity}")
    skew.plot(times, [one.skew for one in samples], label="fullest endpoint / mean")
    skew.plot(times, [one.bound for one in samples], "--", color="grey", label="by chance, up to")
    skew.set_ylabel("skew")
    events.plot(
        times, [one.broken for one in samples], label="broken (pin lost within the timeout)"
    )
    events.plot(times, [one.lost for one in samples], label="lost")
    events.set_ylabel("connections")
    names = list(dict.fromkeys(name for one in samples for name in one.at_endpoint))
    for name in names[:_MAX_LINES]:
        clients.plot(times, [one.at_endpoint.get(name) for one in samples], label=name)
    clients.set_ylabel("clients by endpoint")
    clients.set_xlabel("minutes")
    for one in axes:
        for counts in answer.played.stretches[1:]:
            one.axvline(counts.begin / answer.played.hz / 60, color="black", linewidth=0.5)
        one.legend(fontsize="small")
