"""`compile --check`: the text tested by this machine's iptables-restore."""

from __future__ import annotations

import sys

from compiler.cli.exit_codes import ExitCode, Failure
from compiler.cli.output import report
from compiler.family import IPV6, Family
from compiler.kernel import CheckError, Rejection, check
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.parse import parse_rules


def check_text(text: str, family: Family, *, name: str = "") -> str:
    """Test restore text and return how that was done; `name` is whose it is, where there are many.

    Exits with `ExitCode.DIFFERENT` where it is rejected, with the service port that is concerned.
    Raises `Failure` where it can't be tested here.
    """
    command = "ip6tables-restore" if family is IPV6 else "iptables-restore"
    try:
        verdict = check(text, command)
    except CheckError as error:
        raise Failure("--check", f"the text was not tested: {error}") from error
    if verdict.rejection:
        whose = f"{name}: " if name else ""
        report(f"--check: {whose}rejected, {verdict.by}: {describe(verdict.rejection, text)}")
        sys.exit(ExitCode.DIFFERENT)
    return f"checked: {verdict.by}"


def describe(rejection: Rejection, text: str) -> str:
    """Return `line 31, of default/web:http: WHY` with the rule below it."""
    if rejection.line is None:
        return str(rejection)
    service_port = service_port_of(text, rejection.line)
    owner = f", of {service_port}" if service_port else ""
    return f"line {rejection.line}{owner}: {rejection.reason}\n  {rejection.text}"


def service_port_of(text: str, number: int) -> str:
    """Return the service port that line `number` of restore text belongs to; empty if none."""
    ruleset = parse_rules(text)
    for table, chains in ruleset.tables.items():
        for chain in chains.values():
            if number in chain.numbers:
                rule = chain.rules[chain.numbers.index(number)]
                key = NodeRules(ruleset).owner(table, rule)
                return key.name if key else ""
    return ""
