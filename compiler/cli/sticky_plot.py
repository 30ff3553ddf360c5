"""What `sticky` played as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from compiler.analysis.sticky.answers import figures
from compiler.analysis.sticky.run import StickyAnswer
from compiler.cli.plotting import COLOURS, GREY, drawing, label

# A line per endpoint; more than these can't be told apart.
_LINES = tuple(product(("-", "--"), COLOURS))


def write_plot(answers: Sequence[StickyAnswer], path: str) -> None:
    """Draw skew, connections dealt anew or lost, and clients by endpoint over time."""
    title = "Session affinity over time: " + "; ".join(dict.fromkeys(map(_title, answers)))
    size = (8 * len(answers), 9)
    with drawing(path, title, " ".join(map(_description, answers))) as plt:
        _, axes = plt.subplots(3, len(answers), figsize=size, squeeze=False)
        for place, answer in enumerate(answers):
            _draw([row[place] for row in axes], answer)


def _title(answer: StickyAnswer) -> str:
    affinity = "no affinity" if answer.timeout is None else f"ClientIP {answer.timeout} s"
    return f"{answer.key}, {affinity}"


def _description(answer: StickyAnswer) -> str:
    """Say in words what the drawing shows of a run."""
    found = ", ".join(f"{name} {figure.amount}" for name, figure in figures(answer).items())
    return f"{_title(answer)}: {found}."


def _draw(axes, answer: StickyAnswer) -> None:  # type: ignore[no-untyped-def]
    samples = answer.played.samples
    times = [one.at / answer.played.hz / 60 for one in samples]
    skew, events, clients = axes
    skew.set_title(label(_title(answer)))
    skew.plot(
        times, [one.skew for one in samples], color=COLOURS[0], label="fullest endpoint / mean"
    )
    skew.plot(times, [one.bound for one in samples], "--", color=GREY, label="by chance, up to")
    skew.set_ylabel("skew")
    broken, lost = [one.broken for one in samples], [one.lost for one in samples]
    events.plot(times, broken, color=COLOURS[0], label="broken (pin lost\nwithin the timeout)")
    events.plot(times, lost, "--", color=COLOURS[5], label="lost")
    events.set_ylabel("connections")
    names = list(dict.fromkeys(name for one in samples for name in one.at_endpoint))
    for name, (kind, colour) in zip(names, _LINES, strict=False):
        here = [one.at_endpoint.get(name) for one in samples]
        clients.plot(times, here, kind, color=colour, label=label(name))
    if len(names) > len(_LINES):
        clients.plot([], [], " ", label=f"not drawn: {len(names) - len(_LINES)} more")
    clients.set_ylabel("clients by endpoint")
    clients.set_xlabel("minutes")
    for one in axes:
        for counts in answer.played.stretches[1:]:
            one.axvline(counts.begin / answer.played.hz / 60, color="black", linewidth=0.5)
        one.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
