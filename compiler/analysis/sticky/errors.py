"""What can't be simulated."""

from __future__ import annotations


class StickyError(ValueError):
    """Something that rules or options ask for and nothing here can play through.

    The message is what is wrong; `hint` says what helps, and may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
