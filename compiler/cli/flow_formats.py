"""Flows with expectations: what holds, as text, JSON, JUnit XML and GitHub annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from compiler.analysis.expectations import Expected, Verdict, compare
from compiler.analysis.flow_file import read_flows
from compiler.analysis.packet_request import RequestError
from compiler.analysis.packet_words import answers_of, percent
from compiler.analysis.trace import Trace
from compiler.analysis.trace_words import details, packet_in_words
from compiler.cli.colour import Paint, shown
from compiler.cli.github import command
from compiler.cli.packet_options import PacketOptions, WantedOptions
from compiler.cli.trace_formats import View, way_value
from compiler.cli.trace_input import Traced, expectations
from compiler.errors import InputError
from compiler.manifests.source import read_source
from compiler.netfilter.evaluate import Packet


@dataclass(frozen=True)
class Result:
    """One flow, traced. `line` is its place in the file, 0 where it comes from options.

    `notes` are what the answers rest on that was not given.
    """

    name: str
    traces: tuple[Trace, ...]
    failures: tuple[str, ...]
    line: int
    notes: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether all is as expected."""
        return not self.failures


@dataclass(frozen=True)
class Results:
    """All flows. `path` is their file, empty where they come from options."""

    path: str
    view: View
    results: tuple[Result, ...]


def results_of_file(traced: Traced, path: str) -> Results:
    """Trace the flows of a file. Raises InputError with all that is wrong with it."""
    flows = read_flows(read_source(path))
    problems, results = [], []
    for flow in flows.flows:
        try:
            resolved = traced.resolver.resolve(flow.request)
        except RequestError as error:
            field = "interface" if error.field == "in-interface" else error.field
            problems.append(flows.problem(flow, field, error.message, error.hint))
            continue
        packets = [one.packet for one in resolved]
        wanted = flow.expected, flow.masqueraded
        results.append(_result(traced, flow.name, packets, wanted, flow.line))
    if problems:
        raise InputError(problems)
    return Results(path, View(traced.rules, traced.name), tuple(results))


def _failures(traces: Sequence[Trace], verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Name the packet where a flow has several."""
    return tuple(
        f"{packet_in_words(trace.packet)}: {failure}" if len(traces) > 1 else failure
        for trace, verdict in zip(traces, verdicts, strict=True)
        for failure in verdict.failures
    )


def results_of_options(traced: Traced, packet: PacketOptions, wanted: WantedOptions) -> Results:
    """Trace the packet of the command line as one flow."""
    expected = expectations(wanted.expect)
    packets = [one.packet for one in traced.resolve(packet.request)]
    name = f"{packet.sender or 'pod'} to {packet.to}"
    result = _result(traced, name, packets, (expected, wanted.masqueraded), 0)
    return Results("", View(traced.rules, traced.name), (result,))


def _result(
    traced: Traced,
    name: str,
    packets: Sequence[Packet],
    wanted: tuple[Sequence[Expected], bool | None],
    line: int,
) -> Result:
    traces = tuple(traced.trace(packet) for packet in packets)
    verdicts = [compare(trace, *wanted) for trace in traces]
    notes = dict.fromkeys(note for trace in traces for note in traced.notes(trace))
    return Result(name, traces, _failures(traces, verdicts), line, tuple(notes))


def write_results(results: Results, format_: str, paint: Paint) -> Iterator[str]:
    """Give the lines of a format."""
    if format_ == "json":
        return iter([_as_json(results)])
    if format_ == "junit":
        return _as_junit(results)
    if format_ == "github":
        return _as_github(results)
    return _as_text(results, paint)


def _as_text(results: Results, paint: Paint) -> Iterator[str]:
    width = min(48, max(len(one.name) for one in results.results))
    for one in results.results:
        word = paint("ok  ", "green") if one.holds else paint("FAIL", "red")
        met = "" if not one.holds else _met(one)
        yield f"{word}  {shown(one.name):<{width}}  {shown(met)}".rstrip()
        if not one.holds:
            for failure in one.failures:
                yield f"      {shown(failure)}"
            for line in _because(results, one):
                yield f"        {shown(line)}"
    for note in dict.fromkeys(note for one in results.results for note in one.notes):
        names = ", ".join(one.name for one in results.results if note in one.notes)
        yield f"note: {shown(note)} ({shown(names)})"
    yield _summary(results)


def _summary(results: Results) -> str:
    failed = sum(not one.holds for one in results.results)
    total = len(results.results)
    words = f"{total} flow{'s'[: total > 1]}"
    return f"{words}: all as expected." if not failed else f"{words}: {failed} not as expected."


def _met(one: Result) -> str:
    """Say in one line what becomes of a flow's packets."""
    words = []
    for trace in one.traces:
        for case in trace.cases:
            ways = [
                f"{way.outcome_name} {percent(way.share)}"
                if len(case.ways) > 1
                else way.outcome_name
                for way in case.ways
            ]
            shown_ways = ", ".join(ways[:3]) + (f" and {len(ways) - 3} more" if ways[3:] else "")
            given = f" if {answers_of(case.given)}" if case.given else ""
            words.append(shown_ways + given)
    return "; ".join(dict.fromkeys(words))


def _because(results: Results, one: Result) -> Iterator[str]:
    """Give the reasons for what became of the packets."""
    found: dict[str, None] = {}
    for trace in one.traces:
        for way in trace.ways:
            if way.verdict != "accepted":
                found.update(dict.fromkeys(details(way, trace.packet, results.view.rules)))
    yield from found


def _as_json(results: Results) -> str:
    value = {
        "flows": [
            {
                "name": one.name,
                "line": one.line or None,
                "holds": one.holds,
                "notAsExpected": list(one.failures),
                "notes": list(one.notes),
                "packets": [
                    {
                        "packet": packet_in_words(trace.packet),
                        "cases": [
                            {
                                "if": answers_of(case.given),
                                "outcomes": [
                                    way_value(way, trace.packet, results.view) for way in case.ways
                                ],
                            }
                            for case in trace.cases
                        ],
                    }
                    for trace in one.traces
                ],
            }
            for one in results.results
        ]
    }
    return json.dumps(value, indent=2, ensure_ascii=False)


def _as_junit(results: Results) -> Iterator[str]:
    failed = sum(not one.holds for one in results.results)
    totals = f'tests="{len(results.results)}" failures="{failed}" errors="0" skipped="0"'
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="proxyrules trace" {totals}>'
    suite = quoteattr(shown(results.path or results.view.name))
    yield f"  <testsuite name={suite} {totals}>"
    for one in results.results:
        case = f'    <testcase classname="proxyrules trace" name={quoteattr(shown(one.name))}'
        if one.holds:
            yield f"{case}/>"
            continue
        yield f"{case}>"
        yield f"      <failure message={quoteattr(shown(one.failures[0]))}>"
        yield from (escape(shown(line)) for line in (*one.failures, *_because(results, one)))
        yield "      </failure>"
        yield "    </testcase>"
    yield "  </testsuite>"
    yield "</testsuites>"


def _as_github(results: Results) -> Iterator[str]:
    for one in results.results:
        if one.holds:
            continue
        lines = [f"{one.name}: {failure}" for failure in one.failures]
        message = "\n".join(shown(line) for line in (*lines, *_because(results, one)))
        yield command("error", "not as expected", message, results.path, one.line)
    yield _summary(results)
