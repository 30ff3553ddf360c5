"""An `xt_recent` list, as the kernel keeps it.

Source: net/netfilter/xt_recent.c. `recent_mt` answers `--rcheck --seconds N` by the newest stamp
(`time_after`: N seconds old to the jiffy still matches), and with `--reap` then removes the entry
at the head of the list, if that one is older (`recent_entry_reap`) - one entry, and only where the
packet's own address is in the list. `--set` stamps the address and moves it to the tail
(`recent_entry_update`); where the list is full, the head makes room (`recent_entry_init`).
"""

from __future__ import annotations

from collections import OrderedDict

# The module's parameter `ip_list_tot`.
DEFAULT_LIMIT = 100


class RecentList:
    """Addresses (as integers) with the jiffies of their newest stamp, the oldest one first.

    `born` is when the list was made: with the first rule that names it.
    """

    __slots__ = ("born", "entries", "limit", "name")

    def __init__(self, name: str, limit: int = DEFAULT_LIMIT, born: int = 0) -> None:
        self.name = name
        self.limit = limit
        self.born = born
        self.entries: OrderedDict[int, int] = OrderedDict()

    def set(self, address: int, now: int) -> int | None:
        """Stamp an address; return the one that had to make room for it, None if there was room."""
        entries = self.entries
        if address in entries:
            entries[address] = now
            entries.move_to_end(address)
            return None
        gone = None
        if len(entries) >= self.limit:
            gone, _ = entries.popitem(last=False)
        entries[address] = now
        return gone

    def expired_head(self, now: int, jiffies: int) -> int | None:
        """Remove and return the head where its stamp is older than so many jiffies."""
        head = next(iter(self.entries), None)
        if head is not None and now - self.entries[head] > jiffies:
            del self.entries[head]
            return head
        return None
