"""Packets that stand for all that foreign rules and kube-proxy's tell apart."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from msgspec import structs

from compiler.family import IPV4
from compiler.kube_rules.chains import is_kube_proxy_chain
from compiler.netfilter.chain_diff import asked_by
from compiler.netfilter.header import Network
from compiler.netfilter.matches.mark import Mark
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import Hook, Ranges, Traffic, everything

# Addresses for benchmarks (RFC 2544, RFC 5180), which no cluster has.
_NOWHERE = {4: ipaddress.ip_network("198.18.0.0/15"), 6: ipaddress.ip_network("2001:2::/48")}


class Samples:
    """Makes packets for one chain's foreign rules.

    Of each network that the foreign rules ask for, and of what is in none of them, one address
    stands for all: kube-proxy's ten thousand addresses would otherwise each be told apart.
    """

    def __init__(self, ruleset: Ruleset, table: str, foreign: Sequence[Rule]) -> None:
        self.ruleset = ruleset
        self.table = table
        rules = list(_reached(ruleset, table, foreign))
        self._sources = [rule.header.source for rule in rules if rule.header.source]
        self._destinations = [rule.header.destination for rule in rules if rule.header.destination]
        asked = [match for rule in rules for match in rule.matches if isinstance(match, Mark)]
        self._marks = tuple(dict.fromkeys(match.value for match in asked if match.value))

    def packets(self, own: Rule, portals: Sequence[Rule]) -> Iterator[Traffic]:
        """Give packets that may come to a rule of kube-proxy's, from both hooks.

        For a rule that asks for no destination and no port those are any, and those to `portals`.
        """
        plain = own.header.destination is None and own.header.protocol is None
        hooks: tuple[Hook, Hook] = ("PREROUTING", "OUTPUT")
        for hook in hooks:
            for rule in (own, *(portals if plain else ())):
                whole = self._whole(rule, hook)
                if (start := asked_by(rule, whole)) is None:
                    continue
                yield start
                for mark in self._marks:
                    yield structs.replace(start, mark=mark)

    def _whole(self, rule: Rule, hook: Hook) -> Traffic:
        """Return the packets that a rule may choose from."""
        whole = everything(self.ruleset.family, hook)
        inside = [
            inner.header.source
            for inner in self.ruleset.rules("nat", rule.jumps_to)
            if inner.header.source
        ]
        changes: dict[str, object] = {"source": self._addresses([*self._sources, *inside])}
        if rule.header.destination is None:
            changes["destination"] = self._addresses(self._destinations)
        if self.table == "nat":
            # nat is asked for the first packet of a connection
            changes["states"] = frozenset(("NEW",))
        if rule.header.source is not None:
            changes["source"] = self._addresses([*self._sources, *inside, rule.header.source])
        return structs.replace(whole, **changes)

    def _addresses(self, networks: Sequence[Network]) -> Ranges:
        """Return an address of each network and one that is in none of them."""
        version = 4 if self.ruleset.family == IPV4 else 6
        chosen = {(network.low + network.high) // 2 for network in networks}
        nowhere = int(_NOWHERE[version].network_address)
        small = [network for network in networks if network.high - network.low < 1 << 32]
        while any(network.low <= nowhere <= network.high for network in small[:1000]):
            nowhere += 1
        chosen.add(nowhere)
        return tuple((address, address) for address in sorted(chosen))


def _reached(ruleset: Ruleset, table: str, rules: Sequence[Rule]) -> Iterator[Rule]:
    """Give rules and those of the foreign chains that they lead to, each chain once."""
    waiting = list(rules)
    seen: set[str] = set()
    while waiting:
        rule = waiting.pop()
        yield rule
        target = rule.jumps_to
        if target and target not in seen and not is_kube_proxy_chain(table, target):
            seen.add(target)
            waiting += ruleset.rules(table, target)
