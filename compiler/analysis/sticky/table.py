"""What rules do with new connections, as a table: which lists they check, and where to then.

The table is derived from the evaluator, which follows both answers to every question that a rule
puts to an `xt_recent` list. What fits no table is an error; nothing is guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from msgspec.structs import replace

from compiler.analysis.sticky.errors import StickyError
from compiler.netfilter.evaluate import follow
from compiler.netfilter.host import Host
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import WHOLE_SOURCE, Question, Ranges, Split, Traffic
from compiler.netfilter.work import TooMuchWorkError, Work

_WORK = 50_000_000
_IN_LIST = "source in the list "
# Sources that rules treat differently: source ranges of a load balancer, say.
_MAX_PARTS = 1000


class Way(NamedTuple):
    """What may become of a connection.

    `verdict` is `accepted`, `rejected` or `dropped`; `destination` is the endpoint, empty where the
    connection is not translated. `sets` and `removes` are the lists that its address is put on and
    taken off.
    """

    verdict: str
    destination: str
    sets: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Ways with their exact shares; chance chooses one."""

    ways: tuple[Way, ...]
    shares: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        # to 53 bits, of which random.random() has as many
        limits = [*map(float, accumulate(self.shares))][:-1]
        object.__setattr__(self, "limits", (*limits, float("inf")))

    limits: tuple[float, ...] = field(init=False, compare=False)


@dataclass(frozen=True)
class Check:
    """A rule that asks whether an address was put on a list within so many seconds (0: ever)."""

    name: str
    seconds: int
    reap: bool
    row: Row


@dataclass(frozen=True)
class Table:
    """The checks in the order of the rules, and what becomes of connections that none holds for."""

    checks: tuple[Check, ...]
    otherwise: Row

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, the one of connections that are dealt out last."""
        return (*(check.row for check in self.checks), self.otherwise)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where connections that are dealt out may go."""
        return tuple(way.destination for way in self.otherwise.ways if way.destination)


def named_lists(ruleset: Ruleset) -> frozenset[str]:
    """Return the lists that rules name. Those are the lists that a kernel has.

    `recent_mt_check` makes a list with the first rule that names it, `recent_mt_destroy` removes it
    with the last one. A restore that replaces such rules by others checks the new ones first, with
    both backends, so that the list stays.
    """
    return frozenset(
        match.list_name
        for chains in ruleset.tables.values()
        for chain in chains.values()
        if any("-m recent" in text for text in chain.texts())
        for rule in chain.rules
        for match in rule.matches
        if isinstance(match, Recent)
    )


def tables(
    ruleset: Ruleset, traffic: Traffic, host: Host, work: int = _WORK
) -> tuple[tuple[Ranges, Table], ...]:
    """Return what rules do with new connections, by their source addresses.

    `traffic` are all connections; its lists must be unknown (None). Raises StickyError where the
    result depends on what rules don't show, or fits no table.
    """
    waiting = [replace(traffic, lists=None)]
    found: list[tuple[Ranges, Table]] = []
    budget = Work(work)
    while waiting:
        part = waiting.pop()
        if len(found) + len(waiting) > _MAX_PARTS:
            raise StickyError(f"rules tell more than {_MAX_PARTS} kinds of clients apart")
        try:
            outcomes = follow(ruleset, part, host, splitting=True, work=budget)
        except Split as split:
            _check_split(split.parts)
            waiting += split.parts
            continue
        except TooMuchWorkError:
            raise StickyError("too many endpoints or rules to follow them all") from None
        found.append((part.source, _Maker(ruleset).table(outcomes)))
    return tuple(found)


def _check_split(parts: Sequence[Traffic]) -> None:
    first = parts[0]
    for other in parts[1:]:
        if replace(other, source=first.source) != first:
            message = "rules treat connections of one client differently by their source port"
            raise StickyError(message)


class _Maker:
    """Makes a table of the outcomes of all answers."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset

    def table(self, outcomes: Sequence[Outcome]) -> Table:
        """Return the table; what the world outside the rules answers must not matter."""
        asked = Counter(
            question
            for outcome in outcomes
            for question, _ in outcome.answers
            if not question.subject.startswith(_IN_LIST)
        )
        # what is asked of few packets was asked last, and may follow from others
        for question in sorted(asked, key=lambda one: asked[one]):
            outcomes = _without(question, outcomes)
        return self._of_lists(outcomes)

    def _of_lists(self, outcomes: Sequence[Outcome]) -> Table:
        groups: dict[frozenset[tuple[Question, bool]], list[Outcome]] = {}
        for outcome in outcomes:
            groups.setdefault(outcome.answers, []).append(outcome)
        # the later a check is, the more checks before it did not hold
        ordered = sorted(groups, key=lambda answers: (len(answers), any(yes for _, yes in answers)))
        ordered.sort(key=lambda answers: sum(not yes for _, yes in answers))
        checks: list[Check] = []
        asked: list[Question] = []
        last = ordered.pop()
        for answers in ordered:
            held = [question for question, yes in answers if yes]
            if len(held) != 1 or answers - {(held[0], True)} != {(q, False) for q in asked}:
                raise StickyError("rules check several xt_recent lists at once")
            asked.append(held[0])
            checks.append(self._check(held[0], groups[answers]))
        if last != {(question, False) for question in asked}:
            raise StickyError("rules go on after a check of an xt_recent list that holds")
        names = [check.name for check in checks]
        if len(set(names)) < len(names):
            raise StickyError("rules check one xt_recent list twice")
        return Table(tuple(checks), _row(groups[last]))

    def _check(self, question: Question, outcomes: Sequence[Outcome]) -> Check:
        name, mask, hits = _list_of(question)
        if mask != WHOLE_SOURCE[self.ruleset.family][1] or hits > 1:
            raise StickyError(f"the list {name} is checked by a mask or by a hit count")
        seconds = int(question.words)
        visited = {place for outcome in outcomes for place in outcome.visited}
        return Check(name, seconds, self._reaps(name, seconds, visited), _row(outcomes))

    def _reaps(self, name: str, seconds: int, visited: Iterable[tuple[str, str]]) -> bool:
        """Say whether the rule that checks a list reaps it."""
        found = {
            match.reap
            for table, chain in visited
            for rule in self.ruleset.rules(table, chain)
            for match in rule.asking
            if isinstance(match, Recent)
            and (match.list_name, match.seconds, match.mode) == (name, seconds, "rcheck")
        }
        if len(found) != 1:
            raise StickyError(f"the list {name} is checked by other rules than --rcheck")
        return found.pop()


def _list_of(question: Question) -> tuple[str, str, int]:
    """Return the list's name, the mask and the hit count of `Passage.listed`'s question."""
    name, mask, hits = question.subject.removeprefix(_IN_LIST).rsplit(" ", 2)
    return name, mask, int(hits)


def _without(question: Question, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Leave out a question that makes no difference. Raises StickyError where it does."""
    sides: dict[bool, dict[tuple[object, Way], Fraction]] = {True: {}, False: {}}
    kept = []
    for outcome in outcomes:
        answer = dict(outcome.answers).get(question)
        if answer is None:
            kept.append(outcome)
            continue
        rest = outcome.answers - {(question, answer)}
        key = (rest, _way(outcome))
        sides[answer][key] = sides[answer].get(key, Fraction(0)) + outcome.share
        if answer:
            kept.append(replace(outcome, answers=rest))
    if sides[True] != sides[False]:
        message = f"depends on what rules don't show: {question.spoken()}"
        raise StickyError(message, "give manifests, or all tables (iptables-save)")
    return kept


def _row(outcomes: Collection[Outcome]) -> Row:
    whole = sum((outcome.share for outcome in outcomes), Fraction(0))
    shares: dict[Way, Fraction] = {}
    for outcome in outcomes:
        way = _way(outcome)
        shares[way] = shares.get(way, Fraction(0)) + outcome.share / whole
    ways = tuple(sorted(shares))
    return Row(ways, tuple(shares[way] for way in ways))


def _way(outcome: Outcome) -> Way:
    if outcome.verdict == "undecided":
        raise StickyError(f"rules leave open what happens: {outcome.undecided_by}")
    accepted = outcome.verdict == "accepted"
    destination = outcome.destination if accepted else ""
    sets, removes = _effects(outcome.lists, "+"), _effects(outcome.lists, "-")
    if any(" " in name for name in (*sets, *removes)):
        raise StickyError(f"rules keep other addresses than clients': {outcome.lists[0][1:]}")
    return Way(outcome.verdict, destination, tuple(sets), tuple(removes))


def _effects(lists: Iterable[str], sign: str) -> tuple[str, ...]:
    return tuple(_strip(lists, sign))


def _strip(lists: Iterable[str], sign: str) -> Iterator[str]:
    for name in lists:
        if name.startswith(sign):
            yield name[1:]
