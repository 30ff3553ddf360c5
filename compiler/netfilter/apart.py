"""What netfilter does with a set of packets, where each way is followed with those that take it."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.netfilter.evaluate import entering, outcome_of, walk
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.passage import Passage, Undecided
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import Ask, Split, Traffic
from compiler.netfilter.work import Work


def follow_apart(
    ruleset: Ruleset, traffic: Traffic, host: Host, work: Work
) -> Iterator[tuple[Traffic, Outcome]]:
    """Follow packets, and by itself each part of them that a rule tells apart from the rest.

    Gives each outcome with the packets that it is for. All outcomes for one packet are what
    `evaluate.follow` gives for it with `splitting`; where packets differ on one of many ways (an
    endpoint's own packets, on the way to that endpoint), they share all others. That a list has not
    got the packet's address is not among an outcome's `answers`. Raises TooMuchWorkError where
    `work` is spent before the end.
    """
    waiting = [entering(traffic, host, work, splitting=True)]
    while waiting:
        passage = waiting.pop()
        try:
            walk(ruleset, passage)
        except Undecided as undecided:
            passage.end("undecided")
            passage.undecided_by = str(undecided)
        except Ask as ask:
            waiting += reversed(passage.answering(ask.question))
            waiting += reversed(passage.forks)
            continue
        except Split as split:
            waiting += reversed([_narrowed(passage, part) for part in split.parts])
            waiting += reversed(passage.forks)
            continue
        waiting += reversed(passage.forks)
        _leave_out_unlisted(passage)
        yield passage.traffic, outcome_of(passage)


def _narrowed(passage: Passage, traffic: Traffic) -> Passage:
    """Return a copy that goes on from here with a part of the packets."""
    part = passage.clone()
    part.traffic = traffic
    return part


def _leave_out_unlisted(passage: Passage) -> None:
    """Leave out the answers that lists have not got the address: there may be thousands."""
    passage.answers = {
        question: answer
        for question, answer in passage.answers.items()
        if answer or " in the list " not in question.subject
    }
