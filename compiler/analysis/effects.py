"""What faults in rules do to traffic, per service port: the sentence after `verify`'s findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from compiler.analysis.attribution import Attribution, comparable, plainest_first
from compiler.analysis.packet_words import answers_of, packet_change, packets_of, percent
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.compare import Difference, compare
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Treatment
from compiler.netfilter.ruleset import Ruleset

# Sentences per service port.
_EXAMPLES = 3
# Rules that may be asked of packets: some three seconds.
_WORK = 600_000


@dataclass(frozen=True, slots=True)
class Effects:
    """Sentences by service port (as findings name it), and for the whole node.

    `undecided` says what could not be decided or followed to the end: there may be more effects.
    """

    services: Mapping[str, tuple[str, ...]]
    node: tuple[str, ...]
    undecided: tuple[str, ...]


NO_EFFECTS = Effects({}, (), ())


def effects(expected: Ruleset, found: Ruleset, host: Host | None = None) -> Effects:
    """Say what packets are treated differently on a node than its manifests want it."""
    wanted, there, _ = comparable(expected, found)
    comparison = compare(wanted, there, host, work=_WORK)
    attribution = Attribution(NodeRules(wanted), NodeRules(there), comparison)
    reasons = dict.fromkeys(
        f"it depends on {outcome.undecided_by}, which rules can't show"
        for difference in comparison.differences
        for outcome in (*difference.old, *difference.new)
        if outcome.undecided_by
    )
    unseen = (f"{table} {name}: too many kinds of packets" for table, name in comparison.unseen)
    return Effects(
        {
            str(key): _sentences(differences)
            for key, differences in attribution.by_port.items()
            if differences
        },
        _sentences(one for some in attribution.by_chain.values() for one in some),
        (*reasons, *unseen),
    )


def _sentences(differences: Iterable[Difference]) -> tuple[str, ...]:
    """Write the plainest differences, each kind of effect once."""
    kinds: dict[str, str] = {}
    for difference in plainest_first(differences):
        kind, sentence = _sentence(difference)
        kinds.setdefault(kind, sentence)
    sentences = list(kinds.values())
    more = len(sentences) - _EXAMPLES
    return (*sentences[:_EXAMPLES], *([f"and {more} more kinds of packets"] if more > 0 else []))


def _sentence(difference: Difference) -> tuple[str, str]:
    """Return what kind of effect a difference is, and the effect as a sentence."""
    witness = difference.witness()
    packets = packets_of(difference.traffic)
    if given := answers_of(witness.answers):
        packets += f" ({given})"
    before, after = _by_fate(witness.old), _by_fate(witness.new)
    worse = [
        (fate, after[fate] - before.get(fate, Fraction(0)))
        for fate in after
        if fate and after[fate] > before.get(fate, Fraction(0))
    ]
    if worse and "NEW" in difference.traffic.states:
        parts = [f"{_part(share)} new connections {packets} {fate}" for fate, share in worse]
        return " ".join(fate for fate, _ in worse), " and ".join(parts)
    change = packet_change(difference)
    return f"{change.before} {change.after}", f"{packets}: {change.before} → {change.after}"


def _part(share: Fraction) -> str:
    return "all" if share == 1 else f"{percent(share)} of"


def _by_fate(side: Mapping[Treatment, Fraction]) -> dict[str, Fraction]:
    """Add up shares by what a client would notice; the empty fate is to reach an endpoint."""
    found: dict[str, Fraction] = {}
    for treatment, share in side.items():
        fate = {"dropped": "are dropped", "rejected": "are rejected"}.get(treatment.verdict, "")
        if treatment.verdict == "accepted" and not treatment.destination:
            fate = "are not translated"
        found[fate] = found.get(fate, Fraction(0)) + share
    return found
