"""Requests as pictures of text: a bar per endpoint, and a timeline of which one answered."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from compiler.analysis.sticky.duration import clock, spoken
from compiler.cli.colour import Paint, plain
from compiler.cli.lab.request_words import verdict
from compiler.cli.terminal import short
from compiler.lab.experiment import Experiment

# Columns that a name has in the narrowest terminal.
_LABEL = 16
_LEAST_BAR = 3
_COLOURS = {"not chance": "red", "unusual": "yellow", "as expected": "green"}
EXPIRED = "expired"


@dataclass(frozen=True)
class Drawing:
    """How to draw: in how many columns, with block characters or with ASCII alone, in colour.

    With `latest` a timeline shows the latest rounds, one per column, rather than all of them.
    """

    width: int = 80
    blocks: bool = True
    paint: Paint = plain
    latest: bool = False

    @property
    def bar(self) -> str:
        """What bars are made of: their ends by eighths, and a full column last."""
        return "▏▎▍▌▋▊▉█" if self.blocks else "#"

    @property
    def mark(self) -> str:
        """What marks the expected count."""
        return "┃" if self.blocks else "|"

    @property
    def steps(self) -> str:
        """Columns of a timeline: nobody answered, then more and more of the requests."""
        return "·▁▂▃▄▅▆▇█" if self.blocks else ".:-=+*#"

    @property
    def arrow(self) -> str:
        """What marks a column of a timeline."""
        return "↑" if self.blocks else "^"


def head(experiment: Experiment) -> str:
    """Name what was done: the service port, its requests, their clients."""
    count = len(experiment.replies)
    words = f"{experiment.service_port}: {count:,} request{'s'[: count != 1]}"
    clients = experiment.clients
    words += f" from {clients[0]}" if len(clients) == 1 else f" from {len(clients):,} clients"
    if experiment.every:
        words += f" every {spoken(experiment.every)}"
    if experiment.affinity:
        words += f", ClientIP affinity {experiment.affinity} s"
    return words


def bars(experiment: Experiment, drawing: Drawing) -> Iterator[str]:
    """Give a line per endpoint: how often it answered, how often by the rules, and a bar."""
    counts = experiment.counts
    compared = experiment.comparable
    expected = {name: experiment.expected_count(name) for name in counts} if compared else {}
    names = _label_width(counts, drawing)
    numbers = max(len("answers"), *(len(f"{count:,}") for count in counts.values()))
    most = max([1.0, *map(float, counts.values()), *expected.values()])
    means = {name: f"{count:,.1f}" for name, count in expected.items()}
    room = max([len("expected"), *map(len, means.values())]) + 2 if compared else 0
    left = max(_LEAST_BAR, drawing.width - names - numbers - room - 4)
    title = f"{'':{names}}  {'answers':>{numbers}}" + (f"{'expected':>{room}}" if compared else "")
    yield title
    for name, count in counts.items():
        row = f"{short(name, names):{names}}  {count:{numbers},}"
        row += f"{means[name]:>{room}}" if compared else ""
        yield f"{row}  {_bar(count, expected.get(name), most, left, drawing)}".rstrip()


def _label_width(names: Mapping[str, int], drawing: Drawing) -> int:
    longest = max(map(len, names), default=0)
    return min(longest, max(_LABEL, drawing.width // 3))


def _bar(count: float, expected: float | None, most: float, width: int, drawing: Drawing) -> str:
    """Draw a bar; what came at all is never blank. The expected count is marked on it."""
    kinds = len(drawing.bar)
    units = max(1, round(count / most * width * kinds)) if count else 0
    whole, part = divmod(units, kinds)
    drawn = (drawing.bar[-1] * whole + (drawing.bar[part - 1] if part else "")).ljust(width)
    if expected is None:
        return drawn
    place = min(width - 1, max(0, round(expected / most * width) - 1))
    return drawn[:place] + drawing.mark + drawn[place + 1 :]


def timeline(experiment: Experiment, drawing: Drawing) -> Iterator[str]:
    """Give a row per endpoint whose columns are time, and one that marks where affinity expired."""
    columns, names = _columns(experiment, drawing)
    if not columns:
        return
    first = next(column.at for column in columns if column.counts)
    begin, end = clock(first), clock(experiment.replies[-1].at)
    scale = f"{begin}{end:>{max(0, len(columns) - len(begin))}}"
    yield f"{'':{names}}  {scale if len(columns) > len(begin + end) else f'{begin} to {end}'}"
    totals = [sum(column.counts.values()) for column in columns]
    for name in experiment.counts:
        row = "".join(
            _step(column.counts[name], total, drawing)
            for column, total in zip(columns, totals, strict=True)
        )
        yield f"{short(name, names):{names}}  {row}".rstrip()
    if any(column.expired for column in columns):
        row = "".join(drawing.arrow if column.expired else " " for column in columns)
        yield f"{EXPIRED:{names}}  {row}".rstrip()


@dataclass
class _Column:
    """Requests at about the same time: how often each answered, and how many pins had expired.

    `at` is the time of the first in seconds.
    """

    at: float = 0
    counts: Counter[str] = field(default_factory=Counter)
    expired: int = 0


def _columns(experiment: Experiment, drawing: Drawing) -> tuple[list[_Column], int]:
    """Return the columns of a timeline, as many as fit, and the width of its labels."""
    names = max(_label_width(experiment.counts, drawing), len(EXPIRED))
    slots = _slots(experiment)
    room = max(8, drawing.width - names - 2)
    count = max(slots, default=-1) + 1
    first = max(0, count - room) if drawing.latest else 0
    count -= first
    wide = min(count, room)
    columns = [_Column() for _ in range(wide)]
    for slot, reply, expired in zip(slots, experiment.replies, experiment.expired(), strict=True):
        if slot >= first:
            column = columns[(slot - first) * wide // count]
            column.at = column.at if column.counts else reply.at
            column.counts[reply.answer.name] += 1
            column.expired += expired
    return columns, names


def _slots(experiment: Experiment) -> Sequence[int]:
    """Return the round in which each request was made: by time, or where there is none in turn."""
    replies = experiment.replies
    if experiment.every and replies:
        return [round((reply.at - replies[0].at) / experiment.every) for reply in replies]
    return [place // len(experiment.clients) for place in range(len(replies))]


def _step(count: int, total: int, drawing: Drawing) -> str:
    """Draw how many of a column's requests one endpoint answered; blank where there were none."""
    if not total:
        return " "
    steps = drawing.steps
    return steps[max(1, round(count / total * (len(steps) - 1)))] if count else steps[0]


def picture(experiment: Experiment, drawing: Drawing) -> Iterator[str]:
    """Give all lines: what was done, the timeline where there is one, the bars, the verdict."""
    yield from _wrapped(head(experiment), drawing)
    if experiment.every:
        yield from timeline(experiment, drawing)
        yield ""
    yield from bars(experiment, drawing)
    yield from _verdict(experiment, drawing)


def live(
    experiment: Experiment, drawing: Drawing, rows: int, notes: Sequence[str]
) -> Sequence[str]:
    """Return the lines for a terminal of so many rows: without bars where they don't fit.

    Where the timeline does not fit either, what matters most is above it.
    """
    first = _wrapped(head(experiment), drawing)
    if not experiment.replies:
        return [*first, *notes]
    whole = [*picture(experiment, drawing), *notes]
    if len(whole) <= rows:
        return whole
    line, last = list(timeline(experiment, drawing)), list(_verdict(experiment, drawing))
    if len(first) + len(line) + len(last) + len(notes) <= rows:
        return [*first, *line, *last, *notes]
    return [*first, *last, *notes, *line]


def _verdict(experiment: Experiment, drawing: Drawing) -> Iterator[str]:
    words = verdict(experiment)
    colour = next((one for begin, one in _COLOURS.items() if words.startswith(begin)), "")
    for line in _wrapped(words, drawing):
        yield drawing.paint(line, colour) if colour else line


def _wrapped(text: str, drawing: Drawing) -> list[str]:
    return textwrap.wrap(text, drawing.width, break_on_hyphens=False, break_long_words=False)
