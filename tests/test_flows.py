"""The packets of kube-proxy's own tests, and what becomes of them by the evaluator."""

from __future__ import annotations

import pytest

from compiler.family import IPV4, IPV6
from compiler.kube_rules.jumps import with_jumps
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.parse import parse_rules
from tests.cases import CONFORMANCE_CASES, Case, case_id

# In kube-proxy's tests, only these are local addresses (and ::1).
HOST = Host(addresses=frozenset(("192.168.0.2", "127.0.0.1", "::1")))
FLOWS = [case for case in CONFORMANCE_CASES if case.flows]


def test_there_are_flows() -> None:
    assert len(FLOWS) == 33
    assert sum(len(case.flows) for case in FLOWS) == 196


@pytest.mark.parametrize("case", FLOWS, ids=case_id)
def test_flows_of_kube_proxys_own_tests(case: Case) -> None:
    family = IPV6 if case.family == "ipv6" else IPV4
    ruleset = with_jumps(parse_rules(case.expected, family=family))
    for flow in case.flows:
        packet = Packet(
            source=str(flow["sourceIP"]),
            destination=str(flow["destIP"]),
            protocol=str(flow["protocol"]) or "tcp",
            destination_port=int(str(flow["destPort"])),
            local=str(flow["sourceIP"]) in (HOST.addresses or ()),
            interface="eth0",
        )
        found = evaluate(ruleset, packet, HOST)
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
