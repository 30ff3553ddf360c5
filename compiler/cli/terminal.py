"""What standard output can show: how wide it is, and which characters."""

from __future__ import annotations

import shutil
import sys

# Narrower terminals get lines that are too long rather than one word each.
_NARROWEST = 40


def terminal_width() -> int:
    """Return the width of the terminal, 80 where there is none."""
    return max(_NARROWEST, shutil.get_terminal_size((80, 24)).columns)


def can_show_bars() -> bool:
    """Say whether standard output can show the block characters of small plots."""
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")


def short(name: str, width: int) -> str:
    """Cut a name to a width; Pods of a workload differ at their ends, so these are kept."""
    return name if len(name) <= width else f"..{name[len(name) - width + 2 :]}"
