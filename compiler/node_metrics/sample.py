"""One number of a node's metrics, and what was read of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from compiler.errors import Problem


class Sample(NamedTuple):
    """A metric's value; `at` is when it was read, in seconds since 1970, None where unknown."""

    name: str
    labels: Mapping[str, str]
    value: float
    at: float | None
    file: str
    line: int | None


@dataclass
class Scrape:
    """The samples of one text, in its order, and what of it could not be read.

    `collected` is when it was read on the node, as far as a comment says so. `slack` is how many
    seconds before its time a sample may have been read.
    """

    file: str
    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    collected: float | None = None
    slack: float = 0.0
