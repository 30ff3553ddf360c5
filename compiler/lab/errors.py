"""What a lab can fail with apart from bad input: the machine, its rights, its own state."""

from __future__ import annotations


class LabError(Exception):
    """The lab can't do it; the message says what is missing and what to do about it."""
