"""`compile --check`: the text tested by this machine's iptables-restore."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from compiler.cli.exit_codes import ExitCode, Failure
from compiler.cli.output import report
from compiler.family import IPV6, Family
from compiler.netfilter.check import CheckError, Rejection, check

# A service port's name as comments have it.
_SERVICE_PORT = re.compile(r"(?<![\w/.-])[a-z0-9-]+/[a-z0-9.-]+(?::[a-z0-9-]+)?(?![\w/])")
_COMMENT = re.compile(r'--comment (?:"([^"]*)"|(\S+))')
# Chains of one service port; the others serve all of them.
_OWN_CHAIN = re.compile(r"-A (KUBE-(?:SVC|SVL|EXT|FW|SEP)-\S+)")


def check_text(text: str, family: Family) -> str:
    """Test restore text and return how that was done.

    Exits with `ExitCode.DIFFERENT` where it is rejected, with the service port that is concerned.
    Raises `Failure` where it can't be tested here.
    """
    command = "ip6tables-restore" if family is IPV6 else "iptables-restore"
    try:
        verdict = check(text, command)
    except CheckError as error:
        raise Failure("--check", f"the text was not tested: {error}") from error
    if verdict.rejection:
        report(f"--check: rejected, {verdict.by}: {describe(verdict.rejection, text)}")
        sys.exit(ExitCode.DIFFERENT)
    return f"checked: {verdict.by}"


def describe(rejection: Rejection, text: str) -> str:
    """Return `line 31, of default/web:http: WHY` with the rule below it."""
    if rejection.line is None:
        return str(rejection)
    service_port = service_port_of(text.splitlines(), rejection.line)
    owner = f", of {service_port}" if service_port else ""
    return f"line {rejection.line}{owner}: {rejection.reason}\n  {rejection.text}"


def service_port_of(lines: Sequence[str], number: int) -> str:
    """Return the service port that line `number` belongs to, as comments name it; empty if none.

    In large clusters endpoints' rules have no comments: then by the rule that jumps to their chain,
    and so on up.
    """
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    seen: set[str] = set()
    while line:
        comment = _COMMENT.search(line)
        found = _SERVICE_PORT.search(comment[1] or comment[2]) if comment else None
        if found:
            return found[0]
        chain = _OWN_CHAIN.match(line)
        if chain is None or chain[1] in seen:
            break
        seen.add(chain[1])
        line = next((one for one in lines if one.endswith(f" -j {chain[1]}")), "")
    return ""
