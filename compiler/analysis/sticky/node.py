"""One node: the tables of its rules, and the `xt_recent` lists that go with them."""

from __future__ import annotations

from collections.abc import Collection

from compiler.analysis.sticky.recent import DEFAULT_LIMIT, RecentList
from compiler.analysis.sticky.table import Check, Row, Table, Way

UNLIMITED = 1 << 62

_NOWHERE = (1 << 62,)


class Prepared:
    """A table for one node's lists: the checks by list, each with its place and its jiffies."""

    __slots__ = ("back_to", "checks", "otherwise", "table")

    def __init__(self, table: Table, hz: int) -> None:
        self.table = table
        self.otherwise = table.otherwise
        # `--rcheck` without seconds holds for any age
        self.checks: dict[str, tuple[int, int, Check]] = {
            check.name: (place, check.seconds * hz if check.seconds else 1 << 62, check)
            for place, check in enumerate(table.checks)
        }
        # the check that sends a client back to an endpoint; the first one decides
        self.back_to: dict[str, tuple[int, int, Check]] = {}
        for entry in self.checks.values():
            self.back_to.setdefault(entry[2].row.ways[0].destination, entry)


class NodeLists:
    """A node's lists.

    `held` are the lists that have an address, by address: of the many lists of a Service, a client
    is usually in one. `pushed` marks the addresses (numbers below `keys`, any without it) that had
    to make room in a full list within their `timeout` (jiffies), and `pushed_out` counts how often
    that happened. Lists without a limit (`UNLIMITED`) hold what has not expired; `peak` is the
    largest number of addresses in one. `dropped` says when a list that is no more was last there.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT, keys: int = 0) -> None:
        self.limit = limit
        self.lists: dict[str, RecentList] = {}
        self.held: dict[int, tuple[RecentList, ...]] = {}
        self.pushed: bytearray | dict[int, int] = bytearray(keys) if keys else {}
        self.pushed_out = self.peak = 0
        self.timeout = 1 << 62
        self.dropped: dict[str, int] = {}

    def load(self, names: Collection[str], now: int) -> None:
        """Keep the lists that rules still name, drop the others, and make those that are new."""
        for name in self.lists.keys() - names:
            gone = self.lists.pop(name)
            self.dropped[name] = now
            for address in gone.entries:
                self._leave(address, gone)
        for name in names:
            if name not in self.lists:
                self.lists[name] = RecentList(name, now)

    def pinned(self, address: int, prepared: Prepared, now: int) -> Row | None:
        """Return the row of the first check that holds, None where none does."""
        mine = self.held.get(address)
        if not mine:
            return None
        checks = prepared.checks
        if len(mine) > 1:
            mine = tuple(sorted(mine, key=lambda one: checks.get(one.name, _NOWHERE)[0]))
        for recent in mine:
            if (entry := checks.get(recent.name)) is None:
                continue
            _, jiffies, check = entry
            entries = recent.entries
            holds = now - entries[address] <= jiffies
            if check.reap:
                head = next(iter(entries))
                if now - entries[head] > jiffies:
                    del entries[head]
                    self._leave(head, recent)
            if holds:
                return check.row
        return None

    def follow(self, address: int, way: Way, now: int) -> None:
        """Put the address on the lists of the way that it takes, and take it off others."""
        for name in way.removes:
            recent = self.lists[name]
            if recent.entries.pop(address, None) is not None:
                self._leave(address, recent)
        held = self.held
        for name in way.sets:
            recent = self.lists[name]
            entries = recent.entries
            if address in entries:
                entries[address] = now
                entries.move_to_end(address)
                continue
            if self.limit == UNLIMITED:
                self._trim(recent, now)
            elif len(entries) >= self.limit:
                gone, stamp = entries.popitem(last=False)
                if held[gone] is recent.alone:
                    del held[gone]
                else:
                    self._leave(gone, recent)
                if now - stamp <= self.timeout:
                    self.pushed_out += 1
                    self.pushed[gone] = 1
            entries[address] = now
            held[address] = (*held[address], recent) if address in held else recent.alone

    def _trim(self, recent: RecentList, now: int) -> None:
        """Remove what has expired, and note how many are left with the one that comes."""
        entries = recent.entries
        while entries and now - entries[head := next(iter(entries))] > self.timeout:
            del entries[head]
            self._leave(head, recent)
        self.peak = max(self.peak, len(entries) + 1)

    def _leave(self, address: int, recent: RecentList) -> None:
        mine = self.held[address]
        if len(mine) == 1:
            del self.held[address]
        else:
            self.held[address] = tuple(one for one in mine if one is not recent)
