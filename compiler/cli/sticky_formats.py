"""What `sticky` played as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from compiler.analysis.sticky.answers import Stretch, figures, stretches
from compiler.analysis.sticky.counts import BROKEN, Cause
from compiler.analysis.sticky.duration import clock, spoken
from compiler.analysis.sticky.play import Played
from compiler.analysis.sticky.run import StickyAnswer
from compiler.cli.colour import shown
from compiler.cli.sticky_report import Report

WIDTH = 80
_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#%"
_SPARK_WIDTH = 60
_NAMES: dict[Cause, str] = {
    "endpoint gone": "endpoint gone",
    "no affinity": "no affinity",
    "expired": "silent for too long",
    "pushed out": "pushed out of a full list",
    "list lost": "list lost",
    "another node": "by another node",
    "older pin": "older pin",
}

_VIAS = {
    "cluster-ip": "the cluster IP",
    "node-port": "the node port",
    "external-ip": "the external IP",
    "load-balancer": "the load-balancer IP",
}


def as_text(report: Report, *, bars: bool) -> Iterator[str]:
    """Give the lines for a reader, at most 80 columns wide."""
    if len(report.answers) > 1:
        yield from _table(report)
    else:
        yield from _answer(report, bars=bars)
    yield ""
    yield "Not played:"
    for limit in report.limits:
        yield from _wrapped(f"- {limit}", "  ")


def _answer(report: Report, *, bars: bool) -> Iterator[str]:
    answer = report.answers[0]
    yield from _head(answer)
    for stretch in stretches(answer):
        yield ""
        yield from _stretch(answer, stretch)
    yield ""
    yield from _plots(answer, bars=bars)
    if advice := report.advice(0):
        yield ""
        yield "What would have to be different:"
        for sentence in advice:
            yield from _wrapped(f"- {sentence}", "  ")


def _head(answer: StickyAnswer) -> Iterator[str]:
    affinity = "no affinity" if answer.timeout is None else f"ClientIP {answer.timeout} s"
    count = len(answer.endpoints)
    endpoints = f"{count} endpoint{'s'[: count != 1]}"
    yield from _wrapped(f"{shown(str(answer.key))}: {affinity}, {endpoints}, {_load(answer)}", "  ")
    nodes = f"{answer.nodes} node{'s'[: answer.nodes != 1]}"
    played = f"for {spoken(answer.settings.seconds)}, rules {spoken(answer.lag)} behind the Pods"
    words = f"{_VIAS[answer.via]} {answer.entry} on {nodes}, {played}"
    yield from _wrapped(f"through {words}, seed {answer.settings.seed}", "  ")


def _load(answer: StickyAnswer) -> str:
    load = answer.load
    clients = f"{len(load.addresses):,} client{'s'[: len(load.addresses) != 1]}"
    if load.trace:
        return f"{clients}, {len(load.trace):,} connections of a trace"
    average = " on average" if load.exponential else ""
    return f"{clients}, each with a new connection every {spoken(load.every)}{average}"


def _stretch(answer: StickyAnswer, stretch: Stretch) -> Iterator[str]:
    counts = stretch.counts
    yield from _line(stretch.begin, shown(counts.label) or "start")
    yield from _body(f"{counts.connections:,} connections: {_shares(stretch)}")
    if counts.again:
        clients = len(answer.load.addresses)
        yield from _body(_moves(stretch))
        forced = f"{counts.clients_forced:,} had to"
        yield from _body(f"{counts.clients_moved:,} of {clients:,} clients moved; {forced}")
    lost = sum(counts.lost.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.lost.items()))
    yield from _body(f"{lost:,} connections lost{': ' + reasons if lost else ''}")
    if counts.full_lists:
        full = f"{counts.full_lists} of {counts.lists} lists full at the end"
        yield from _body(f"{full} ({answer.settings.limit} addresses each)")
    yield from _body(_balance(stretch))


def _shares(stretch: Stretch) -> str:
    counts = stretch.counts
    parts = []
    if counts.first:
        parts.append(f"{counts.first:,} first ones")
    parts.append(f"{counts.pinned:,} pinned")
    for cause, name in _NAMES.items():
        if counts.dealt[cause]:
            within = " within the timeout" if cause in BROKEN else ""
            parts.append(f"{counts.dealt[cause]:,} dealt anew{within} ({name})")
    return ", ".join(parts)


def _moves(stretch: Stretch) -> str:
    counts = stretch.counts
    moved = sum(counts.moved.values())
    causes = ", ".join(
        f"{counts.moved[cause]:,} {name}" for cause, name in _NAMES.items() if counts.moved[cause]
    )
    words = f"{moved:,} ({_percent(moved / counts.again)}) to another endpoint than the one before"
    return f"{words}: {causes}" if moved else words


def _percent(share: float) -> str:
    """Write a share; what is not all or nothing is not rounded to it."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    return "over 99.9 %" if 0.999 < share < 1 else f"{100 * share:.3g} %"


def _balance(stretch: Stretch) -> str:
    if not stretch.skew:
        return "no client has an endpoint"
    skew = f"the fullest endpoint has {stretch.skew:.2f} times the mean"
    chance = f"chance gives up to {stretch.bound:.2f}"
    if stretch.balanced is None:
        return f"not balanced by {clock(stretch.end)}: {skew}, {chance}"
    if stretch.balanced == stretch.begin:
        return f"balanced throughout: {skew} at the end, {chance}"
    return f"balanced from {clock(stretch.balanced)} on: {skew} at the end, {chance}"


def _plots(answer: StickyAnswer, *, bars: bool) -> Iterator[str]:
    played = answer.played
    end = clock(answer.settings.seconds)
    skews = [one.skew for one in played.samples]
    rows = [
        ("skew", [max(0.0, skew - 1) for skew in skews], f"{max(skews, default=0):.2f}"),
        ("broken", [float(one.broken) for one in played.samples], ""),
        ("lost", [float(one.lost) for one in played.samples], ""),
    ]
    yield f"{'':12}{'0:00':<{_SPARK_WIDTH - len(end)}}{end}"
    for name, values, highest in rows:
        top = highest or f"{max(values, default=0):,.0f}"
        yield f"{name:<12}{_spark(values, bars=bars)} {top}"
    last = played.samples[-1].at_endpoint if played.samples else {}
    yield ""
    yield f"clients by endpoint at {end}:"
    longest = max(map(len, last), default=0)
    most = max([1, *last.values()])
    for name, count in list(last.items())[:20]:
        room = WIDTH - longest - 12
        bar = ("█" if bars else "#") * round(room * count / most)
        yield f"  {name:<{longest}}  {count:>6,} {bar}".rstrip()
    if len(last) > 20:
        yield f"  and {len(last) - 20} more endpoints"


def _spark(values: Sequence[float], *, bars: bool) -> str:
    """Draw values as one line, the highest of each column; what is not zero is not blank."""
    signs = _BARS if bars else _ASCII_BARS
    width = min(_SPARK_WIDTH, len(values))
    columns = [
        max(values[place * len(values) // width : (place + 1) * len(values) // width])
        for place in range(width)
    ]
    top = max(columns, default=0.0)
    steps = len(signs) - 1
    drawn = (signs[max(1, round(steps * one / top))] if one > 0 else signs[0] for one in columns)
    return f"{''.join(drawn):<{_SPARK_WIDTH}}"


def _table(report: Report) -> Iterator[str]:
    """Put variants side by side: a row for each."""
    answer = report.answers[0]
    count = len(answer.endpoints)
    played = f"{spoken(answer.settings.seconds)} each, seed {answer.settings.seed}"
    words = f"{shown(str(answer.key))}: {count} endpoint{'s'[: count != 1]}, {played}"
    yield from _wrapped(f"{words}, {_load(answer)} where a variant does not say otherwise", "  ")
    head = ("VARIANT", "RETURNED", "MOVED", "FORCED", "BROKEN", "LOST", "PUSHED", "SKEW")
    rows: list[tuple[str, ...]] = [head]
    for name, one in zip(report.names, report.answers, strict=True):
        found = figures(one)
        cells = [name, *(_cell(found[key].value, found[key].whole) for key in _COLUMNS)]
        rows.append((*cells, f"{found['skew'].value:.2f}"))
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells)
    yield ""
    yield from _wrapped(_COLUMN_WORDS)
    for place, name in enumerate(report.names):
        for sentence in report.advice(place):
            yield from _wrapped(f"{name}: {sentence}", "  ")


_COLUMN_WORDS = (
    "Of connections: returned to the client's last endpoint, broken (not by its pin, though within "
    "the timeout), lost. Of clients: moved, forced to (their endpoint was gone). Pushed: how often "
    "a full list dropped a client. Skew: the fullest endpoint over the mean, at the end."
)
_COLUMNS = ("returned", "moved", "forced", "broken", "lost", "pushed-out")


def _cell(value: float, whole: int) -> str:
    return _percent(value / whole) if whole else f"{value:,.0f}"


def _line(at: float, words: str) -> Iterator[str]:
    yield from _wrapped(f"{clock(at):>8}  {words}", " " * 10)


def _body(words: str) -> Iterator[str]:
    yield from _wrapped(" " * 10 + words, " " * 12)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def as_json(report: Report) -> str:
    """Return everything as one JSON object."""
    value = {
        "ok": not report.unmet,
        "unmet": list(report.unmet),
        "variants": [
            _variant(name, answer, report.advice(place))
            for place, (name, answer) in enumerate(zip(report.names, report.answers, strict=True))
        ],
        "notPlayed": list(report.limits),
    }
    return json.dumps(value, indent=2) + "\n"


def _variant(name: str, answer: StickyAnswer, advice: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "service": str(answer.key),
        "via": answer.via,
        "entry": answer.entry,
        "nodes": answer.nodes,
        "timeoutSeconds": answer.timeout,
        "endpoints": list(answer.endpoints),
        "clients": len(answer.load.addresses),
        "seconds": answer.settings.seconds,
        "seed": answer.settings.seed,
        "ipListTot": answer.settings.limit,
        "figures": {
            figure.name: {"value": figure.value, "of": figure.whole or None}
            for figure in figures(answer).values()
        },
        "stretches": [_stretch_value(one) for one in stretches(answer)],
        "samples": list(_samples(answer.played)),
        "advice": list(advice),
    }


def _stretch_value(stretch: Stretch) -> dict[str, Any]:
    counts = stretch.counts
    return {
        "begin": stretch.begin,
        "end": stretch.end,
        "event": counts.label,
        "connections": counts.connections,
        "first": counts.first,
        "pinned": counts.pinned,
        "dealtAnew": dict(counts.dealt),
        "strayed": dict(counts.strayed),
        "broken": counts.broken,
        "moved": dict(counts.moved),
        "clientsMoved": counts.clients_moved,
        "clientsForced": counts.clients_forced,
        "lost": dict(counts.lost),
        "pushedOut": counts.pushed_out,
        "lists": counts.lists,
        "fullLists": counts.full_lists,
        "balancedFrom": stretch.balanced,
        "skew": round(stretch.skew, 4),
        "skewByChance": round(stretch.bound, 4),
        "connectionsTo": dict(sorted(counts.to.items())),
    }


def _samples(played: Played) -> Iterator[dict[str, Any]]:
    for one in played.samples:
        yield {
            "at": one.at / played.hz,
            "connections": one.connections,
            "broken": one.broken,
            "lost": one.lost,
            "skew": round(one.skew, 4),
            "balanced": one.balanced,
            "clientsAt": one.at_endpoint,
        }


_CSV = (
    "variant",
    "seconds",
    "connections",
    "broken",
    "lost",
    "skew",
    "balanced",
)


def as_csv(report: Report) -> Iterator[str]:
    """Give the samples as a table, with a column of clients for each endpoint."""
    endpoints = sorted(
        {name for one in report.answers for at in one.played.samples for name in at.at_endpoint}
    )
    yield _row([*_CSV, *(f"clients at {name}" for name in endpoints)])
    for name, answer in zip(report.names, report.answers, strict=True):
        for one in answer.played.samples:
            yield _row(
                [
                    name,
                    f"{one.at / answer.played.hz:g}",
                    one.connections,
                    one.broken,
                    one.lost,
                    f"{one.skew:.4f}",
                    str(one.balanced).lower(),
                    *(one.at_endpoint.get(endpoint, "") for endpoint in endpoints),
                ]
            )


def _row(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
