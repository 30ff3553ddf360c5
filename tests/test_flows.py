"""The packets of kube-proxy's own tests, and what becomes of them by the evaluator."""

from __future__ import annotations

import pytest

from compiler.kube_rules.jumps import with_jumps
from compiler.netfilter.evaluate import evaluate
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.parse import parse_rules
from tests.cases import Case, case_id
from tests.upstream_flows import FLOWS, HOST, packet_of


def test_there_are_flows() -> None:
    assert len(FLOWS) == 33
    assert sum(len(case.flows) for case in FLOWS) == 196


@pytest.mark.parametrize("case", FLOWS, ids=case_id)
def test_flows_of_kube_proxys_own_tests(case: Case) -> None:
    ruleset = with_jumps(parse_rules(case.expected, family=case.ip_family))
    for flow in case.flows:
        found = evaluate(ruleset, packet_of(flow), HOST)
        masqueraded = any(o.source == "masquerade" for o in found)
        assert (fate(found), masqueraded) == (flow["output"], flow["masq"]), flow["name"]


def fate(found: tuple[Outcome, ...]) -> str:
    """Put outcomes as those tests do; ACCEPT is what kube-proxy accepts in a table of its own."""
    endpoints = dict.fromkeys(o.destination for o in found if o.verdict == "accepted")
    if any(endpoints):
        return ", ".join(endpoint for endpoint in endpoints if endpoint)
    (only,) = found
    if only.verdict == "accepted":
        chains = {(step.table, step.rule.chain): step.rule for step in only.path}
        rule = chains.get(("filter", "KUBE-NODEPORTS"))
        return "ACCEPT" if rule is not None and str(rule.target) == "-j ACCEPT" else ""
    return {"rejected": "REJECT", "dropped": "DROP"}.get(only.verdict, only.undecided_by)
