"""What was played, summed up: by event, as figures that can be expected, and as advice."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil

from compiler.analysis.sticky.counts import (
    EMPTIED,
    EXPIRED,
    NODE,
    OLDER,
    PUSHED,
    Counts,
    Sample,
)
from compiler.analysis.sticky.duration import spoken
from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.events import MAX_TIMEOUT
from compiler.analysis.sticky.run import StickyAnswer
from compiler.manifests.convert import shorten


@dataclass(frozen=True)
class Stretch:
    """What happened from an event to the next one.

    `begin` and `end` are in seconds. `balanced` is the time from which on clients were spread as
    evenly as by chance, None where that was not reached by the end. `skew` is the last one.
    """

    begin: float
    end: float
    counts: Counts
    balanced: float | None
    skew: float
    bound: float


def stretches(answer: StickyAnswer) -> tuple[Stretch, ...]:
    """Return what happened by event; the first stretch is that before any."""
    hz = answer.played.hz
    found = []
    for counts in answer.played.stretches:
        inside = [one for one in answer.played.samples if counts.begin < one.at <= counts.end]
        last = inside[-1] if inside else None
        found.append(
            Stretch(
                counts.begin / hz,
                counts.end / hz,
                counts,
                _balanced(inside, counts.begin, hz),
                last.skew if last else 0.0,
                last.bound if last else 0.0,
            )
        )
    return tuple(found)


def _balanced(samples: list[Sample], begin: int, hz: int) -> float | None:
    """Return the end of the last sample that was out of balance; None where that is the last."""
    since = begin
    for one, after in zip_longest(samples, samples[1:]):
        if not one.balanced:
            if after is None:
                return None
            since = after.at
    return since / hz if samples else None


@dataclass(frozen=True)
class Figure:
    """A figure that can be expected: its value, and of how many it is a part (0: no percentage)."""

    name: str
    value: float
    whole: int
    text: str

    @property
    def amount(self) -> str:
        """The value in words: `5 of 100 (5 %)`."""
        if not self.whole:
            return f"{self.value:g}"
        return f"{self.value:,.0f} of {self.whole:,} ({100 * self.value / self.whole:.3g} %)"


def figures(answer: StickyAnswer) -> dict[str, Figure]:
    """Return the figures of a whole run, by name."""
    counts = answer.played.stretches
    clients = len(answer.load.addresses)
    total = sum(one.connections for one in counts)
    again = sum(one.again for one in counts)
    forced, moved = answer.played.clients_forced, answer.played.clients_moved
    last = answer.played.samples[-1].skew if answer.played.samples else 0.0
    lost = sum(sum(one.lost.values()) for one in counts)
    returned = again - sum(sum(one.moved.values()) for one in counts)
    made = (
        Figure("returned", returned, again, "connections to the client's last endpoint"),
        Figure("moved", moved, clients, "clients that moved to another endpoint"),
        Figure("forced", forced, clients, "clients that had to: their endpoint was gone"),
        Figure("broken", sum(one.broken for one in counts), again, _BROKEN),
        Figure("lost", lost, total, "connections lost"),
        Figure("pushed-out", sum(one.pushed_out for one in counts), 0, _PUSHED),
        Figure("skew", round(last, 4), 0, "the fullest endpoint over the mean, at the end"),
    )
    return {figure.name: figure for figure in made}


_BROKEN = "connections not to the client's last endpoint by its pin, though within the timeout"
_PUSHED = "times that a full list dropped a client"
_EXPECT = re.compile(r"\s*([a-z-]+)\s*(<=|>=|==|=|<|>)\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
}
FIGURES = ("returned", "moved", "forced", "broken", "lost", "pushed-out", "skew")
PERCENTAGES = ("returned", "moved", "forced", "broken", "lost")


@dataclass(frozen=True)
class Expectation:
    """What is expected of a figure, as it was written."""

    text: str
    name: str
    sign: str
    limit: float
    percent: bool

    def met(self, answer: StickyAnswer) -> bool:
        """Say whether an answer is as expected."""
        figure = figures(answer)[self.name]
        value = figure.value
        if self.percent:
            value = 100 * value / figure.whole if figure.whole else 0.0
        return bool(_OPERATORS[self.sign](value, self.limit))


def read_expectation(text: str) -> Expectation:
    """Read `moved<5%`. Raises StickyError for what is none."""
    found = _EXPECT.fullmatch(text)
    if found is None:
        raise StickyError(f"{shorten(text)} is no expectation", "write one like moved<5% or lost=0")
    name, sign, number, percent = found.groups()
    if name not in FIGURES:
        raise StickyError(f"no figure {shorten(name)}", f"figures are {', '.join(FIGURES)}")
    if percent and name not in PERCENTAGES:
        raise StickyError(f"{name} is no percentage", f"write {name}{sign}{number}")
    return Expectation(text, name, sign, float(number), bool(percent))


# Of more connections, a second run to find the length of lists would take too long.
EXACT_CONNECTIONS = 250_000


def crowd(answer: StickyAnswer) -> int:
    """Return how many clients the fullest list would have held, had lists no limit; a guess."""
    most = max(
        (max(one.at_endpoint.values(), default=0) for one in answer.played.samples), default=0
    )
    return most if answer.settings.spread else ceil(most / answer.nodes)


def advice(answer: StickyAnswer, needed: int | None) -> Iterator[str]:
    """Give what would have to be different, a sentence each.

    `needed` is the length that lists need for no client to be pushed out, None where that was not
    found out.
    """
    totals = dict.fromkeys((PUSHED, EXPIRED, NODE, EMPTIED, OLDER), 0)
    for counts in answer.played.stretches:
        for cause in totals:
            totals[cause] += counts.dealt[cause] + counts.strayed[cause]
    gone = sum(one.lost["endpoint gone"] for one in answer.played.stretches)
    if figures(answer)["pushed-out"].value:
        length = needed or crowd(answer)
        sure = "keeps every client here" if needed else "is about what the fullest needs here"
        yield (
            f"lists of {answer.settings.limit} addresses are too short: ip_list_tot={length} "
            f"{sure} (modprobe xt_recent ip_list_tot={length}, before the first rule)"
        )
    yield from _about_timeout(answer, totals[EXPIRED])
    if totals[NODE]:
        yield (
            f"each node has lists of its own: {totals[NODE]:,} connections came in by another node "
            "than the one before, and did not return by their pin; let the load balancer send a "
            "client to one node"
        )
    if answer.settings.masqueraded and answer.timeout is not None:
        yield (
            "all clients have the load balancer's address and share one pin: keep their addresses "
            "(many load balancers do with externalTrafficPolicy: Local), or let the load balancer "
            "keep sessions itself (a cookie)"
        )
    yield from _about_lists(totals[EMPTIED], totals[OLDER])
    if gone:
        yield (
            f"{gone:,} connections were sent to Pods that were gone, while the rules were "
            f"{spoken(answer.lag)} behind: let Pods serve that much longer (a preStop sleep)"
        )


def _about_lists(emptied: int, older: int) -> Iterator[str]:
    if emptied:
        yield (
            f"{emptied:,} connections found the list of their endpoint lost: it goes with the "
            "endpoint, even for a moment (a probe that fails easily), with affinity, or with the "
            "node"
        )
    if older:
        yield (
            f"{older:,} connections returned to an older pin: lists keep what has expired, and a "
            "longer timeout makes it valid again"
        )


def _about_timeout(answer: StickyAnswer, expired: int) -> Iterator[str]:
    longest, hz = answer.played.longest, answer.played.hz
    if expired:
        seconds = ceil((longest + 1) / hz)
        if seconds <= MAX_TIMEOUT:
            yield (
                f"{expired:,} connections came after the timeout: the longest silence was "
                f"{spoken(longest / hz)}, timeoutSeconds: {seconds} outlasts it"
            )
        else:
            yield (
                f"{expired:,} connections came after the timeout, and the longest silence is more "
                f"than Kubernetes' longest timeout ({MAX_TIMEOUT} s): keep sessions by a cookie"
            )
    if (
        not answer.load.trace
        and not answer.load.exponential
        and answer.load.every == answer.timeout
    ):
        yield (
            "the interval is exactly the timeout: here every connection comes in time, on a node "
            "one that is a jiffy late does not"
        )


# From so many endpoints on kube-proxy removes unused chains every syncPeriod (30 s) only
# (`largeClusterEndpointsThreshold` in pkg/proxy/iptables/proxier.go).
LARGE_CLUSTER = 1000


def limits(*, large: bool) -> tuple[str, ...]:
    """Return what is not played; `large` is whether the cluster is a large one to kube-proxy."""
    if not large:
        return LIMITS
    return (*LIMITS, _STAYING)


_STAYING = (
    "chains that stay: above 1000 endpoints kube-proxy removes them every 30 s only, and an "
    "endpoint that is back before then has its old list"
)
LIMITS = (
    "connections that exist already: conntrack keeps them where they are",
    "clients behind NAT: they share the address, and so the pin, that the node sees",
    "what a load balancer does itself: which node it chooses, its own affinity",
)
