"""One reading of kube-proxy's rules on a node, on which every question rests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from compiler.kube_rules.chains import (
    ENDPOINT_PREFIX,
    JUMPS,
    NAT_TOP_LEVEL,
    PORT_PREFIXES,
    TOP_LEVEL,
    is_kube_proxy_chain,
    is_service_chain,
    port_hash,
)
from compiler.kube_rules.endpoints import read_service_port, translated_to
from compiler.kube_rules.entry_points import Located, TopLevel, key_of, read_top_level
from compiler.kube_rules.service_port import EntryPoint, Key, ServicePort
from compiler.netfilter.chain import Chain
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.table import LazyTable, mentioning
from compiler.netfilter.targets.mark import SetMark

# For so many endpoints it is quicker to look through the text than to list all of them.
_SCANS = 20


class NodeRules:
    """kube-proxy's rules in a ruleset: service ports, what belongs to each, and what is foreign.

    Nothing is read until it is asked for: the top-level chains when the first question about
    service ports comes, a service port's own chains when somebody asks for that service port. So a
    ruleset of half a million lines costs what is looked at. Values that were read are kept for as
    long as this object is; it never changes.
    """

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self._ports: dict[Key, ServicePort] = {}
        self._asked = 0

    @cached_property
    def _top(self) -> TopLevel:
        return read_top_level(self.ruleset)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """All service ports, in byte order of their names."""
        return tuple(sorted(self._top.rules))

    def __contains__(self, key: object) -> bool:
        return key in self._top.rules

    def entry_points(self, key: Key) -> tuple[EntryPoint, ...]:
        """Return the entry points of a service port, nat's first; empty for one not there."""
        return tuple(self._top.entry_points.get(key, ()))

    def top_level_rules(self, key: Key) -> tuple[Located, ...]:
        """Return the rules of top-level chains that belong to a service port."""
        return tuple(self._top.rules.get(key, ()))

    def service_port(self, key: Key) -> ServicePort:
        """Return a service port read from its own chains; one that is not there has nothing."""
        if key not in self._ports:
            self._ports[key] = read_service_port(
                self.ruleset, key, self._top.entry_points.get(key, ()), self._hashes.get(key, ())
            )
        return self._ports[key]

    def service_ports(self) -> dict[Key, ServicePort]:
        """Return every service port: this reads all of kube-proxy's chains."""
        return {key: self.service_port(key) for key in self.keys}

    def forget(self, key: Key) -> None:
        """Drop what was read of a service port's own chains, to read it again when asked.

        For those who go through all service ports of a large node, and keep none.
        """
        self._ports.pop(key, None)
        table = self.ruleset.table("nat")
        if isinstance(table, LazyTable):
            table.forget([chain.name for chain in self.chains(key)])

    @cached_property
    def _hashes(self) -> Mapping[Key, Sequence[str]]:
        """The hashes that the chains of each service port end with."""
        found: dict[Key, list[str]] = {}
        for hashed, key in self._top.names.items():
            found.setdefault(key, []).append(hashed)
        return found

    def chains(self, key: Key) -> tuple[Chain, ...]:
        """Return nat's chains of a service port, those of its endpoints last, each once."""
        return self.chains_of(self._hashes.get(key, ()))

    def chains_of(self, hashes: Iterable[str]) -> tuple[Chain, ...]:
        """Return nat's chains that end with a service port's hashes, and those of its endpoints."""
        table = self.ruleset.table("nat")
        names = [prefix + hashed for hashed in hashes for prefix in PORT_PREFIXES]
        own = [table[name] for name in names if name in table]
        endpoints = {
            target: table[target]
            for chain in own
            for target in chain.targets()
            if target.startswith(ENDPOINT_PREFIX) and target in table
        }
        return (*own, *endpoints.values())

    def rules(self, key: Key) -> tuple[Located, ...]:
        """Return all rules of a service port: top-level ones first, then its own chains'."""
        own = (Located("nat", rule) for chain in self.chains(key) for rule in chain.rules)
        return (*self.top_level_rules(key), *own)

    def owner(self, table: str, rule: Rule) -> Key | None:
        """Return the service port that a rule belongs to, None for one of the whole node."""
        if rule.chain in TOP_LEVEL.get(table, ()):
            return self._owners.get((table, rule.chain, rule.text))
        return self.chain_owner(rule.chain) if table == "nat" else None

    @cached_property
    def _owners(self) -> Mapping[tuple[str, str, str], Key]:
        """The service port of each top-level rule, by table, chain and text."""
        return {
            (located.table, located.rule.chain, located.rule.text): key
            for key, rules in self._top.rules.items()
            for located in rules
        }

    def chain_owner(self, chain: str) -> Key | None:
        """Return the service port that a chain of nat belongs to, None where it is no such chain.

        An endpoint's chain belongs to the first service port that jumps to it.
        """
        if not (hashed := self.hash_of(chain)):
            return None
        if (first := self._first_rules.get(hashed)) is not None:
            return key_of(first)
        return self._top.names.get(hashed)

    def hash_of(self, chain: str) -> str:
        """Return the hash of the service port that a chain belongs to, empty without one."""
        if chain.startswith(ENDPOINT_PREFIX):
            chain = self._user_of(chain)
        return port_hash(chain) if chain.startswith(PORT_PREFIXES) else ""

    @cached_property
    def _first_rules(self) -> Mapping[str, Rule]:
        """The first rule of nat's top-level chains for each hash, not read."""
        found: dict[str, Rule] = {}
        for name in NAT_TOP_LEVEL:
            if (chain := self.ruleset.chain("nat", name)) is not None:
                for rule, target in zip(chain.rules, chain.targets(), strict=True):
                    if is_service_chain(target):
                        found.setdefault(port_hash(target), rule)
        return found

    def _user_of(self, endpoint: str) -> str:
        """Return the first service port's chain that jumps to an endpoint's, empty without one."""
        self._asked += 1
        if self._asked > _SCANS:
            return self._users.get(endpoint, "")
        for chain in mentioning(self.ruleset.table("nat"), endpoint):
            if chain.name.startswith(PORT_PREFIXES) and endpoint in chain.targets():
                return chain.name
        return ""

    @cached_property
    def _users(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name, chain in self.ruleset.table("nat").items():
            if name.startswith(PORT_PREFIXES):
                for target in chain.targets():
                    if target.startswith(ENDPOINT_PREFIX):
                        found.setdefault(target, name)
        return found

    def endpoint_address(self, chain: str) -> str:
        """Return the address that an endpoint's chain translates to, empty where to none."""
        return translated_to(self.ruleset.rules("nat", chain))

    @property
    def node(self) -> Mapping[tuple[str, str], Sequence[Rule]]:
        """The top-level rules that belong to no service port, by table and chain, in order."""
        return self._top.node

    def masquerade_mark(self) -> int | None:
        """Return the bits by which packets to be masqueraded are marked, None where none are."""
        for rule in self.ruleset.rules("nat", "KUBE-MARK-MASQ"):
            if isinstance(rule.target, SetMark):
                return rule.target.value
        return None

    def jumps(self, table: str) -> tuple[Rule, ...]:
        """Return the rules of built-in chains that jump to kube-proxy's, in order of the chains."""
        targets = {jump.target for jump in JUMPS if jump.table == table}
        return tuple(
            rule
            for name in dict.fromkeys(jump.chain for jump in JUMPS if jump.table == table)
            for rule in self.ruleset.rules(table, name)
            if rule.jumps_to in targets
        )

    def foreign_chains(self) -> Iterator[tuple[str, Chain]]:
        """Give every chain that kube-proxy does not fill, built-in ones included, with its table.

        kubelet's and kube-proxy's canary chains are left out: nothing jumps to them.
        """
        for table, chains in self.ruleset.tables.items():
            # by name: no chain of kube-proxy's is made for this
            for name in chains:
                if not is_kube_proxy_chain(table, name) and not name.endswith("-CANARY"):
                    yield table, chains[name]
