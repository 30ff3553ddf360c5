"""Requests that were made, compared with what the rules give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from compiler.analysis.chance import Group, Judgement, impossible, judge
from compiler.lab.expected import Expected
from compiler.lab.request import Reply, tally

# Between a request's begin and the stamp that its packet gets, in seconds.
_MARGIN = 0.05


@dataclass(frozen=True)
class Experiment:
    """Requests to a service port from `clients`, with what is expected of each client.

    `every` is the time between rounds in seconds, 0 where they followed one another.
    `rules_changed` says that the rules at the end were not those that `expected` is of.
    """

    service_port: str
    clients: tuple[str, ...]
    expected: tuple[Expected, ...]
    replies: Sequence[Reply]
    every: float = 0
    rules_changed: bool = False

    @property
    def affinity(self) -> int:
        """The timeout of ClientIP affinity in seconds, 0 without."""
        return max((one.affinity for one in self.expected), default=0)

    @property
    def counts(self) -> dict[str, int]:
        """How often each answer came; what is expected is first, in the order of the rules."""
        names = dict.fromkeys(name for one in self.expected for name in one.shares)
        seen = tally(reply.answer.name for reply in self.replies)
        counted = {name: count for count, name in seen}
        return {name: counted.get(name, 0) for name in [*names, *counted]}

    @property
    def independent(self) -> list[Reply]:
        """The replies whose endpoint was chosen by chance alone.

        With affinity those are the first of clients that no endpoint had, and those after it had
        expired: all others follow from the one before.
        """
        if not self.affinity:
            return list(self.replies)
        met: set[int] = set()
        found = []
        for reply, expired in zip(self.replies, self.expired(), strict=True):
            new = reply.client not in met and not self.expected[reply.client].pinned
            if new or expired:
                found.append(reply)
            met.add(reply.client)
        return found

    @property
    def comparable(self) -> bool:
        """Whether every count can be compared with what is expected of it."""
        known = not any(one.unknown for one in self.expected)
        return known and not self.rules_changed and len(self.independent) == len(self.replies)

    def groups(self, replies: Iterable[Reply]) -> list[Group]:
        """Gather replies by what was expected of their clients."""
        seen: dict[tuple[tuple[str, float], ...], Counter[str]] = {}
        for reply in replies:
            shares = tuple((k, float(v)) for k, v in self.expected[reply.client].shares.items())
            seen.setdefault(shares, Counter())[reply.answer.name] += 1
        return [Group(dict(shares), counter) for shares, counter in seen.items()]

    def expected_count(self, name: str) -> float:
        """Return how many answers of a name the rules give on average."""
        requests = Counter(reply.client for reply in self.replies)
        shares = ((self.expected[client].shares.get(name, 0), n) for client, n in requests.items())
        return float(sum(share * count for share, count in shares))

    def untested(self) -> str:
        """Say why the counts are not compared with what was expected, empty where they are."""
        if self.rules_changed:
            return "the rules changed while requests were made"
        for one in self.expected:
            if one.unknown:
                return one.unknown
        dependent = self.affinity and len(self.independent) < 2
        if dependent and not impossible(self.groups(self.replies)):
            return (
                f"ClientIP affinity ({self.affinity} s) sends a client's requests to the endpoint "
                "of its first one, so they are not independent"
            )
        return ""

    def judgement(self) -> Judgement:
        """Say whether the counts differ by more than chance; see `untested` first.

        What no rule leads to is looked for among all replies, not among the independent ones alone.
        """
        groups = self.groups(self.replies)
        return judge(groups if impossible(groups) else self.groups(self.independent))

    def expired(self) -> Iterator[bool]:
        """Say for each reply whether its client's affinity had expired since the one before.

        As `recent_mt` of net/netfilter/xt_recent.c: a stamp counts until it is older than the
        timeout. What is within the kernel's tick and a packet's travel is taken as not expired.
        """
        last: dict[int, float] = {}
        for reply in self.replies:
            before = last.get(reply.client)
            timeout = self.expected[reply.client].affinity
            yield bool(timeout) and before is not None and reply.at - before > timeout + _MARGIN
            last[reply.client] = reply.at
