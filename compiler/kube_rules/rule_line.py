"""One line of a ruleset (`-A CHAIN …`), looked at as text: fast enough for every line of a dump."""

from __future__ import annotations

import re
from typing import NamedTuple

_COMMAND = re.compile(
    r"\s*(?:\[\d+:\d+\] )?(?:-[AIDR]|--append|--insert|--delete)[ \t]+"
    r"(\S+)(?: \d+(?= ))?[ \t]*(.*)",
    re.DOTALL,
)
_TARGET = re.compile(r" (?:-j|-g|--jump|--goto) +(\S+)([^\"]*)\Z")
_ANY_COMMENT = re.compile(r'-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+)')
_COMMENT = re.compile(r'--comment (?:"((?:[^"\\]|\\.)*)"|(\S+))')


class RuleLine(NamedTuple):
    """A rule as its line has it: the chain, its other words, and its target (empty without one).

    `words` are those between chain and target; `action` is the target with its options.
    """

    chain: str
    words: str
    target: str
    action: str

    @property
    def comment(self) -> str:
        """The first comment, without quotes."""
        found = _COMMENT.search(self.words)
        return (found[1] or found[2]) if found else ""

    @property
    def asked(self) -> str:
        """What it asks of a packet: its words without comments."""
        return " ".join(_ANY_COMMENT.sub(" ", self.words).split())

    def value(self, option: str) -> str:
        """Return the value of an option (`--dport`), with `! ` before a negated one; else empty."""
        for part in (self.words, f" {self.action}"):
            at = part.rfind(f" {option} ")
            # what is quoted is a comment's, which comes before the options of matches
            if at >= 0 and part.count('"', 0, at) % 2 == 0:
                found = part[at + len(option) + 2 :].split(" ", 1)[0]
                return f"! {found}" if part.endswith(" !", 0, at) else found
        return ""

    @property
    def destination(self) -> str:
        """The address that it asks for, without the prefix of one address; empty without one."""
        return single_address(self.value("-d"))


def read_rule_line(line: str) -> RuleLine | None:
    """Read a line with a rule, in any form that iptables prints or takes; None for any other."""
    if line.startswith("-A ") and (at := line.rfind(" -j ")) > 0 and '"' not in line[at:]:
        # what iptables-save prints; half a million lines are worth three searches less
        end = line.find(" ", 3)
        action = line[at + 4 :].rstrip()
        return RuleLine(line[3:end], line[end:at], action.partition(" ")[0], action)
    command = _COMMAND.match(line)
    if command is None:
        return None
    chain, rest = command[1], " " + command[2].rstrip()
    found = _TARGET.search(rest)
    if found is None:
        return RuleLine(chain, rest, "", "")
    return RuleLine(chain, rest[: found.start()], found[1], found[1] + found[2])


def single_address(network: str) -> str:
    """Return a network without its prefix if that is one address's: `10.0.0.1/32`."""
    host, _, prefix = network.partition("/")
    return host if prefix == ("128" if ":" in host else "32") else network


def chain_group(chain: str) -> str:
    """Return the kind of a chain: `KUBE-SEP` for an endpoint's, the name itself for others."""
    kind = chain[:-17]
    return kind if kind in GROUPS and chain[-17] == "-" else chain


GROUPS = frozenset(("KUBE-SVC", "KUBE-SVL", "KUBE-EXT", "KUBE-FW", "KUBE-SEP"))
