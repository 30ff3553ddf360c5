"""Traces as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compiler.analysis.packet_words import answers_of, percent
from compiler.analysis.trace import Case, Trace, Way, whose
from compiler.analysis.trace_words import (
    details,
    headline,
    packet_in_words,
    printed_rule,
    rule_in_words,
)
from compiler.cli.colour import Paint, shown
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.outcome import Step

_COLOURS = {"accepted": "green", "rejected": "red", "dropped": "red", "undecided": "yellow"}
_WIDTH = 8
_INDENT = " " * (_WIDTH + 2)
# Ways whose rules -v lists.
_LISTED = 8
# So many rules in a row that ask for another destination are counted, not listed.
_COUNTED = 3


@dataclass(frozen=True)
class View:
    """The rules of an answer, and the name of what they were read from."""

    rules: NodeRules
    name: str


@dataclass(frozen=True)
class Answer:
    """A trace, what was chosen for it, and which expectations do not hold.

    `checked` is whether anything was expected.
    """

    trace: Trace
    notes: tuple[str, ...]
    failures: tuple[str, ...]
    checked: bool = False


def as_text(answers: Sequence[Answer], view: View, paint: Paint, *, verbose: bool) -> Iterator[str]:
    """Give the lines for a reader."""
    for place, answer in enumerate(answers):
        if place:
            yield ""
        yield from _answer_lines(answer, view, paint, verbose=verbose)


def _answer_lines(answer: Answer, view: View, paint: Paint, *, verbose: bool) -> Iterator[str]:
    trace = answer.trace
    ports = ", ".join(map(str, trace.service_ports))
    named = f" ({shown(ports)})" if ports else " (no Service)"
    yield paint(packet_in_words(trace.packet), "bold") + named
    for case in trace.cases:
        if case.given:
            yield f"  if {shown(answers_of(case.given))}:"
        shared = _shared_reason(case)
        for way in case.ways:
            yield from _way_lines(way, trace.packet, view, paint, masquerade=not shared)
        if shared:
            yield _INDENT + shown(f"masqueraded because of {rule_in_words(shared)}")
        if case.uneven:
            yield _INDENT + paint("the shares are uneven", "yellow")
        if verbose:
            yield from _paths(case, view)
    for note in answer.notes:
        yield f"  note: {shown(note)}"
    for failure in answer.failures:
        yield paint(f"  not as expected: {shown(failure)}", "red")
    if answer.checked and not answer.failures:
        yield paint("  as expected", "green")


def _shared_reason(case: Case) -> Step | None:
    """Return the rule because of which all of several ways are masqueraded."""
    reasons = [way.masquerade for way in case.ways if way.verdict == "accepted"]
    rules = {id(step.rule) for step in reasons if step is not None}
    same = len(reasons) > 1 and len(rules) == 1 and None not in reasons
    return reasons[0] if same else None


def _way_lines(
    way: Way, packet: Packet, view: View, paint: Paint, *, masquerade: bool
) -> Iterator[str]:
    share = f"{percent(way.share):>{_WIDTH - 1}}"
    words = paint(shown(headline(way, packet)), _COLOURS[way.verdict])
    yield f"{share}   {words}"
    for line in details(way, packet, view.rules, masquerade=masquerade):
        yield _INDENT + shown(line)


def _paths(case: Case, view: View) -> Iterator[str]:
    first = case.ways[0].asked
    for place, way in enumerate(case.ways[:_LISTED]):
        common = _common(first, way.asked) if place else 0
        yield ""
        above = " from where it differs" if common else ""
        yield f"  {way.outcome_name}, rule by rule{above}:"
        yield from _path(way, way.asked[common:], view)
    if len(case.ways) > _LISTED:
        yield f"  and {len(case.ways) - _LISTED} more; --format json lists all"


def _common(first: Sequence[Step], other: Sequence[Step]) -> int:
    """Return how many rules two ways have in common at their beginning."""
    for place, (one, two) in enumerate(zip(first, other, strict=False)):
        if one.rule is not two.rule or one.failed != two.failed:
            return place
    return min(len(first), len(other))


def _path(way: Way, steps: Sequence[Step], view: View) -> Iterator[str]:
    chain: tuple[str, str, str] | None = None
    others: list[Step] = []
    for step in (*steps, None):
        here = None if step is None else (step.table, step.hook, step.rule.chain)
        if step is not None and here == chain and _elsewhere(step.failed):
            others.append(step)
            continue
        if len(others) >= _COUNTED:
            yield f"      -  {len(others)} rules for other destinations"
        else:
            yield from (_step_line(one, view) for one in others)
        others = []
        if step is None:
            break
        if here != chain:
            hook = f" (in {step.hook})" if step.hook != step.rule.chain else ""
            yield f"    {step.table} {step.rule.chain}{hook}"
            chain = here
        yield _step_line(step, view)
    if way.policy:
        yield f"    {way.policy}: policy DROP"


def _elsewhere(failed: str) -> bool:
    return failed.startswith(("-d ", "-m tcp --dport", "-m udp --dport", "-m sctp --dport"))


def _step_line(step: Step, view: View) -> str:
    place = f"{view.name}:{step.rule.line}" if step.rule.line else "kube-proxy's jump"
    rule = shown(printed_rule(step))
    if not step.failed:
        return f"      +  {place}  {rule}"
    why = {"chance": "not chosen", "idle": "counts or logs only"}
    return f"      -  {place}  {rule}  [{why.get(step.failed, f'not {shown(step.failed)}')}]"


def as_json(answers: Sequence[Answer], view: View, limits: Sequence[str]) -> str:
    """Return the answers for programs; shares are exact fractions and percentages."""
    value = {
        "packets": [_answer_value(answer, view) for answer in answers],
        "notLookedAt": list(limits),
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _answer_value(answer: Answer, view: View) -> dict[str, object]:
    packet = answer.trace.packet
    return {
        "from": packet.source,
        "to": packet.destination,
        "port": packet.destination_port,
        "protocol": packet.protocol,
        "state": packet.state,
        "local": packet.local,
        "interface": packet.interface,
        "servicePorts": [str(key) for key in answer.trace.service_ports],
        "cases": [
            {
                "if": answers_of(case.given),
                "unevenShares": case.uneven,
                "outcomes": [way_value(way, packet, view) for way in case.ways],
            }
            for case in answer.trace.cases
        ],
        "notes": list(answer.notes),
        "notAsExpected": list(answer.failures),
    }


def way_value(way: Way, packet: Packet, view: View) -> dict[str, object]:
    """Return one outcome for programs."""
    return {
        "outcome": way.outcome_name,
        "share": str(way.share),
        "percent": round(float(way.share) * 100, 6),
        "verdict": way.verdict,
        "answer": way.answer or None,
        "translatedTo": way.destination or None,
        "deliveredToNode": way.delivery == "input",
        "source": way.source or None,
        "dependsOn": way.undecided_by or None,
        "policy": way.policy or None,
        "decidedBy": _step_value(way.decided_by, view),
        "masqueradedBecauseOf": _step_value(way.masquerade, view),
        "pinnedBy": way.pinned.list_name if way.pinned else None,
        "reasons": list(details(way, packet, view.rules)),
        "rules": [_step_value(step, view) for step in way.asked],
    }


def _step_value(step: Step | None, view: View) -> dict[str, object] | None:
    if step is None:
        return None
    return {
        "table": step.table,
        "hook": step.hook,
        "chain": step.rule.chain,
        "line": step.rule.line or None,
        "rule": str(step.rule),
        "whose": whose(view.rules, step),
        "failed": step.failed or None,
    }
