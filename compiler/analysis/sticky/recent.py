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

    `born` is when the list was made: with the first rule that names it. `NodeLists` reads and
    changes the entries: a call less for each of a million connections.
    """

    __slots__ = ("alone", "born", "entries", "name")

    def __init__(self, name: str, born: int = 0) -> None:
        self.name = name
        self.born = born
        # most addresses are in one list only: what holds them needs to be made once
        self.alone = (self,)
        self.entries: OrderedDict[int, int] = OrderedDict()
