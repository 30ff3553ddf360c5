"""Writes the flow file of every fixture: who reaches which entry point, and what becomes of it.

    python -m tests.flow_files

What it writes is read before it is committed, as goldens are; `tests/kernel/test_trace.py` sends
the same packets through a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from compiler.analysis.packet_request import PacketRequest, RequestError
from compiler.analysis.packet_words import percent
from compiler.analysis.trace import Case as TraceCase
from compiler.analysis.trace import Trace
from compiler.cli.packet_options import PacketOptions
from compiler.cli.trace_input import Traced, read_traced
from compiler.kube_rules.destinations import destinations
from compiler.kube_rules.senders import SENDER_KINDS
from tests.cases import FIXTURE_CASES, FIXTURES, GOLDEN, Case
from tests.options_of import options_of

# Service ports and endpoints of one file, at most.
_PORTS, _ENDPOINTS = 4, 8


def flow_file(case: Case) -> Path:
    """Return where a fixture's flows are: outside its folder, which commands read as a whole."""
    return FIXTURES / "flows" / f"{case.name}.yaml"


def inputs_of(case: Case) -> list[str]:
    """Return what `trace` is given: the case's arguments, or its golden where it has Pods alone."""
    if "--from-workloads" in case.options:
        return [str(GOLDEN / f"{case.name}.rules"), "--ip-family", case.family]
    return case.arguments


def traced_case(case: Case) -> Traced:
    """Read a fixture for `trace`, as the command does."""
    inputs, options = options_of(inputs_of(case))
    return read_traced(inputs, PacketOptions(), options, live=False, verbose=False)


def requests_of(traced: Traced) -> Iterator[tuple[str, PacketRequest]]:
    """Give every sender with every entry point of the first service ports, and its name."""
    for key in traced.rules.keys[:_PORTS]:
        for via in dict.fromkeys(
            one.via for one in destinations(traced.rules, key, traced.surroundings.addresses)
        ):
            for sender in SENDER_KINDS:
                if (sender == "localhost") is not (via == "localhost"):
                    continue
                service, _, port = key.name.partition(":")
                to = f"{service}:{port}/{key.protocol}" if port else f"{service}/{key.protocol}"
                yield f"{sender} to {key} via {via}", PacketRequest(sender, to, via)


def text_of(case: Case) -> str:
    """Return the text of a fixture's file; empty where nothing can be asked."""
    traced = traced_case(case)
    lines = []
    for name, request in requests_of(traced):
        try:
            (resolved,) = traced.resolver.resolve(request)
        except RequestError:
            continue
        if outcome := _outcome(traced.trace(resolved.packet)):
            lines += [f"- name: {name}", f"  from: {request.sender}", f"  to: {request.to}"]
            lines += [f"  via: {request.via}", *outcome]
    if not lines:
        # no Service of the family: whatever is sent is left alone
        address = "198.51.100.99:80" if case.family == "ipv4" else "[2001:db8:99::1]:80"
        sender = "203.0.113.7" if case.family == "ipv4" else "2001:db8:203::7"
        lines = [f"- name: no Service here\n  from: '{sender}'\n  to: '{address}'"]
        lines += ["  outcome: ACCEPT", "  masquerade: false"]
    return f"# proxyrules trace --file: who reaches what in {case.name}.\nflows:\n" + (
        "\n".join(lines) + "\n"
    )


def _outcome(trace: Trace) -> list[str]:
    """Return what holds in every case: whatever is an address of the node."""
    found = {tuple(_outcome_of(case)) for case in trace.cases}
    return list(found.pop()) if len(found) == 1 else []


def _outcome_of(case: TraceCase) -> Iterator[str]:
    if len(case.ways) == 1:
        yield f"  outcome: '{case.ways[0].outcome_name}'"
    elif len(case.ways) <= _ENDPOINTS:
        yield "  outcome:"
        for way in case.ways:
            yield f"    '{way.outcome_name}': {percent(way.share).replace(' ', '')}"
    accepted = {bool(way.source) for way in case.ways if way.verdict == "accepted"}
    if len(accepted) == 1:
        yield f"  masquerade: {str(accepted.pop()).lower()}"


def main() -> None:
    """Write all files."""
    for case in FIXTURE_CASES:
        flow_file(case).write_text(text_of(case))


if __name__ == "__main__":
    main()
