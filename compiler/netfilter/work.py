"""How much a comparison may look at, so that it ends."""

from __future__ import annotations


class TooMuchWorkError(Exception):
    """More has to be looked at than was allowed (`Work`)."""


class Work:
    """How much may be looked at, in units of some microseconds: to ask one rule of a packet."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, units: int) -> None:
        """Take units off. Raises TooMuchWorkError where there are no more."""
        self.left -= units
        if self.left < 0:
            raise TooMuchWorkError
