"""Whether two rulesets treat every packet alike, and which packets not.

Two versions of a chain are first compared by themselves (`_alike`): for the packets that a
differing rule is about, whatever the state that they come in, what the chain does is written down
as a list of effects, chains that it jumps to among them. Equal lists are equal treatment, wherever
the chain is used. A first difference on a packet's way is always a difference of one chain in its
own rules, so where all chains pass, nothing differs.

The packets for which a chain differs are then followed from the hooks that lead to it, through all
tables of both rulesets (`_Search`), and only what comes out in the end counts. Sets of packets are
split wherever either ruleset tells their members apart (`traffic.Split`), so that each class that
is left stands for all of its packets.

Nothing is sampled. Where there are too many ways or classes to follow, the result says so
(`Comparison.unseen`), and where an answer depends on what rules can't show, so does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product

import msgspec

from compiler.netfilter.chain import Chain
from compiler.netfilter.chain_diff import asked_by, differing_rules
from compiler.netfilter.chain_effects import alike
from compiler.netfilter.evaluate import follow
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Answered, Outcome, Treatment, shares
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.table import differing
from compiler.netfilter.traffic import Question, Split, Traffic, contradict, everything, follows
from compiler.netfilter.ways import Ways
from compiler.netfilter.work import TooMuchWorkError, Work

# Rules that may be asked of packets, for a whole comparison and for one chain by itself: some
# twenty seconds, and one.
MAX_WORK = 4_000_000
MAX_CHAIN_WORK = 200_000

# Differences of one chain that are gathered of packets to one destination from one hook: enough
# to describe them.
MAX_DIFFERENCES = 4


class Witness(msgspec.Struct, frozen=True):
    """Answers, and the shares of all treatments where they hold and all others are no."""

    answers: Mapping[Question, bool]
    old: Mapping[Treatment, Fraction]
    new: Mapping[Treatment, Fraction]


class Difference(msgspec.Struct, frozen=True):
    """A class of packets that the two rulesets treat differently, with what becomes of it in each.

    `chains` are the chains, by table and name, in whose rules the difference lies.
    """

    traffic: Traffic
    old: tuple[Outcome, ...]
    new: tuple[Outcome, ...]
    chains: tuple[tuple[str, str], ...]

    def witness(self) -> Witness:
        """Return answers for which the treatments differ, the plainest first.

        `compare` found that the tables of treatments and answers differ; that they do so for the
        same answers to all questions is looked for here. Where it is not found, the answers are
        empty and the treatments those for "no" to every question.
        """
        sides = shares(self.old), shares(self.new)
        differing = [
            [key for key in side if side[key] != other.get(key)]
            for side, other in (sides, sides[::-1])
        ]
        plainest = Witness({}, *(_given(side, {}) for side in sides))
        if plainest.old != plainest.new:
            return plainest
        pairs = sorted(product(*differing), key=_yes_answers)
        for (_, mine), (_, theirs) in pairs:
            answers = dict(mine | theirs)
            if len(answers) < len(mine | theirs) or contradict(answers):
                continue
            found = Witness(answers, *(_given(side, answers) for side in sides))
            if found.old != found.new:
                return found
        return plainest

    @property
    def undecided(self) -> bool:
        """Whether it only may differ: something that rules don't show decides."""
        return any(outcome.verdict == "undecided" for outcome in (*self.old, *self.new))


class Comparison(msgspec.Struct, frozen=True):
    """The result of a comparison.

    `classes` is how many classes of packets were compared. `silent` are chains, by table and name,
    that differ in words no packet notices (comments, counters); `alike` those whose rules differ
    and do the same by themselves, `unlike` all others. `unseen` are chains whose differences were
    too many to follow to the end: packets may be treated differently.
    """

    classes: int
    differences: tuple[Difference, ...]
    silent: tuple[tuple[str, str], ...]
    alike: tuple[tuple[str, str], ...]
    unlike: tuple[tuple[str, str], ...]
    unseen: tuple[tuple[str, str], ...]

    @property
    def proven(self) -> bool:
        """Whether it is certain that no packet is treated differently."""
        return not self.differences and not self.unseen


def compare(
    old: Ruleset, new: Ruleset, host: Host | None = None, *, work: int = MAX_WORK
) -> Comparison:
    """Compare what two rulesets of one family do to packets that come unmarked.

    `work` bounds how many rules are asked of packets that are followed through all tables.
    """
    search = _Search(old, new, host or Host(), work)
    silent: list[tuple[str, str]] = []
    alike: list[tuple[str, str]] = []
    for table, name in differing_chains(old, new):
        before, after = old.chain(table, name), new.chain(table, name)
        if _same_effects(table, before, after):
            silent.append((table, name))
        elif cells := list(search.unlike(table, name, before, after)):
            search.differing[table, name] = cells
        else:
            alike.append((table, name))
    for (table, name), cells in search.differing.items():
        search.follow_up(table, name, cells)
    return Comparison(
        search.classes,
        tuple(search.differences),
        tuple(silent),
        tuple(alike),
        tuple(search.differing),
        tuple(search.unseen),
    )


def _yes_answers(pair: tuple[Answered, ...]) -> int:
    """Count the questions that are answered yes: few make a plain example."""
    return len({question for _, answers in pair for question, answer in answers if answer})


def _given(
    table: Mapping[Answered, Fraction], answers: Mapping[Question, bool]
) -> Mapping[Treatment, Fraction]:
    """Return the shares of treatments where some answers hold."""
    found: dict[Treatment, Fraction] = {}
    for (treatment, asked), share in table.items():
        if all(bool(follows(question, answers)) is answer for question, answer in asked):
            found[treatment] = found.get(treatment, Fraction(0)) + share
    return found


def differing_chains(old: Ruleset, new: Ruleset) -> Iterator[tuple[str, str]]:
    """Give the chains, by table and name, that are not equal to the letter of their rules."""
    for table in dict.fromkeys((*old.tables, *new.tables)):
        for name, mine, theirs in differing(old.table(table), new.table(table)):
            if mine is None or theirs is None:
                if len(mine or theirs or ()) or name in BUILTIN_CHAINS.get(table, ()):
                    yield table, name
            elif not mine.same_rules(theirs) or _policy(table, mine) != _policy(table, theirs):
                yield table, name


def _policy(table: str, chain: Chain | None) -> str:
    """Return a chain's policy; where it is not shown, filter's is open and all others accept."""
    shown = chain.policy if chain is not None else None
    return shown or ("" if table == "filter" else "ACCEPT")


def _same_effects(table: str, old: Chain | None, new: Chain | None) -> bool:
    if old is None or new is None:
        return False
    return _policy(table, old) == _policy(table, new) and old.effects() == new.effects()


class _Search:
    """The state of one comparison."""

    def __init__(self, old: Ruleset, new: Ruleset, host: Host, work: int) -> None:
        self.old = old
        self.new = new
        self.host = host
        self.work = Work(work)
        self.ways = Ways(old, new)
        self.classes = 0
        self.differences: list[Difference] = []
        self.unseen: dict[tuple[str, str], None] = {}
        self.differing: dict[tuple[str, str], list[Traffic]] = {}
        self._seen: set[bytes] = set()
        self._found: Counter[tuple[object, ...]] = Counter()

    def unlike(
        self, table: str, name: str, old: Chain | None, new: Chain | None
    ) -> Iterator[Traffic]:
        """Give the packets that two versions of a chain do not treat alike by themselves."""
        whole = msgspec.structs.replace(
            everything(self.old.family, "PREROUTING"), source_local=None
        )
        builtin = name in BUILTIN_CHAINS.get(table, ())
        if builtin and _policy(table, old) != _policy(table, new):
            yield whole
            return
        work = Work(MAX_CHAIN_WORK)
        seen: set[bytes] = set()
        for rule in differing_rules(old, new):
            region = asked_by(rule, whole)
            waiting = [region] if region is not None and _new(region, seen) else []
            while waiting:
                traffic = waiting.pop()
                try:
                    same = alike(traffic, old, new, work)
                except Split as split:
                    waiting += split.parts
                    continue
                except TooMuchWorkError:
                    # not shown to be alike: to be followed from the hooks on
                    same = False
                self.classes += 1
                if not same:
                    yield traffic

    def follow_up(self, table: str, name: str, cells: list[Traffic]) -> None:
        """Follow packets from the hooks on, through all tables of both rulesets."""
        for cell in cells:
            for traffic in self.ways.to(table, name, cell):
                if traffic is None:
                    self.unseen[table, name] = None
                    return
                if _new(traffic, self._seen):
                    self._follow(traffic, (table, name))
                if (table, name) in self.unseen:
                    return

    def _follow(self, start: Traffic, chain: tuple[str, str]) -> None:
        waiting = [start]
        aim = chain, start.hook, start.destination, start.destination_ports, start.protocols
        while waiting and self._found[aim] < MAX_DIFFERENCES:
            traffic = waiting.pop()
            try:
                before = follow(self.old, traffic, self.host, splitting=True, work=self.work)
                after = follow(self.new, traffic, self.host, splitting=True, work=self.work)
            except Split as split:
                waiting += split.parts
                continue
            except TooMuchWorkError:
                self.unseen[chain] = None
                return
            self.classes += 1
            difference = Difference(traffic, before, after, self._chains(before, after, chain))
            if shares(before) != shares(after) or difference.undecided:
                self.differences.append(difference)
                self._found[aim] += 1

    def _chains(
        self, old: tuple[Outcome, ...], new: tuple[Outcome, ...], chain: tuple[str, str]
    ) -> tuple[tuple[str, str], ...]:
        """Return the differing chains that the packets pass which are treated differently.

        `chain` is the one whose packets were followed, for the case that there are none.
        """
        counts = [
            Counter((one.treatment, one.answers, one.share) for one in side) for side in (old, new)
        ]
        changed = (counts[0] - counts[1]) + (counts[1] - counts[0])
        passed = {
            place: None
            for one in (*old, *new)
            if (one.treatment, one.answers, one.share) in changed
            for place in one.visited
            if place in self.differing
        }
        return tuple(passed) or (chain,)


def _new(traffic: Traffic, seen: set[bytes]) -> bool:
    """Say whether a set of packets was not seen before, and remember it."""
    key = repr(traffic).encode()
    if key in seen:
        return False
    seen.add(key)
    return True
