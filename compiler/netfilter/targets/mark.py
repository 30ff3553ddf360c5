"""`-j MARK`: bits of the packet's mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Option, Words, given
from compiler.netfilter.target import Next, Target
from compiler.netfilter.values import Fix

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class SetMark(Target, frozen=True):
    """The mark becomes `(mark & ~mask) ^ value`: what all of its options come down to."""

    value: int
    mask: int

    def apply(self, packet: Passage) -> Next:
        """As `mark_tg` of net/netfilter/xt_mark.c."""
        packet.set_mark(self.value, self.mask)
        return Next.CONTINUE

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Target:  # noqa: ARG003
        """Read the option; without it the target is kept as text."""
        found = given(words).get("--set-xmark")
        if found is None:
            return Target(name, words)
        value, mask = values.mark_and_mask(found.value)
        return cls(name, words, value, mask)


def _renamed(*rows: tuple[str, Fix]) -> dict[str, Option]:
    """Make options that are all printed as `--set-xmark`."""
    return {name: Option("--set-xmark", 0, 1, fix) for name, fix in rows}


MARK = Extension(
    _renamed(
        ("--set-xmark", values.set_xmark),
        ("--set-mark", values.set_mark),
        ("--and-mark", values.and_mark),
        ("--or-mark", values.or_mark),
        ("--xor-mark", values.xor_mark),
    ),
    SetMark.build,
)
