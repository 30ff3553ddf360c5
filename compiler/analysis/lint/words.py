"""Names and numbers in the messages of rules."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

# How many names a message lists.
LISTED = 3


def listed(names: Sequence[str | None], most: int = LISTED) -> str:
    """List names, the first of many: `a, b, c and 4 more`."""
    shown = [str(name) for name in names[:most]]
    more = len(names) - len(shown)
    return f"{', '.join(shown)} and {more} more" if more else ", ".join(shown)


def percent(share: Fraction) -> str:
    """Write a share: `33 %`, and `0.5 %` where it is small."""
    value = float(share) * 100
    return f"{value:.0f} %" if value >= 1 else f"{value:.2g} %"
