"""Foreign rules that take kube-proxy's traffic.

A foreign rule takes traffic where packets that a rule of kube-proxy's is for are treated otherwise
with it than without it, from the hooks on, through all tables. Packets are followed by the
evaluator, one of each kind that the foreign rules or kube-proxy's own tell apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from compiler.analysis.findings import Finding
from compiler.analysis.samples import Samples
from compiler.kube_rules.chains import JUMPS, SHARED_CHAINS, is_kube_proxy_chain
from compiler.kube_rules.jumps import with_jumps
from compiler.netfilter.chain import Chain
from compiler.netfilter.chain_diff import asked_by
from compiler.netfilter.content import Content
from compiler.netfilter.evaluate import follow
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.table import replacing
from compiler.netfilter.target import Jump, Verdict
from compiler.netfilter.targets.mark import SetMark
from compiler.netfilter.traffic import Split, Traffic
from compiler.netfilter.work import TooMuchWorkError

# kube-proxy's rules of one chain that packets are made for, and the kinds of packets of one: what
# is beyond is reported as possible.
_MAX_RULES = 60
_MAX_CLASSES = 400
# Packets pass them too, and kube-proxy writes nothing there.
_OTHER_TABLES = ("raw", "mangle")

Effect = tuple[str, ...]


def foreign_findings(expected: Ruleset, found: Ruleset) -> Iterator[Finding]:
    """Find rules of others that change what happens to kube-proxy's packets.

    Looked at are those above kube-proxy's in the built-in chains of its tables, all in chains that
    kubelet fills too, and all in the built-in chains of the tables that packets pass besides. Where
    a text shows no built-in chains, packets come to kube-proxy's by its own jumps.
    """
    found = with_jumps(found)
    for table, chains in expected.tables.items():
        for name in BUILTIN_CHAINS.get(table, ()):
            if (chain := found.chain(table, name)) is not None:
                yield from _findings(found, _builtin(table, chain))
        for name in SHARED_CHAINS.get(table, ()):
            chain = found.chain(table, name)
            if chain is not None and name in chains and not chain.same_rules(chains[name]):
                yield from _findings(found, _shared(table, chain, chains[name]))
    for table in _OTHER_TABLES:
        for chain in found.table(table).values():
            if chain.policy == "DROP":
                message = f"{table} {chain.name} drops every packet that none of its rules accepts"
                yield Finding("foreign-rule", message, table, chain.name, line=chain.line)
            if chain.name in BUILTIN_CHAINS[table]:
                yield from _findings(found, _Place(table, chain, chain.rules, ()))


def _findings(found: Ruleset, place: _Place) -> Iterator[Finding]:
    if place.foreign:
        yield from _Search(found, place).findings()


@dataclass(frozen=True, slots=True)
class _Place:
    """A chain with foreign rules, and the rules or jumps of kube-proxy's in it that matter."""

    table: str
    chain: Chain
    foreign: tuple[Rule, ...]
    own: tuple[Rule, ...]

    @property
    def is_kube_proxy_chain(self) -> bool:
        """Whether kube-proxy fills it."""
        return is_kube_proxy_chain(self.table, self.chain.name)

    @property
    def name(self) -> str:
        """What it is called in a message: by its table, too, where kube-proxy has no such table."""
        return f"{self.table} {self.chain.name}" if self.table in _OTHER_TABLES else self.chain.name


def _builtin(table: str, chain: Chain) -> _Place:
    """Return what is foreign of a built-in chain, above the last of kube-proxy's jumps."""
    jumps = [place for place, rule in enumerate(chain.rules) if _is_jump(table, chain.name, rule)]
    above = chain.rules[: jumps[-1]] if jumps else ()
    foreign = [rule for place, rule in enumerate(above) if place not in jumps]
    return _Place(table, chain, tuple(foreign), tuple(chain.rules[place] for place in jumps))


def _is_jump(table: str, chain: str, rule: Rule) -> bool:
    """Say whether a rule jumps as kube-proxy does from this chain, if perhaps for other traffic."""
    target = rule.target
    return (
        isinstance(target, Jump)
        and not target.goto
        and any((one.table, one.chain, one.target) == (table, chain, target.name) for one in JUMPS)
    )


def _shared(table: str, chain: Chain, wanted: Chain) -> _Place:
    """Return what is foreign of a chain that kubelet fills, too (KEP-3178)."""
    known = set(wanted.effects())
    foreign = tuple(rule for rule in chain.rules if rule.effect not in known)
    own = tuple(rule for rule in chain.rules if rule.effect in known)
    return _Place(table, chain, foreign, own)


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
        table, chain, name = self.place.table, self.place.chain.name, self.place.name
        builtin = table not in _OTHER_TABLES and not self.place.is_kube_proxy_chain
        where = "above kube-proxy's that" if builtin else "that"
        may = []
        for rule in self.place.foreign:
            if (sure := self.taken.sure.get(id(rule))) is not None:
                example = sure[1]
                of = example.comment or f"traffic of {example.chain}"
                message = (
                    f"{name} has a rule {where} takes traffic that"
                    f" {self._jump_target(example)} is for, such as {of!r}"
                )
                yield Finding("foreign-rule", message, table, chain, "", "", str(rule), rule.line)
            elif id(rule) in self.taken.maybe and is_kube_proxy_chain(table, rule.jumps_to):
                message = f"{name} has a rule {where} jumps to {rule.jumps_to}"
                message += ", which kube-proxy does not do from here"
                yield Finding("foreign-rule", message, table, chain, "", "", str(rule), rule.line)
            elif id(rule) in self.taken.maybe:
                may.append(rule)
        if may:
            count = "a rule" if len(may) == 1 else f"{len(may)} rules"
            whose = "its" if builtin else "kube-proxy's"
            message = f"{name} has {count} {where} may take {whose} traffic"
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
        own_rules = [(rule, True) for rule in self._own_rules()]
        if self.place.table != "nat":
            own_rules += [(rule, False) for rule in self._portals(_MAX_RULES + 1)]
        for own, marked in own_rules:
            if len(self.taken.sure) == len(self.foreign):
                return
            # kubelet drops packets that come marked: what marks them is another question
            starts = [
                start
                for start in samples.packets(own, self._portals(5))
                if (marked or not start.mark)
                and any(asked_by(rule, start, destination=False) for rule in self.place.foreign)
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
        if self.place.is_kube_proxy_chain:
            yield from self.place.own
            return
        for name in dict.fromkeys(jump.jumps_to for jump in self.place.own):
            for rule in self.found.rules(table, name):
                if rule.jumps_to == "KUBE-NODEPORTS":
                    yield from self.found.rules(table, rule.jumps_to)
                elif _acts(rule):
                    yield rule

    def _portals(self, count: int) -> Sequence[Rule]:
        """Return rules of service ports: their packets pass all tables."""
        portals = [
            rule
            for name in ("KUBE-SERVICES", "KUBE-NODEPORTS")
            for rule in self.found.rules("nat", name)[: _MAX_RULES + 2]
        ]
        return [rule for rule in portals if rule.jumps_to not in ("", "KUBE-NODEPORTS")][:count]

    def _compare(self, own: Rule, starts: Iterable[Traffic]) -> None:
        """Compare what happens to packets that a rule of kube-proxy's is for."""
        waiting = list(starts)
        # classes of packets by the hook that they start from: all, and those taken to the last
        seen: Counter[str] = Counter()
        complete: Counter[str] = Counter()
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
            seen[traffic.hook] += bool(before) and not traffic.mark
            if known == now:
                continue
            takers.update((id(rule), rule) for o in after for rule in self._takers(o, known))
            taken = known.isdisjoint(now) and not traffic.mark and all(map(self._sure, after))
            complete[traffic.hook] += taken
        self._maybe(takers.values())
        if any(count and complete[hook] == count for hook, count in seen.items()):
            for key, rule in takers.items():
                self.taken.sure.setdefault(key, (rule, own))

    def _passes(self, outcome: Outcome, own: Rule) -> bool:
        """Say whether packets came to a rule of kube-proxy's, and by way of this chain."""
        table, chain = self.place.table, self.place.chain.name
        return any(
            chain in (step.hook, own.chain)
            if step.table == table
            else (table, chain) in outcome.visited
            for step in outcome.path
            if step.rule is own
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
        # the very rules, so that they are found in the path of a packet
        rules=tuple(kept),
    )
    tables = {
        **found.tables,
        place.table: replacing(found.table(place.table), {chain.name: chain}),
    }
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
