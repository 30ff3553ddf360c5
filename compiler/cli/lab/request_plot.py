"""Requests as a plot: a bar per endpoint, and with `--every` which one answered when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compiler.analysis.chance import interval
from compiler.cli.lab.request_text import head
from compiler.cli.lab.request_words import verdict
from compiler.cli.plotting import COLOURS, GREY, drawing, label, legend, wrapped
from compiler.cli.terminal import short
from compiler.lab.experiment import Experiment

# More rows than that can't be read; the rest is counted together.
MOST_ROWS = 60
_NAME = 40
_ROW, _FRAME = 0.32, 1.9
_WIDTH = 9.0
_OBSERVED, _EXPECTED, _EXPIRED = COLOURS[4], "#000000", COLOURS[5]


def write_plot(experiment: Experiment, path: str) -> None:
    """Draw the answers of each endpoint, with what was expected and the interval of chance."""
    names = list(experiment.counts)
    rows = names[:MOST_ROWS]
    left_out = _left_out(experiment, names[MOST_ROWS:])
    panels = [_FRAME + _ROW * len(rows)] * (2 if experiment.every else 1)
    with drawing(path, head(experiment), description(experiment)) as plt:
        figure, axes = plt.subplots(
            len(panels),
            1,
            figsize=(_WIDTH, sum(panels)),
            squeeze=False,
            gridspec_kw={"height_ratios": panels},
        )
        figure.suptitle(wrapped(head(experiment)), x=0.01, ha="left", size="medium")
        figure.supxlabel(wrapped(verdict(experiment)), x=0.01, ha="left", size="small")
        _draw_bars(axes[0][0], experiment, rows)
        axes[0][0].set_xlabel(f"answers{left_out}")
        if experiment.every:
            _draw_timeline(axes[1][0], experiment, rows)
            axes[1][0].set_xlabel(f"seconds since the first request{left_out}")
        for one in axes.flat:
            one.set_yticks(range(len(rows)), [label(short(name, _NAME)) for name in rows])
            one.set_ylim(len(rows) - 0.4, -0.6)


def description(experiment: Experiment) -> str:
    """Say in words what the plot shows."""
    shares = [
        f"{name} {count:,}"
        + (f" (expected {experiment.expected_count(name):,.1f})" if experiment.comparable else "")
        for name, count in experiment.counts.items()
    ]
    return f"{head(experiment)}. Answers: {', '.join(shares)}. {verdict(experiment)}."


def _left_out(experiment: Experiment, names: Sequence[str]) -> str:
    """Say which answers have no row."""
    count = sum(experiment.counts[name] for name in names)
    return f"; not drawn: {len(names)} more endpoints with {count:,} answers" if names else ""


def _draw_bars(axes: Any, experiment: Experiment, rows: Sequence[str]) -> None:
    """Draw a bar per endpoint, its number at the right, where no bar ends."""
    counts = [experiment.counts[name] for name in rows]
    axes.barh(range(len(rows)), counts, color=_OBSERVED, label="answers")
    for place, count in enumerate(counts):
        at = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right"}
        axes.text(1.0, place, f"{count:,}", **at)
    if experiment.comparable:
        _draw_expected(axes, experiment, rows)
        axes.legend(**legend(2))
    axes.margins(x=0.1)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _draw_expected(axes: Any, experiment: Experiment, rows: Sequence[str]) -> None:
    groups = experiment.groups(experiment.replies)
    means = [experiment.expected_count(name) for name in rows]
    reach = [interval(groups, name) for name in rows]
    below = [max(0.0, mean - low) for mean, (low, _) in zip(means, reach, strict=True)]
    above = [max(0.0, high - mean) for mean, (_, high) in zip(means, reach, strict=True)]
    axes.errorbar(
        means,
        range(len(rows)),
        xerr=[below, above],
        fmt="|",
        color=_EXPECTED,
        markersize=11,
        capsize=3,
        label="expected, with the interval of 95 of 100 runs (of each endpoint by itself)",
    )


def _draw_timeline(axes: Any, experiment: Experiment, rows: Sequence[str]) -> None:
    """Draw a mark per request in the row of the endpoint that answered it."""
    place = {name: number for number, name in enumerate(rows)}
    shown = [
        (reply.at, place[reply.answer.name], expired)
        for reply, expired in zip(experiment.replies, experiment.expired(), strict=True)
        if reply.answer.name in place
    ]
    times, at = [one[0] for one in shown], [one[1] for one in shown]
    axes.plot(times, at, "|", color=COLOURS[0], markersize=13, label="a request")
    if experiment.affinity:
        late = [(when, row) for when, row, expired in shown if expired]
        axes.plot(
            [when for when, _ in late],
            [row for _, row in late],
            "o",
            color=_EXPIRED,
            markersize=5,
            label="affinity had expired before it",
        )
    axes.grid(axis="y", color=GREY, alpha=0.25)
    axes.legend(**legend(2))
