"""Verdicts, REJECT, and targets that let a packet go on: LOG and what else only looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.family import IPV4, Family
from compiler.netfilter import values
from compiler.netfilter.extension import Extension, Held, Words, options
from compiler.netfilter.target import Next, Reject, Target, Verdict

if TYPE_CHECKING:
    from compiler.netfilter.passage import Passage


class GoesOn(Target, frozen=True):
    """A target after which the next rule is asked, and which only looks at the packet."""

    def apply(self, packet: Passage) -> Next:  # noqa: ARG002
        """Let the packet go on (XT_CONTINUE)."""
        return Next.CONTINUE


class Alters(Target, frozen=True):
    """A target after which the next rule is asked, and which changes or copies the packet."""

    def apply(self, packet: Passage) -> Next:
        """Say so with the packet's outcome (XT_CONTINUE)."""
        packet.alter(str(self))
        return Next.CONTINUE


class ConnectionTracking(Target, frozen=True):
    """`-j CT` and `-j NOTRACK`: with `untracked` the packet gets no entry, and so no nat."""

    untracked: bool

    def apply(self, packet: Passage) -> Next:
        """As `xt_ct_target` of net/netfilter/xt_CT.c; helpers and zones are not modelled."""
        if not self.untracked:
            return packet.undecided(str(self))
        packet.untrack()
        return Next.CONTINUE

    @classmethod
    def build(cls, name: str, words: Words, family: Family) -> Target:  # noqa: ARG003
        """Read the options."""
        return cls(name, words, untracked=name == "NOTRACK" or words == ("--notrack",))


def _finish_reject(held: Held, family: Family) -> None:
    """Add the default answer."""
    if not held:
        kind = "icmp" if family == IPV4 else "icmp6"
        held.append((0, f"--reject-with {kind}-port-unreachable"))


VERDICT = Extension({}, Verdict.build)
REJECT = Extension(
    options(("--reject-with", 1, values.reject_with)), Reject.build, finish=_finish_reject
)
LOG = Extension(
    options(
        ("--log-prefix", 1, values.text),
        ("--log-level", 1, values.log_level, "4"),
        ("--log-tcp-sequence", 0, values.verbatim),
        ("--log-tcp-options", 0, values.verbatim),
        ("--log-ip-options", 0, values.verbatim),
        ("--log-uid", 0, values.verbatim),
        ("--log-macdecode", 0, values.verbatim),
    ),
    GoesOn.build,
)
GOES_ON = Extension({}, GoesOn.build, pure=False, verbatim=True)
ALTERS = Extension({}, Alters.build, pure=False, verbatim=True)
CONNECTION_TRACKING = Extension({}, ConnectionTracking.build, pure=False, verbatim=True)
UNKNOWN = Extension({}, Target.build, pure=False, verbatim=True)
