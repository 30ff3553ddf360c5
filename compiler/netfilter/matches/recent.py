"""`-m recent`: lists of addresses seen lately, which is where ClientIP affinity is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import IPV4, Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Held, Words, given, options
from compiler.netfilter.match import Match

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage

_MODES = ("--set", "--rcheck", "--update", "--remove")


class Recent(Match, frozen=True):
    """A question to a list, or an entry into it.

    `mode` is `set`, `rcheck`, `update` or `remove`; `seconds` and `hits` are 0 where not asked for;
    `side` is `source` or `destination`; `mask` is cut out of the address before it is looked up.
    """

    list_name: str
    mode: str
    seconds: int
    hits: int
    reap: bool
    rttl: bool
    mask: str
    side: str
    negated: bool

    def holds(self, packet: Passage) -> bool:
        """As `recent_mt` of net/netfilter/xt_recent.c."""
        key = (self.list_name, self.side, self.mask)
        if self.mode == "set":
            packet.remember(key)
            return not self.negated
        if self.rttl:
            return packet.assumed(str(self))
        found = packet.listed(key, self.seconds, self.hits)
        if self.mode == "remove":
            if found:
                packet.forget(key)
        # negated, --update holds for what is not listed as well, and lists nothing then
        elif (
            self.mode == "update"
            and found is not self.negated
            and (found or packet.listed(key, 0, 0))
        ):
            packet.remember(key)
        return found is not self.negated

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Match:  # noqa: ARG003
        """Read the options; a match without one of the four modes is kept as text."""
        found = given(words)
        mode = next((mode for mode in _MODES if mode in found), "")
        known = {option.name for option in RECENT.options.values()}
        if not mode or not found.keys() <= known:
            return Match(name, words)
        return cls(
            name,
            words,
            found["--name"].value,
            mode[2:],
            int(found["--seconds"].value) if "--seconds" in found else 0,
            int(found["--hitcount"].value) if "--hitcount" in found else 0,
            "--reap" in found,
            "--rttl" in found,
            found["--mask"].value,
            "destination" if "--rdest" in found else "source",
            found[mode].negated,
        )


def _finish(held: Held, family: Family) -> None:
    """Add what `-m recent` defaults to and iptables-save prints."""
    had = {rank for rank, _ in held}
    full = "255.255.255.255" if family == IPV4 else ":".join(["ffff"] * 8)
    for rank, words in ((8, "--name DEFAULT"), (9, f"--mask {full}"), (10, "--rsource")):
        # --rsource and --rdest exclude one another
        if rank not in had and not (rank == 10 and 11 in had):
            held.append((rank, words))


RECENT = Extension(
    options(
        ("--set", 0, values.verbatim),
        ("--rcheck", 0, values.verbatim),
        ("--update", 0, values.verbatim),
        ("--remove", 0, values.verbatim),
        ("--seconds", 1, values.decimal),
        ("--reap", 0, values.verbatim),
        ("--hitcount", 1, values.decimal),
        ("--rttl", 0, values.verbatim),
        ("--name", 1, values.verbatim),
        ("--mask", 1, values.recent_mask),
        ("--rsource", 0, values.verbatim),
        ("--rdest", 0, values.verbatim),
    ),
    Recent.build,
    pure=False,
    finish=_finish,
)
