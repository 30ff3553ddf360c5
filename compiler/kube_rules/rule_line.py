"""One line of a ruleset (`-A CHAIN …`), looked at as text: fast enough for every line of a dump."""

from __future__ import annotations

import re
from typing import NamedTuple

_COMMAND = re.compile(
    r"\s*(?:\[\d+:\d+\] )?(?:-A|-I|-D|-R|--append|--insert|--delete)[ \t]+(\S+)(?: \d+(?= ))?[ \t]*(.*)",
    re.DOTALL,
)
_TARGET = re.compile(r" (?:-j|-g|--jump|--goto) +(\S+)([^\"]*)\Z")
_COMMENT = re.compile(r'--comment (?:"((?:[^"\\]|\\.)*)"|(\S+))')
_OPTION = re.compile(
    r"(! )?(?<!\S)(-d|--dport|-s|-i|--to-destination|--probability|--seconds|-p) (\S+)"
)


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
    def options(self) -> dict[str, str]:
        """The values of options that say where packets come from and go to; `! ` before negated."""
        bare = _COMMENT.sub("", f"{self.words} {self.action}")
        return {name: (no or "") + value for no, name, value in _OPTION.findall(bare)}

    @property
    def destination(self) -> str:
        """The address that it asks for, without the prefix of one address; empty without one."""
        return single_address(self.options.get("-d", ""))


def read_rule_line(line: str) -> RuleLine | None:
    """Read a line with a rule, in any form that iptables prints or takes; None for any other."""
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
    kind, dash, hashed = chain.rpartition("-")
    if dash and len(hashed) == 16 and kind in GROUPS:
        return kind
    return chain


GROUPS = frozenset(("KUBE-SVC", "KUBE-SVL", "KUBE-EXT", "KUBE-FW", "KUBE-SEP"))
