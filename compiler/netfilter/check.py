"""Restore text put before a real `iptables-restore`, and its refusals put into words.

Where this machine lets us make a network namespace, the text is loaded in one that is thrown away
afterwards: the kernel itself then says yes or no, and nothing of the machine is touched. (`--test`
asks the kernel little, and `iptables-nft-restore --test` nothing at all.) Otherwise it is parsed
with `--test`, for which iptables-restore has to be permitted as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

# A full load of ten thousand endpoints takes iptables-nft-restore eight seconds.
TIMEOUT_SECONDS = 300

# "Error occurred at line: 31" (both, on words they don't know), "line 9: RULE_APPEND failed (...)"
# (nft, by the kernel), "line 25 failed" (legacy, by the kernel or for a missing chain).
LINE = re.compile(r"Error occurred at line: (\d+)|\bline (\d+)(?::| failed)")
PREFIX = re.compile(r"^(?:ip6?tables\S*(?: v[\d.]+ \(\w+\))?: *)?(?:line \d+(?: failed)?(?:: |$))?")
NOISE = re.compile(r"^(?:Error occurred at line|Try `|$)")

# A service port's name as comments have it.
SERVICE_PORT = re.compile(r"(?<![\w/.-])[a-z0-9-]+/[a-z0-9.-]+(?::[a-z0-9-]+)?(?![\w/])")
COMMENT = re.compile(r'--comment (?:"([^"]*)"|(\S+))')
# Chains of one service port; the others serve them all.
OWN_CHAIN = re.compile(r"-A (KUBE-(?:SVC|SVL|EXT|FW|SEP)-\S+)")
COUNTER = re.compile(r"--nfacct-name (\S+)")


class CheckError(Exception):
    """The check can't be made on this machine; the message says why."""


@dataclass(frozen=True)
class Refusal:
    """What iptables-restore would not take.

    `line` counts from 1 and `text` is that line; None and empty where it named none. `service` is
    the service port that the rule belongs to, empty where it belongs to none.
    """

    reason: str
    line: int | None = None
    text: str = ""
    service: str = ""

    def __str__(self) -> str:
        """`line 31, of default/web:http: WHY` and the rule below."""
        if self.line is None:
            return self.reason
        owner = f", of {self.service}" if self.service else ""
        return f"line {self.line}{owner}: {self.reason}\n  {self.text}"


@dataclass(frozen=True)
class Verdict:
    """What became of a check: `by` says who looked; `refusal` is None where it was taken."""

    by: str
    refusal: Refusal | None = None


def check(text: str, command: str) -> Verdict:
    """Have `command` (`iptables-restore`, `ip6tables-nft-restore`, …) look at restore text.

    Raises CheckError where it is not installed or may not be run here.
    """
    if shutil.which(command) is None:
        raise CheckError(f"{command} is not installed")
    if isolation := _isolation():
        by = f"loaded by {command} in a network namespace of its own"
        counters = sorted(set(COUNTER.findall(text)))
        if not counters or shutil.which("nfacct"):
            # The counters are the node's; here they have to be made first.
            script = "".join(f"nfacct add {name} && " for name in counters) + f"exec {command}"
            return _verdict(text, [*isolation, "sh", "-c", script], by)
    if os.geteuid() != 0:
        raise CheckError(f"{command} needs root, or user namespaces to be allowed here")
    return _verdict(text, [*isolation, command, "--test"], f"parsed by {command} --test")


def _isolation() -> list[str]:
    """Return the words that run a command in a network namespace of its own; none if impossible."""
    root = ["unshare", "--net"]
    own = root if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        return []
    probe = subprocess.run([*own, "true"], capture_output=True, check=False)  # noqa: S603
    return own if probe.returncode == 0 else []


def _verdict(text: str, command: Sequence[str], by: str) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="proxyrules-") as folder:
        # In a namespace of its own nobody else can be at work: no need for the machine's lock,
        # which a mapped root could not open.
        environment = {**os.environ, "LC_ALL": "C", "XTABLES_LOCKFILE": f"{folder}/lock"}
        try:
            done = subprocess.run(  # noqa: S603 - fixed words; the counters' names are our own
                command,
                input=text,
                capture_output=True,
                encoding="utf-8",
                env=environment,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CheckError(f"no answer in {TIMEOUT_SECONDS} s, {by}") from None
    return Verdict(by, None if done.returncode == 0 else refusal(text, done.stderr))


def refusal(text: str, stderr: str) -> Refusal:
    """Read what iptables-restore (legacy or nft) said of restore text that it did not take."""
    told = [line.strip() for line in stderr.splitlines()]
    found = LINE.search(stderr)
    said = [PREFIX.sub("", line) for line in told if not NOISE.match(line)]
    reason = "; ".join(line for line in said if line)
    if found is None:
        return Refusal(reason or "iptables-restore failed without a word")
    number = int(found[1] or found[2])
    lines = text.splitlines()
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    if line == "COMMIT":
        table = next((one for one in reversed(lines[:number]) if one.startswith("*")), "*?")[1:]
        reason = f"the table {table} was refused as a whole" + (f": {reason}" if reason else "")
    return Refusal(reason or "refused", number, line, service_of(lines, number))


def service_of(lines: Sequence[str], number: int) -> str:
    """Return the service port that line `number` belongs to, as comments name it.

    In large clusters endpoints' rules have no comments: then by the rule that jumps to their chain,
    and so on up.
    """
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    seen: set[str] = set()
    while line:
        comment = COMMENT.search(line)
        found = SERVICE_PORT.search(comment[1] or comment[2]) if comment else None
        if found:
            return found[0]
        chain = OWN_CHAIN.match(line)
        if chain is None or chain[1] in seen:
            break
        seen.add(chain[1])
        line = next((one for one in lines if one.endswith(f" -j {chain[1]}")), "")
    return ""
