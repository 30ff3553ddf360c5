"""What the lab needs to know of rules: the one place in the lab that takes rule text apart.

Two kinds of text come here: lines as `iptables -S` prints them, and restore text as
`compile --standalone` writes it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass

_CHECK_RULE = re.compile(
    r"-A \S+ .*?-m recent --rcheck --seconds (?P<seconds>\d+) .*?--name (?P<list>\S+) "
)
_DNAT_RULE = re.compile(r"-A (?P<chain>KUBE-SEP-\S+) .*--to-destination (?P<address>\S+)")
_COMMENT = re.compile(r'--comment "?(?P<name>[^ "]+)')
_CHAIN_LINE = re.compile(r":(\S+) ")
_COUNTER = re.compile(r"--nfacct-name (\S+)")
_JUMP_LINE = re.compile(r"-I (\S+) ")


@dataclass(frozen=True, slots=True)
class AffinityCheck:
    """A rule that sends a returning client to its previous endpoint.

    `recent` is the name of the kernel's list that it reads, `seconds` how long an entry counts.
    """

    recent: str
    seconds: int


@dataclass(frozen=True, slots=True)
class EndpointChain:
    """A chain that translates to one endpoint.

    `address` is `ADDRESS:PORT`; `service_port` is empty where the rules have no comments.
    """

    chain: str
    address: str
    service_port: str


def affinity_checks(lines: Iterable[str]) -> list[AffinityCheck]:
    """Return the affinity rules among `iptables -S` lines, in the order the kernel tries them."""
    found = (_CHECK_RULE.match(line) for line in lines)
    return [AffinityCheck(match["list"], int(match["seconds"])) for match in found if match]


def endpoint_chains(lines: Iterable[str]) -> dict[str, EndpointChain]:
    """Return the endpoints' chains among `iptables -S` lines, by their names."""
    found = {}
    for line in lines:
        if match := _DNAT_RULE.match(line):
            comment = _COMMENT.search(line)
            chain, name = match["chain"], comment["name"] if comment else ""
            found[chain] = EndpointChain(chain, match["address"], name)
    return found


def lines_of_service_ports(
    lines: Iterable[str], *, chains: Collection[str], names: Collection[str]
) -> list[str]:
    """Keep the `iptables -S` lines of service ports.

    That is, those of one of their `chains`, those that jump to one, and those whose comment has one
    of their `names` as a word.
    """
    chains, names = set(chains), set(names)

    def belongs(line: str) -> bool:
        words = shlex.split(line)
        if not chains.isdisjoint(words):
            return True
        return any(not names.isdisjoint(word.split()) for word in words)

    return [line for line in lines if belongs(line)]


def nfacct_counters(text: str) -> list[str]:
    """Return the names of the nfacct counters that the restore text counts with, sorted."""
    return sorted(set(_COUNTER.findall(text)))


def tables(text: str) -> dict[str, list[str]]:
    """Return the lines of restore text by table, without comments, headers and COMMIT."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("*"):
            lines = found.setdefault(line[1:], [])
        elif line and not line.startswith("#") and line != "COMMIT":
            lines.append(line)
    return found


def jumps(text: str) -> dict[str, list[str]]:
    """Return the jumps from built-in chains in a standalone text, by table."""
    return {
        table: [line for line in lines if _JUMP_LINE.match(line)]
        for table, lines in tables(text).items()
    }


def reload_text(old: str, new: str) -> str:
    """Return the text for `--noflush` that turns what `old` loaded into what `new` describes.

    Both are standalone texts. Every chain of `new` is written anew, as a full sync of kube-proxy
    does; chains that only `old` has are flushed and deleted; a jump from a built-in chain is
    touched only if one of the two lacks it. Both backends add the new rules for a `recent` list
    before they drop the old ones, in one transaction, so the list is kept as long as its endpoint.
    """
    before, after = tables(old), tables(new)
    written = []
    for table, lines in after.items():
        was = before.get(table, [])
        new_jumps, old_jumps = jumps(new)[table], jumps(old).get(table, [])
        chains = [line for line in lines if _CHAIN_LINE.match(line)]
        stale = [line for line in was if _CHAIN_LINE.match(line) and line not in set(chains)]
        rules = [line for line in lines if line.startswith("-A")]
        written += [f"*{table}", *chains, *stale, *rules]
        written += [line.replace("-I", "-D", 1) for line in old_jumps if line not in new_jumps]
        written += [line for line in new_jumps if line not in old_jumps]
        written += [f"-X {match[1]}" for line in stale if (match := _CHAIN_LINE.match(line))]
        written.append("COMMIT")
    return "\n".join(written) + "\n"
