"""Connections sent through the rules of nodes while both change."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random

from compiler.analysis.sticky.counts import (
    EMPTIED,
    EXPIRED,
    GONE,
    NODE,
    NONE,
    OLDER,
    PUSHED,
    Cause,
    Counts,
    Sample,
)
from compiler.analysis.sticky.load import Load
from compiler.analysis.sticky.node import NodeLists, Prepared
from compiler.analysis.sticky.recent import DEFAULT_LIMIT
from compiler.analysis.sticky.table import Table, Way
from compiler.netfilter.traffic import Ranges

# So many samples of a whole run.
SAMPLES = 240


@dataclass(frozen=True)
class NodeRules:
    """One node's rules: tables by source address, and the lists that the rules name."""

    tables: tuple[tuple[Ranges, Table], ...]
    lists: frozenset[str]


@dataclass(frozen=True)
class Moment:
    """A change at a time in seconds.

    `label` is what a reader called it, empty for what follows of an earlier one. `rules` are those
    of all nodes from then on, None where they stay. `gone` are the addresses of Pods that don't
    answer from then on, None where that stays. `emptied` are the nodes, by number, whose lists are
    lost first.
    """

    at: float
    label: str = ""
    rules: tuple[NodeRules, ...] | None = None
    gone: frozenset[str] | None = None
    emptied: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Settings:
    """How to play: for how long (seconds), with which seed, lists and clock.

    `spread` sends each connection through a random node; otherwise a client keeps to one.
    `masqueraded` is the address that a load balancer gives to all clients, 0 where none does.
    """

    seconds: float
    seed: int = 0
    limit: int = DEFAULT_LIMIT
    hz: int = 250
    spread: bool = False
    masqueraded: int = 0
    samples: int = SAMPLES


@dataclass(frozen=True)
class Played:
    """What happened: by stretch between labelled moments, and sampled.

    `peak` is the largest number of addresses that a list held within their timeout (only known
    where lists have no limit), `longest` the longest time between two connections of a client, in
    jiffies. `clients_moved` moved at least once, `clients_forced` had to at least once.
    """

    stretches: tuple[Counts, ...]
    samples: tuple[Sample, ...]
    hz: int
    peak: int
    longest: int
    clients_moved: int
    clients_forced: int


def play(load: Load, moments: Sequence[Moment], settings: Settings) -> Played:
    """Play a load through rules; the first moment is the beginning, and has the rules."""
    player = _Player(load, settings, len(moments[0].rules or ()))
    hz, end = settings.hz, int(settings.seconds * settings.hz)
    waiting = sorted(moments, key=lambda moment: moment.at)
    changes = [(int(moment.at * hz), moment) for moment in waiting if moment.at <= settings.seconds]
    step = max(1, end // settings.samples)
    random = Random(settings.seed)  # noqa: S311 - a simulation
    player.run(load.connections(settings.seconds, hz, random), changes, step, end)
    return Played(
        tuple(player.stretches),
        tuple(player.samples),
        hz,
        max(lists.peak for lists in player.nodes),
        player.longest,
        sum(mark & 1 for mark in player.ever),
        sum(mark >> 1 for mark in player.ever),
    )


class _Player:
    """All that changes while connections are played."""

    def __init__(self, load: Load, settings: Settings, nodes: int) -> None:
        clients = len(load.addresses)
        self.settings = settings
        self.addresses: Sequence[int] = load.addresses
        if settings.masqueraded:
            self.addresses = [settings.masqueraded] * clients
        # what lists hold: the clients by number, or the one address of all
        self.keys: Sequence[int] = [0] * clients if settings.masqueraded else range(clients)
        self.random = Random(settings.seed + 1).random  # noqa: S311 - a simulation
        self.nodes = [NodeLists(settings.limit, clients) for _ in range(nodes)]
        self.home = array("H", (client % nodes for client in range(clients)))
        self.prepared: list[list[Prepared]] = []
        self.kinds: list[bytes | list[int]] = []
        self.last: list[str | None] = [None] * clients
        self.when = array("q", bytes(8 * clients))
        self.node_of = array("H", bytes(2 * clients))
        self.at_endpoint: dict[str, int] = {}
        self.usable: frozenset[str] = frozenset()
        self.gone: frozenset[str] = frozenset()
        self.alive: frozenset[str] = frozenset()
        self.counts = Counts(0)
        self.stretches: list[Counts] = []
        self.samples: list[Sample] = []
        self.sampled = [0, 0, 0]
        self.marks = bytearray(clients)
        self.ever = bytearray(clients)
        self.longest = 0

    def run(
        self,
        connections: Iterable[tuple[int, int]],
        changes: Sequence[tuple[int, Moment]],
        step: int,
        end: int,
    ) -> None:
        """Play all connections."""
        waiting = list(reversed(changes))
        self.change(*waiting.pop())
        due, sample = waiting[-1][0] if waiting else 1 << 62, step
        connect: Callable[[int, int], None] = self.connector()
        for now, client in connections:
            while now >= sample or now >= due:
                # at one moment, what was there before is sampled first
                if due < sample:
                    self.change(*waiting.pop())
                    due = waiting[-1][0] if waiting else 1 << 62
                    connect = self.connector()
                else:
                    self.sample(sample)
                    sample += step
            connect(now, client)
        while waiting or sample <= end:
            if waiting and waiting[-1][0] < sample:
                self.change(*waiting.pop())
            else:
                self.sample(min(sample, end))
                sample += step
        self._close(end)

    def change(self, now: int, moment: Moment) -> None:
        """Make a change."""
        if moment.label or not self.stretches:
            if self.stretches:
                self._close(now)
            self.counts = Counts(now, moment.label)
            self.stretches.append(self.counts)
            self.marks = bytearray(len(self.marks))
        if moment.emptied:
            for number in moment.emptied:
                names = self.nodes[number].lists.keys() | ()
                self.nodes[number].load((), now)
                self.nodes[number].load(names, now)
        if moment.rules is not None:
            self._load(moment.rules, now)
        if moment.gone is not None:
            self.gone = moment.gone
        destinations = {
            way.destination
            for node in self.prepared
            for prepared in node
            for row in prepared.table.rows
            for way in row.ways
        }
        self.alive = frozenset(one for one in destinations if one and _host(one) not in self.gone)
        self.usable &= self.alive

    def _load(self, rules: Sequence[NodeRules], now: int) -> None:
        hz = self.settings.hz
        self.prepared, self.kinds, usable = [], [], set()
        for lists, one in zip(self.nodes, rules, strict=True):
            lists.load(one.lists, now)
            checks = [check.seconds for _, table in one.tables for check in table.checks]
            lists.timeout = max(checks, default=0) * hz if 0 not in checks else 1 << 62
            self.prepared.append([Prepared(table, hz) for _, table in one.tables])
            self.kinds.append(_kinds(self.addresses, [ranges for ranges, _ in one.tables]))
            usable |= {name for _, table in one.tables for name in table.endpoints}
        self.usable = frozenset(usable)

    def connector(self) -> Callable[[int, int], None]:
        """Return a function that plays a connection, until the next change.

        What it uses are names of a function: to look them up in an object for each of a million
        connections would take a third of the time.
        """
        counts, to, alive = self.counts, self.counts.to, self.alive
        keys, last, when, node_of = self.keys, self.last, self.when, self.node_of
        nodes, home, spread, random = self.nodes, self.home, self.settings.spread, self.random
        states = list(zip(nodes, self.prepared, self.kinds, strict=True))

        def connect(now: int, client: int) -> None:
            node = int(random() * len(nodes)) if spread else home[client]
            lists, tables, kinds = states[node]
            prepared, key = tables[kinds[client]], keys[client]
            row = lists.pinned(key, prepared, now) if key in lists.held else None
            dealt = row is None
            if row is None:
                row = prepared.otherwise
                counts.dealt_out += 1
            ways = row.ways
            way = ways[0] if len(ways) == 1 else ways[bisect_right(row.limits, random())]
            lists.follow(key, way, now)
            endpoint = way.destination
            if endpoint not in alive:
                counts.lost[_why_lost(way)] += 1
                return
            to[endpoint] += 1
            previous = last[client]
            if dealt or previous != endpoint:
                self._again(now, client, node, dealt, endpoint, previous)
            if now - when[client] > self.longest and previous is not None:
                self.longest = now - when[client]
            last[client] = endpoint
            when[client] = now
            node_of[client] = node
            lists.pushed[key] = 0

        return connect

    def _again(
        self, now: int, client: int, node: int, dealt: bool, endpoint: str, previous: str | None
    ) -> None:
        """Count a connection that is its client's first, was dealt out again, or went elsewhere."""
        counts, at_endpoint = self.counts, self.at_endpoint
        if previous is None:
            counts.first += 1
            at_endpoint[endpoint] = at_endpoint.get(endpoint, 0) + 1
            return
        cause = self._cause(now, client, node, previous, dealt)
        if dealt:
            counts.dealt[cause] += 1
        else:
            counts.strayed[cause] += 1
        if previous == endpoint:
            return
        counts.moved[cause] += 1
        at_endpoint[previous] -= 1
        at_endpoint[endpoint] = at_endpoint.get(endpoint, 0) + 1
        mark, new = self.marks[client], 3 if cause is GONE else 1
        if mark | new != mark:
            counts.clients_moved += not mark & 1
            counts.clients_forced += new >> 1
            self.marks[client] = mark | new
            self.ever[client] |= mark | new

    def _cause(  # noqa: PLR0911
        self, now: int, client: int, node: int, previous: str, dealt: bool
    ) -> Cause:
        if previous not in self.usable:
            return GONE
        prepared = self.prepared[node][self.kinds[node][client]]
        check = prepared.back_to.get(previous)
        if check is None:
            return NONE
        if self.node_of[client] != node:
            return NODE
        if not dealt:
            return OLDER
        if now - self.when[client] > check[1]:
            return EXPIRED
        lists = self.nodes[node]
        if lists.pushed[self.keys[client]]:
            return PUSHED
        name, when = check[2].name, self.when[client]
        if lists.lists[name].born <= when:
            # it was reaped under a shorter timeout than today's
            return EXPIRED
        return EMPTIED if lists.dropped.get(name, -1) >= when else NONE

    def sample(self, now: int) -> None:
        """Note the state."""
        held = {name: self.at_endpoint.get(name, 0) for name in sorted(self.usable)}
        clients = sum(held.values())
        skew = max(held.values()) * len(held) / clients if clients else 0.0
        bound = 1 + max(0.1, 3 * sqrt((len(held) - 1) / clients)) if clients else 0.0
        total = [sum(values) for values in zip(*map(_totals, self.stretches), strict=True)]
        since = [new - old for new, old in zip(total, self.sampled, strict=True)]
        self.sampled = total
        self.samples.append(Sample(now, since[0], since[1], since[2], skew, bound, held))

    def _close(self, now: int) -> None:
        """End a stretch, with a sample of how it ends."""
        if not self.samples or self.samples[-1].at < now:
            self.sample(now)
        counts = self.stretches[-1]
        counts.end = now
        counts.endpoints = len(self.usable)
        held = [recent for lists in self.nodes for recent in lists.lists.values()]
        counts.lists = len(held)
        counts.full_lists = sum(len(recent.entries) >= self.settings.limit for recent in held)
        counts.pushed_out = sum(lists.pushed_out for lists in self.nodes) - sum(
            one.pushed_out for one in self.stretches[:-1]
        )


def _totals(counts: Counts) -> tuple[int, int, int]:
    return counts.connections, counts.broken, sum(counts.lost.values())


def _host(destination: str) -> str:
    return destination.rpartition(":")[0].strip("[]")


def _why_lost(way: Way) -> str:
    if way.verdict != "accepted":
        return way.verdict
    return "endpoint gone" if way.destination else "no rule"


def _kinds(addresses: Sequence[int], parts: Sequence[Ranges]) -> bytes | list[int]:
    """Return for each client the place of the part that has its address."""
    if len(parts) == 1:
        return bytes(len(addresses))
    edges = sorted((first, last, place) for place, part in enumerate(parts) for first, last in part)
    firsts = [first for first, _, _ in edges]
    return [edges[bisect_right(firsts, address) - 1][2] for address in addresses]
