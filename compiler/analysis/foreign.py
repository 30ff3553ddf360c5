"""Foreign rules above kube-proxy's that take its traffic.

A foreign rule takes traffic where packets that a rule of kube-proxy's is for are treated otherwise
with it than without it, from the hooks on, through all tables. Packets are followed by the
evaluator, one of each kind that the foreign rules or kube-proxy's own tell apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from compiler.analysis.findings import Finding
from compiler.analysis.samples import Samples
from compiler.kube_rules.chains import JUMPS, SHARED_CHAINS, is_kube_proxy_chain
from compiler.netfilter.chain import Chain, Content
from compiler.netfilter.chain_diff import asked_by
from compiler.netfilter.evaluate import follow
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.target import Verdict
from compiler.netfilter.targets.mark import SetMark
from compiler.netfilter.traffic import Split, Traffic
from compiler.netfilter.work import TooMuchWorkError

# kube-proxy's rules of one chain that packets are made for, and the kinds of packets of one: what
# is beyond is reported as possible.
_MAX_RULES = 60
_MAX_CLASSES = 400

Effect = tuple[str, ...]


def foreign_findings(expected: Ruleset, found: Ruleset) -> Iterator[Finding]:
    """Find rules of others above kube-proxy's that change what happens to its packets."""
    for table, chains in expected.tables.items():
        for name in BUILTIN_CHAINS.get(table, ()):
            if (chain := found.chain(table, name)) is not None:
                yield from _findings(found, _builtin(table, chain, expected))
        for name in SHARED_CHAINS.get(table, ()):
            chain = found.chain(table, name)
            if chain is not None and name in chains and not chain.same_rules(chains[name]):
                yield from _findings(found, _shared(table, chain, chains[name]))


def _findings(found: Ruleset, place: _Place) -> Iterator[Finding]:
    if place.foreign:
        yield from _Search(found, place).findings()


@dataclass(frozen=True, slots=True)
class _Place:
    """A chain with foreign rules above kube-proxy's (`own`: its rules, or its jumps)."""

    table: str
    chain: Chain
    foreign: tuple[Rule, ...]
    own: tuple[Rule, ...]


def _builtin(table: str, chain: Chain, expected: Ruleset) -> _Place:
    """Return what is foreign of a built-in chain, above the last jump that leads to rules."""
    chains = expected.table(table)
    targets = {
        jump.target for jump in JUMPS if jump.table == table and len(chains.get(jump.target, ()))
    }
    below = [place for place, rule in enumerate(chain.rules) if rule.jumps_to in targets]
    above = chain.rules[: below[-1]] if below else ()
    foreign = [rule for rule in above if not is_kube_proxy_chain(table, rule.jumps_to)]
    return _Place(table, chain, tuple(foreign), tuple(chain.rules[place] for place in below))


def _shared(table: str, chain: Chain, wanted: Chain) -> _Place:
    """Return what is foreign of a chain that kubelet fills, too (KEP-3178)."""
    known = set(wanted.effects())
    below = [place for place, rule in enumerate(chain.rules) if rule.effect in known]
    above = chain.rules[: below[-1]] if below else ()
    foreign = [rule for rule in above if rule.effect not in known]
    return _Place(table, chain, tuple(foreign), tuple(chain.rules[place] for place in below))


@dataclass(slots=True)
class _Taken:
    """What foreign rules take: for sure (with kube-proxy's rule, its first example), or maybe."""

    sure: dict[int, tuple[Rule, Rule]] = field(default_factory=dict)
    maybe: dict[int, Rule] = field(default_factory=dict)


class _Search:
    """Looks at one chain."""

    def __init__(self, found: Ruleset, place: _Place) -> None:
        self.found = found
        self.place = place
        self.without = _without(found, place)
        self.foreign = {id(rule): rule for rule in place.foreign}
        self.taken = _Taken()

    def findings(self) -> Iterator[Finding]:
        """Give a finding per rule that surely takes traffic, and one for all that may."""
        self._look()
        table, chain = self.place.table, self.place.chain.name
        may = []
        for rule in self.place.foreign:
            if (sure := self.taken.sure.get(id(rule))) is not None:
                example = sure[1]
                of = example.comment or f"traffic of {example.chain}"
                message = (
                    f"{chain} has a rule above kube-proxy's that takes traffic that"
                    f" {self._jump_target(example)} is for, such as {of!r}"
                )
                yield Finding("foreign-rule", message, table, chain, "", "", str(rule), rule.line)
            elif id(rule) in self.taken.maybe:
                may.append(rule)
        if may:
            count = "a rule" if len(may) == 1 else f"{len(may)} rules"
            message = f"{chain} has {count} above kube-proxy's that may take its traffic"
            yield Finding(
                "foreign-may-take", message, table, chain, "", "", str(may[0]), may[0].line
            )

    def _jump_target(self, rule: Rule) -> str:
        """Name the chain that the jumps of this chain lead to on the way to a rule."""
        targets = [jump.jumps_to for jump in self.place.own if jump.jumps_to]
        return rule.chain if rule.chain in targets or not targets else "KUBE-SERVICES"

    def _look(self) -> None:
        """Make packets for kube-proxy's rules, and follow them with the foreign rules and without.

        Of more rules than are looked at, those beyond are only asked whether a foreign rule could
        match their packets at all.
        """
        samples = Samples(self.found, self.place.table, self.place.foreign)
        looked = 0
        for own in self._own_rules():
            if len(self.taken.sure) == len(self.foreign):
                return
            starts = [
                start
                for start in samples.packets(own, self._portals())
                if any(asked_by(rule, start, destination=False) for rule in self.place.foreign)
            ]
            if not starts:
                continue
            looked += 1
            if looked > _MAX_RULES:
                self._maybe(self.place.foreign)
                return
            self._compare(own, starts)

    def _own_rules(self) -> Iterator[Rule]:
        """Give the rules of kube-proxy's below the foreign ones that do something to packets."""
        table = self.place.table
        if is_kube_proxy_chain(table, self.place.chain.name):
            yield from self.place.own
            return
        for name in dict.fromkeys(jump.jumps_to for jump in self.place.own):
            for rule in self.found.rules(table, name):
                if rule.jumps_to == "KUBE-NODEPORTS":
                    yield from self.found.rules(table, rule.jumps_to)
                elif _acts(rule):
                    yield rule

    def _portals(self) -> Sequence[Rule]:
        """Return rules of service ports, whose packets come to chains that ask for marks alone."""
        portals = [
            rule
            for name in ("KUBE-SERVICES", "KUBE-NODEPORTS")
            for rule in self.found.rules("nat", name)[:_MAX_RULES]
        ]
        return [rule for rule in portals if rule.jumps_to not in ("", "KUBE-NODEPORTS")][:5]

    def _compare(self, own: Rule, starts: Iterable[Traffic]) -> None:
        """Compare what happens to packets that a rule of kube-proxy's is for."""
        waiting = list(starts)
        seen = complete = 0
        takers: dict[int, Rule] = {}
        left = _MAX_CLASSES
        while waiting:
            traffic = waiting.pop()
            left -= 1
            if left < 0:
                self._maybe(self.place.foreign)
                return
            try:
                before = follow(self.without, traffic, Host(), splitting=True)
                before = tuple(o for o in before if self._passes(o, own))
                after = follow(self.found, traffic, Host(), splitting=True) if before else ()
            except Split as split:
                waiting += split.parts
                continue
            except TooMuchWorkError:
                self._maybe(self.place.foreign)
                continue
            after = tuple(o for o in after if any(_compatible(o, other) for other in before))
            known, now = _effects(before), _effects(after)
            # packets that come marked only show what may be
            seen += bool(before) and not traffic.mark
            if known == now:
                continue
            takers.update((id(rule), rule) for o in after for rule in self._takers(o, known))
            complete += known.isdisjoint(now) and not traffic.mark and all(map(self._sure, after))
        self._maybe(takers.values())
        if seen and complete == seen:
            for key, rule in takers.items():
                self.taken.sure.setdefault(key, (rule, own))

    def _passes(self, outcome: Outcome, own: Rule) -> bool:
        """Say whether packets came to a rule of kube-proxy's by way of this chain."""
        chain = self.place.chain.name
        return any(
            step.rule is own and chain in (step.hook, own.chain)
            for step in outcome.path
            if step.table == self.place.table
        )

    def _takers(self, outcome: Outcome, known: Collection[Effect]) -> Iterator[Rule]:
        """Give the last foreign rule of this chain that packets passed, if they fare otherwise."""
        if _effect(outcome) not in known:
            passed = [s.rule for s in outcome.path if id(s.rule) in self.foreign]
            yield from passed[-1:]

    def _sure(self, outcome: Outcome) -> bool:
        """Say whether an outcome is known, or ends with a target that surely does something."""
        if outcome.verdict != "undecided":
            return True
        return bool(outcome.path) and str(outcome.path[-1].rule.target) == outcome.undecided_by

    def _maybe(self, rules: Iterable[Rule]) -> None:
        self.taken.maybe.update((id(rule), rule) for rule in rules)


def _without(found: Ruleset, place: _Place) -> Ruleset:
    """Return the ruleset without the foreign rules of a chain; all other rules are the same."""
    gone = {id(rule) for rule in place.foreign}
    kept = [rule for rule in place.chain.rules if id(rule) not in gone]
    chain = Chain(
        place.chain.name,
        Content(place.chain.content.shapes, texts=[rule.text for rule in kept]),
        policy=place.chain.policy,
        numbers=[rule.line for rule in kept],
    )
    # the very rules, so that they are found in the path of a packet
    chain.rules = tuple(kept)
    tables = {**found.tables, place.table: {**found.table(place.table), chain.name: chain}}
    return structs.replace(found, tables=tables)


def _acts(rule: Rule) -> bool:
    """Say whether a rule decides something: RETURN and marks alone don't."""
    target = rule.target
    returns = isinstance(target, Verdict) and target.name == "RETURN"
    return target is not None and not returns and not isinstance(target, SetMark)


def _effect(outcome: Outcome) -> Effect:
    """Return what sender or receiver notice: not marks, nor how a source port is chosen."""
    return (
        outcome.verdict,
        outcome.answer,
        outcome.delivery,
        outcome.destination,
        outcome.source,
        outcome.undecided_by,
    )


def _effects(outcomes: Iterable[Outcome]) -> frozenset[Effect]:
    return frozenset(map(_effect, outcomes))


def _compatible(one: Outcome, other: Outcome) -> bool:
    """Say whether two outcomes hold for the same answers to what rules can't show."""
    answers = dict(other.answers)
    return all(answers.get(question, answer) is answer for question, answer in one.answers)
