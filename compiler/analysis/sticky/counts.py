"""What is counted while connections are played through."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

# Why a client's connection was dealt out again, or went elsewhere than the last one. Plain strings:
# they are counted for every connection, and an enum's hash is a call of Python.
Cause = Literal[
    "endpoint gone",
    "no affinity",
    "expired",
    "pushed out",
    "list lost",
    "another node",
    "older pin",
]
# Its endpoint is no longer used: the client had to move.
GONE: Cause = "endpoint gone"
# The rules have no affinity for its endpoint, or had none when its last connection came.
NONE: Cause = "no affinity"
# It was silent for longer than the timeout.
EXPIRED: Cause = "expired"
# Other clients pushed it out of its endpoint's full list, within the timeout.
PUSHED: Cause = "pushed out"
# Its endpoint's list vanished with the rules that name it, and came back empty.
EMPTIED: Cause = "list lost"
# It came in by another node, whose lists know nothing of the last connection.
NODE: Cause = "another node"
# An earlier list still has it, of an endpoint that it was pinned to before.
OLDER: Cause = "older pin"

# A client within its timeout, whose endpoint is there, should have returned to it.
BROKEN: tuple[Cause, ...] = (PUSHED, EMPTIED, NODE, OLDER)


@dataclass(slots=True)
class Counts:
    """Connections of one stretch of time.

    By cause: `dealt` are connections dealt out by chance though their client had connected before,
    `strayed` those pinned elsewhere than to the client's last endpoint, `moved` those of both that
    went to another one. `lost` those that
    nobody answered, by reason. `clients_moved` and `clients_forced` count clients: those that moved
    at least once, and those that had to. `to` are connections by endpoint.
    """

    begin: int
    label: str = ""
    end: int = 0
    first: int = 0
    dealt_out: int = 0
    dealt: Counter[Cause] = field(default_factory=Counter)
    strayed: Counter[Cause] = field(default_factory=Counter)
    moved: Counter[Cause] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    to: Counter[str] = field(default_factory=Counter)
    clients_moved: int = 0
    clients_forced: int = 0
    pushed_out: int = 0
    endpoints: int = 0
    full_lists: int = 0
    lists: int = 0

    @property
    def connections(self) -> int:
        """All connections."""
        return sum(self.to.values()) + sum(self.lost.values())

    @property
    def pinned(self) -> int:
        """Connections that a check sent back; `dealt_out` are all others."""
        return self.connections - self.dealt_out

    @property
    def again(self) -> int:
        """Connections that reached an endpoint, but for the first one of each client."""
        return sum(self.to.values()) - self.first

    @property
    def broken(self) -> int:
        """Connections that did not return by a pin though within the timeout, to what is in use."""
        return sum(self.dealt[cause] + self.strayed[cause] for cause in BROKEN)


@dataclass(frozen=True)
class Sample:
    """The state at one moment (in jiffies), and what was counted since the sample before.

    `at_endpoint` are clients by the endpoint of their last connection; `skew` is the fullest
    endpoint in use over the mean, 0 where no client has one.
    """

    at: int
    connections: int
    broken: int
    lost: int
    skew: float
    bound: float
    at_endpoint: dict[str, int]

    @property
    def balanced(self) -> bool:
        """Whether clients are spread as evenly as dealing by chance does it."""
        return 0 < self.skew <= self.bound
