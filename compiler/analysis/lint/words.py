"""Names in the messages of rules."""

from __future__ import annotations

from collections.abc import Sequence

# How many names a message lists.
LISTED = 3


def listed(names: Sequence[str | None], most: int = LISTED) -> str:
    """List names, the first of many: `a, b, c and 4 more`."""
    shown = [str(name) for name in names[:most]]
    more = len(names) - len(shown)
    return f"{', '.join(shown)} and {more} more" if more else ", ".join(shown)
