"""From which severity on a finding makes `lint` fail."""

from __future__ import annotations

FAIL_LEVELS = ("error", "warning", "info", "never")
DEFAULT_LEVEL = "warning"


def fails(severity: str, level: str) -> bool:
    """Whether a finding of a severity is at or above a level."""
    return level != "never" and FAIL_LEVELS.index(severity) <= FAIL_LEVELS.index(level)
