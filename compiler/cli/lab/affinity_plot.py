"""Pinned clients as a plot: how many each endpoint has, and for how much longer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from compiler.cli.lab.pins import Pins, ServicePort
from compiler.cli.plotting import COLOURS, GREY, drawing, label, legend, wrapped
from compiler.cli.terminal import short

# More rows than that can't be read.
MOST_ROWS = 60
_NAME = 44
_ROW, _FRAME = 0.32, 1.7
_WIDTH = 11.0
_PINNED, _EXPIRED, _LIMIT = COLOURS[4], "#D0D0D0", COLOURS[5]
# A limit is drawn where a list is at least so full.
_NEAR = 0.5


def write_plot(pins: Pins, path: str) -> None:
    """Draw a row of two panels per service port with affinity, and a line per endpoint."""
    ports = [port for port in pins.ports if port.endpoints]
    rows = [min(MOST_ROWS, len(port.endpoints)) for port in ports] or [0]
    heights = [_FRAME + _ROW * count for count in rows]
    with drawing(path, _title(pins), description(pins)) as plt:
        figure, axes = plt.subplots(
            len(heights),
            2,
            figsize=(_WIDTH, sum(heights)),
            squeeze=False,
            sharey="row",
            gridspec_kw={"height_ratios": heights},
        )
        figure.suptitle(wrapped(_title(pins)), x=0.01, ha="left", size="medium")
        if not ports:
            for one in axes.flat:
                one.set_axis_off()
        for panels, port in zip(axes, ports, strict=False):
            _draw_port(panels, port, pins)


def _title(pins: Pins) -> str:
    held = [pin for pin in pins.pins if pin.remaining > 0]
    if not held:
        return "No client is pinned to an endpoint"
    clients = len({pin.client for pin in held})
    return f"Session affinity: {clients:,} client{'s'[: clients != 1]} pinned"


def description(pins: Pins) -> str:
    """Say in words what the plot shows."""
    counts = _counts(pins, expired=False)
    expired = _counts(pins, expired=True)
    sentences = [f"{_title(pins)}."]
    for port in pins.ports:
        listed = [
            f"{endpoint} {counts[name]:,}"
            + (f" (and {expired[name]:,} expired)" if expired[name] else "")
            for name, endpoint in port.endpoints.items()
        ]
        sentences.append(f"{_port_title(port)}: {', '.join(listed)}.")
    sentences += [f"The list {name} is full ({pins.limit} addresses)." for name in pins.full]
    return " ".join(sentences)


def _port_title(port: ServicePort) -> str:
    return f"{port.name} ({port.family}), ClientIP affinity {port.timeout} s"


def _counts(pins: Pins, *, expired: bool) -> Counter[str]:
    return Counter(pin.recent for pin in pins.pins if (pin.remaining <= 0) is expired)


def _draw_port(panels: Any, port: ServicePort, pins: Pins) -> None:
    clients, left = panels
    names = list(port.endpoints)[:MOST_ROWS]
    places = {name: place for place, name in enumerate(names)}
    held, expired = _counts(pins, expired=False), _counts(pins, expired=True)
    now, late = [held[name] for name in names], [expired[name] for name in names]
    clients.barh(range(len(names)), now, color=_PINNED, label="pinned")
    if any(late):
        style = {"color": _EXPIRED, "edgecolor": GREY, "hatch": "///", "label": "expired"}
        clients.barh(range(len(names)), late, left=now, **style)
    most = max(here + gone for here, gone in zip(now, late, strict=True))
    if pins.limit and most >= _NEAR * pins.limit:
        clients.axvline(pins.limit, color=_LIMIT, linestyle="--", label="ip_list_tot")
    clients.set_yticks(
        range(len(names)), [label(short(port.endpoints[name], _NAME)) for name in names]
    )
    clients.set_ylim(len(names) - 0.4, -0.6)
    clients.set_xlim(0, max(1.0, most, *clients.get_xlim()))
    clients.xaxis.get_major_locator().set_params(integer=True)
    more = len(port.endpoints) - len(names)
    clients.set_xlabel("clients" + (f"; not drawn: {more} more endpoints" if more else ""))
    clients.legend(**legend(3))
    clients.set_title(label(_port_title(port)), pad=24)
    shown = [pin for pin in pins.pins if pin.recent in places and pin.remaining > 0]
    at = [places[pin.recent] for pin in shown]
    left.plot([pin.remaining for pin in shown], at, "|", color=COLOURS[0], markersize=13)
    left.set_xlim(0, port.timeout * 1.02)
    left.set_xlabel("seconds until a client's pin expires")
    left.grid(axis="y", color=GREY, alpha=0.25)
