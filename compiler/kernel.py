"""Testing restore text with a real `iptables-restore`, and reading what it reports.

Where this machine lets us make a network namespace, the text is loaded in one that is removed
afterwards: the kernel itself accepts or rejects it, and nothing of the machine is touched.
(`--test` asks the kernel little, and `iptables-nft-restore --test` nothing at all.) Otherwise it is
parsed with `--test`, for which iptables-restore has to be permitted as it is.
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

COUNTER = re.compile(r"--nfacct-name (\S+)")


class CheckError(Exception):
    """The text can't be tested on this machine; the message says why."""


@dataclass(frozen=True)
class Rejection:
    """Why iptables-restore rejected a text.

    `line` counts from 1 and `text` is that line; None and empty if it named none.
    """

    reason: str
    line: int | None = None
    text: str = ""

    def __str__(self) -> str:
        """`line 31: WHY` and the rule below."""
        if self.line is None:
            return self.reason
        return f"line {self.line}: {self.reason}\n  {self.text}"


@dataclass(frozen=True)
class Verdict:
    """The result of a test: `by` says how it was made; `rejection` is None if the text passed."""

    by: str
    rejection: Rejection | None = None


def check(text: str, command: str) -> Verdict:
    """Test restore text with `command` (`iptables-restore`, `ip6tables-nft-restore`, …).

    Raises CheckError where it is not installed, may not be run here or does not end in time.
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
        # In a namespace of its own nothing else is at work: no need for the machine's lock, which
        # a mapped root could not open.
        environment = {**os.environ, "LC_ALL": "C", "XTABLES_LOCKFILE": f"{folder}/lock"}
        try:
            done = subprocess.run(  # noqa: S603 - fixed words; the counters' names are our own
                command,
                input=text,
                capture_output=True,
                encoding="utf-8",
                # what is no UTF-8 in a rule goes in, and comes back in a message, as it is
                errors="surrogateescape",
                env=environment,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CheckError(f"no answer within {TIMEOUT_SECONDS} s, {by}") from None
    return Verdict(by, None if done.returncode == 0 else read_rejection(text, done.stderr))


def read_rejection(text: str, stderr: str) -> Rejection:
    """Read what iptables-restore (legacy or nft) printed about a restore text that it rejected."""
    printed = [line.strip() for line in stderr.splitlines()]
    found = LINE.search(stderr)
    messages = [PREFIX.sub("", line) for line in printed if not NOISE.match(line)]
    reason = "; ".join(line for line in messages if line)
    if found is None:
        return Rejection(reason or "iptables-restore failed without a message")
    number = int(found[1] or found[2])
    lines = text.splitlines()
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    if line == "COMMIT":
        table = next((one for one in reversed(lines[:number]) if one.startswith("*")), "*?")[1:]
        reason = f"the table {table} was rejected as a whole" + (f": {reason}" if reason else "")
    return Rejection(reason or "rejected", number, line)
