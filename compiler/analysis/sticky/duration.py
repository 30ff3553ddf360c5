"""Durations as Go's `time.ParseDuration` reads them, which Kubernetes' configuration takes too."""

from __future__ import annotations

import re

from compiler.analysis.sticky.errors import StickyError
from compiler.manifests.convert import shorten

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h|d)?")
_DAY = 86400.0


def seconds_of(text: str) -> float:
    """Return a duration in seconds: `20s`, `1h30m`, `500ms`, also `2d` and `20` (seconds).

    Raises StickyError where it is none.
    """
    parts = list(_PART.finditer(text))
    whole = "".join(part[0] for part in parts) == text and text
    if not whole or (len(parts) > 1 and any(part[2] is None for part in parts)):
        raise StickyError(f"{shorten(text)} is not a duration", "use one like 20s, 10m or 1h30m")
    units = {**_UNITS, "d": _DAY}
    return sum(float(part[1]) * units[part[2] or "s"] for part in parts)


def clock(seconds: float) -> str:
    """Write a moment of the simulation: `0:20`, `10:00`, `1:00:00`, with tenths where there are."""
    tenths = round(seconds * 10)
    whole, tenth = divmod(tenths, 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{text}.{tenth}" if tenth else text


def spoken(seconds: float) -> str:
    """Write a length of time: `20 s`, `1.5 s`, `90 min`, `3 h`."""
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds / 3600:.0f} h"
    if seconds >= 600 and seconds % 60 == 0:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.6g} s"
