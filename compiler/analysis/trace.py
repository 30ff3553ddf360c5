"""Where a packet goes, and why: its outcomes with their shares, and the rules that decided."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

from compiler.analysis.decisions import decision, is_target
from compiler.kube_rules.chains import (
    ENDPOINT_PREFIX,
    KUBE_PREFIX,
    SHARED_CHAINS,
    is_kube_proxy_chain,
)
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Key
from compiler.netfilter.evaluate import Packet, follow
from compiler.netfilter.host import Host
from compiler.netfilter.match import Match
from compiler.netfilter.matches.conntrack import Conntrack
from compiler.netfilter.matches.ports import Multiport, PortMatch
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.outcome import Outcome, Step
from compiler.netfilter.rule import Rule
from compiler.netfilter.target import Jump
from compiler.netfilter.traffic import Question, Split, contradict
from compiler.netfilter.work import TooMuchWorkError, Work

# Rules that may be asked, and open questions whose answers are all followed.
_WORK = 100_000
_MOST_QUESTIONS = 6
# The kernel keeps a probability in 31 bits, and kube-proxy prints ten digits of it: shares that
# differ by less are meant to be equal.
_ROUNDING = Fraction(1, 10**7)


@dataclass(frozen=True, slots=True)
class Way:
    """One thing that becomes of the packet, with its exact share of such connections.

    `verdict`, `answer`, `delivery`, `destination` and `source` are an `Outcome`'s. `decided_by` is
    the rule that ended it (None for what was accepted by no rule, or dropped by a policy, which
    `policy` then names). `masquerade` is the rule because of which the source is rewritten.
    `pinned` is the `xt_recent` check that sent a returning client here. `asked` are all rules that
    were asked, in order.
    """

    share: Fraction
    verdict: str
    answer: str
    delivery: str
    destination: str
    source: str
    undecided_by: str
    decided_by: Step | None
    policy: str
    masquerade: Step | None
    pinned: Recent | None
    asked: tuple[Step, ...]
    outcome: Outcome

    @property
    def outcome_name(self) -> str:
        """The outcome as expectations name it: an endpoint, REJECT, DROP, ACCEPT or UNDECIDED."""
        if self.verdict == "accepted":
            return self.destination or "ACCEPT"
        return {"rejected": "REJECT", "dropped": "DROP"}.get(self.verdict, "UNDECIDED")


@dataclass(frozen=True, slots=True)
class Case:
    """What becomes of the packet where `given` holds; `given` is empty where nothing is open."""

    given: Mapping[Question, bool]
    ways: tuple[Way, ...]

    @property
    def uneven(self) -> bool:
        """Whether endpoints get shares that differ by more than the kernel's rounding."""
        found = [way.share for way in self.ways if way.verdict == "accepted" and way.destination]
        several = len(found) > 1 and not any(way.pinned for way in self.ways)
        return several and max(found) - min(found) > _ROUNDING


@dataclass(frozen=True, slots=True)
class Trace:
    """The answer for one packet: a case for each set of answers to what rules leave open.

    `service_ports` are those whose rules it passed.
    """

    packet: Packet
    cases: tuple[Case, ...]
    service_ports: tuple[Key, ...]

    @property
    def ways(self) -> tuple[Way, ...]:
        """All ways of all cases."""
        return tuple(way for case in self.cases for way in case.ways)


def trace_packet(rules: NodeRules, packet: Packet, host: Host) -> Trace:
    """Follow a packet through a node's rules.

    Where something that rules don't know decides (whether an address is the node's own), all
    answers are followed; where there are too many of them, a way's verdict is `undecided`. Raises
    ValueError for a packet of addresses that are none.
    """
    traffic = packet.traffic()
    found = follow(rules.ruleset, traffic, host, recording=True)
    cases: Sequence[Case] = ()
    if any(outcome.verdict == "undecided" for outcome in found):
        try:
            work = Work(_WORK)
            both = follow(rules.ruleset, traffic, host, splitting=True, recording=True, work=work)
            cases = cases_of(both)
        except (Split, TooMuchWorkError):
            cases = ()
    if not cases:
        cases = (Case({}, _ways(found)),)
    steps = [step for case in cases for way in case.ways for step in way.outcome.path]
    owners = dict.fromkeys(rules.owner(step.table, step.rule) for step in steps)
    return Trace(packet, tuple(cases), tuple(key for key in owners if key is not None))


def cases_of(outcomes: Sequence[Outcome]) -> list[Case]:
    """Return a case for each set of answers that differs from others; none where they are many.

    The outcomes are those for one packet, with both answers to what is open.
    """
    questions = list(dict.fromkeys(q for outcome in outcomes for q, _ in outcome.answers))
    if len(questions) > _MOST_QUESTIONS:
        return []
    if not questions:
        whole = sum(outcome.share for outcome in outcomes) == 1
        return [Case({}, _ways(outcomes))] if whole else []
    found: dict[tuple[bool, ...], list[Outcome]] = {}
    for answers in product((True, False), repeat=len(questions)):
        given = dict(zip(questions, answers, strict=True))
        if contradict(given):
            continue
        fitting = [o for o in outcomes if all(given[q] is answer for q, answer in o.answers)]
        if sum(outcome.share for outcome in fitting) != 1:
            return []
        found[answers] = fitting
    return _told_apart(questions, found)


def _told_apart(
    questions: Sequence[Question], found: Mapping[tuple[bool, ...], Sequence[Outcome]]
) -> list[Case]:
    """Leave out the questions whose answers change nothing."""
    ways = {answers: _ways(outcomes) for answers, outcomes in found.items()}
    treated = {answers: {_key(way): way.share for way in some} for answers, some in ways.items()}

    def matters(place: int) -> bool:
        return any(
            treated.get((*answers[:place], not answers[place], *answers[place + 1 :]), mine) != mine
            for answers, mine in treated.items()
        )

    kept = [place for place in range(len(questions)) if matters(place)]
    cases: dict[tuple[bool, ...], Case] = {}
    for answers, some in ways.items():
        short = tuple(answers[place] for place in kept)
        given = {questions[place]: answers[place] for place in kept}
        cases.setdefault(short, Case(given, some))
    return list(cases.values())


def _key(way: Way) -> tuple[object, ...]:
    """Return all that a reader is shown of a way but for its share."""
    decided = way.decided_by.rule if way.decided_by else None
    masquerade = way.masquerade.rule if way.masquerade else None
    mine = (way.outcome_name, way.answer, way.destination, way.source, way.undecided_by)
    return (*mine, way.delivery, id(decided), way.policy, id(masquerade), way.pinned)


def _ways(outcomes: Sequence[Outcome]) -> tuple[Way, ...]:
    """Put outcomes together that a reader would call the same, in the order of the rules."""
    found: dict[tuple[object, ...], Way] = {}
    for outcome in sorted(outcomes, key=lambda one: [step.rule.line for step in one.path]):
        way = _way(outcome)
        first = found.setdefault(_key(way), way)
        if first is not way:
            found[_key(way)] = replace(first, share=first.share + way.share)
    return tuple(found.values())


def _way(outcome: Outcome) -> Way:
    decided, policy = decision(outcome)
    return Way(
        outcome.share,
        outcome.verdict,
        outcome.answer,
        outcome.delivery,
        outcome.destination,
        outcome.source,
        outcome.undecided_by,
        decided,
        policy,
        _masquerading(outcome),
        next(_pins(outcome.path), None),
        outcome.asked,
        outcome,
    )


def _masquerading(outcome: Outcome) -> Step | None:
    """Return the rule for which the source is rewritten: who marked it, or else who rewrote it."""
    if not outcome.source:
        return None
    rewriting = next(
        (
            s
            for s in reversed(outcome.path)
            if is_target(s.rule, "MASQUERADE") or is_target(s.rule, "SNAT")
        ),
        None,
    )
    if rewriting is None or rewriting.rule.chain != "KUBE-POSTROUTING":
        return rewriting
    marking = [step for step in outcome.path if step.rule.jumps_to == "KUBE-MARK-MASQ"]
    return marking[0] if marking else rewriting


def _pins(path: Iterable[Step]) -> Iterator[Recent]:
    # others use such lists too, to limit attempts to log in, say
    for step in (step for step in path if step.rule.jumps_to.startswith(ENDPOINT_PREFIX)):
        for match in step.rule.matches:
            if isinstance(match, Recent) and match.mode == "rcheck":
                yield match


def is_foreign(step: Step) -> bool:
    """Say whether a rule is in a chain that kube-proxy does not fill."""
    return not is_kube_proxy_chain(step.table, step.rule.chain)


def whose(rules: NodeRules, step: Step) -> str:
    """Say in words whose rule it is."""
    if is_foreign(step):
        return "not one of kube-proxy's rules"
    if step.rule.chain in SHARED_CHAINS.get(step.table, ()):
        return "a rule of kubelet's or kube-proxy's"
    if (key := rules.owner(step.table, step.rule)) is not None:
        return f"kube-proxy's rule for {key}"
    return "kube-proxy's rule for the whole node"


def accepted_above(way: Way, packet: Packet) -> str:
    """Say whether rules above a foreign one that rejects or drops accept what comes to this port.

    Looked at are all rules that the packet met in the same hook, in whatever chain, and that did
    not match it. Empty for a rule of kube-proxy's, which is meant to end all of its packets.
    """
    step = way.decided_by
    if step is None or not is_foreign(step):
        return ""
    port = int(way.destination.rpartition(":")[2] or packet.destination_port)
    others = [
        f"line {asked.rule.line} ({asked.failed})"
        for asked in way.asked
        if (asked.table, asked.hook) == (step.table, step.hook)
        and asked.failed
        and _may_accept(asked.rule, packet, port)
    ]
    if others:
        listed = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if others[3:] else "")
        return f"rules above it are for other packets: {listed}"
    if packet.state != "NEW":
        return "no rule above it accepts such packets"
    return f"no rule above it accepts new connections to port {port}"


def _may_accept(rule: Rule, packet: Packet, port: int) -> bool:
    """Say whether a rule accepts connections of a protocol to a port from elsewhere, or may.

    Those of the loopback interface are the node's own.
    """
    target, header = rule.target, rule.header
    if isinstance(target, Jump):
        if target.name.startswith(KUBE_PREFIX):
            return False
    elif target is None or target.name != "ACCEPT":
        return False
    entering = header.in_interface
    if entering is not None and entering.text == "lo":
        return False
    protocol = header.protocol
    if protocol is not None and protocol.name not in ("all", packet.protocol):
        return protocol.negated
    return all(_may_hold(match, packet, port) for match in rule.asking)


def _may_hold(match: Match, packet: Packet, port: int) -> bool:
    if isinstance(match, PortMatch) and match.destination_ports is not None:
        low, high = match.destination_ports
        return (low <= port <= high) is not match.destination_negated
    if isinstance(match, Multiport) and match.side == "--dports":
        return any(low <= port <= high for low, high in match.ranges) is not match.negated
    if isinstance(match, Conntrack) and match.states:
        return (packet.state in match.states) is not match.negated
    return True


def is_to_itself(way: Way, packet: Packet) -> bool:
    """Say whether the packet goes back to its own sender."""
    host = way.destination.rpartition(":")[0].strip("[]")
    return bool(host) and ipaddress.ip_address(host) == ipaddress.ip_address(packet.source)
