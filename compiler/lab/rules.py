"""What the lab needs to know of rules: the one place in the lab that takes rule text apart.

Two kinds of text come here: lines as `iptables -S` prints them, and restore text as
`compile --standalone` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter

from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.node_rules import NodeRules
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.targets.nat import Dnat

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
    """Return the affinity rules among `iptables -S` lines of nat, in the order of the lines."""
    return [
        AffinityCheck(match.list_name, match.seconds)
        for rule in _in_order(_parsed(lines))
        for match in rule.matches
        if isinstance(match, Recent) and match.mode == "rcheck"
    ]


def endpoint_chains(lines: Iterable[str]) -> dict[str, EndpointChain]:
    """Return the endpoints' chains among `iptables -S` lines of nat, by their names."""
    return {
        rule.chain: EndpointChain(rule.chain, rule.target.to, rule.comment)
        for rule in _in_order(_parsed(lines))
        if isinstance(rule.target, Dnat) and rule.chain.startswith(ENDPOINT_PREFIX)
    }


def lines_of_service_ports(
    lines: Iterable[str], *, table: str, chains: Collection[str], names: Collection[str]
) -> list[str]:
    """Keep the `iptables -S` lines of service ports, of one table.

    That is, those of one of their `chains`, those that jump to one, and those that belong to one of
    the service ports with these `names`.
    """
    written = list(lines)
    ruleset = _parsed(written, table)
    node = NodeRules(ruleset)
    kept = {
        rule.line
        for rule in _in_order(ruleset, table)
        if rule.chain in chains
        or rule.jumps_to in chains
        or ((key := node.owner(table, rule)) is not None and key.name in names)
    }
    kept |= {chain.line for name, chain in ruleset.table(table).items() if name in chains}
    return [line for number, line in enumerate(written, 1) if number in kept]


def _parsed(lines: Iterable[str], table: str = "nat") -> Ruleset:
    """Read `iptables -S` lines of a table."""
    return parse_rules("\n".join(lines), table_hint=lambda _: table)


def _in_order(ruleset: Ruleset, table: str = "nat") -> list[Rule]:
    """Return a table's rules in the order of their lines."""
    rules = [rule for chain in ruleset.table(table).values() for rule in chain.rules]
    return sorted(rules, key=attrgetter("line"))


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
