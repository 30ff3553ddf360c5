"""Rules of others that refuse connections to cluster IPs, as the evaluator shows.

Clients are the Pods of the node and the node itself. Whoever comes from outside may be refused on
purpose, so that node ports and external addresses are not looked at.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from compiler.analysis.lint.context import Context
from compiler.analysis.lint.dump import NodeDump
from compiler.family import IPV4, IPV6
from compiler.kube_rules.chains import is_kube_proxy_chain
from compiler.kube_rules.senders import Surroundings
from compiler.kube_rules.service_port import Key, ServicePort
from compiler.manifests.address import network_family, parse_network
from compiler.netfilter.evaluate import follow
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.target import Reject, Verdict
from compiler.netfilter.traffic import (
    Hook,
    Question,
    Ranges,
    Split,
    Traffic,
    cut,
    everything,
    protocol_bits,
)
from compiler.netfilter.work import TooMuchWorkError, Work
from compiler.proxy.node import node_name

# Rules that are asked for one connection, and for all of a dump.
_WORK = 100_000
_ALL_WORK = 1_200_000
_PARTS = 100
_CLIENT_PORTS: Ranges = ((32768, 60999),)
# Interfaces that neither Pods nor their packets come by: containers of Docker, machines of libvirt.
_NOT_OF_PODS = re.compile(r"lo|docker\d+|virbr\d+(?:-nic)?|br-[0-9a-f]{12}")
_IS_LOCAL = "is an address of the node"
_AFTER_TRANSLATION = ("filter", "security", "mangle")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule, or the policy of a chain, that refuses connections."""

    table: str
    chain: str
    line: int
    verb: str
    policy: str = ""

    @property
    def words(self) -> str:
        """What it is called in a message."""
        place = self.chain if self.table == "filter" else f"{self.table} {self.chain}"
        return f"the policy {self.policy} of {place}" if self.policy else f"a rule in {place}"


@dataclass(slots=True)
class Found:
    """What refuses connections for sure: one rule, or one of several by where they go."""

    refusals: tuple[Refusal, ...]
    first: str
    ports: dict[Key, None] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Name what refuses."""
        return " or ".join(dict.fromkeys(one.words for one in self.refusals))

    @property
    def verb(self) -> str:
        """What it does to them."""
        return " or ".join(dict.fromkeys(one.verb for one in self.refusals))

    @property
    def line(self) -> int:
        """The line of the first in the dump."""
        return self.refusals[0].line

    @property
    def example(self) -> str:
        """Name the connections: the first, and how many more service ports are affected."""
        more = len(self.ports) - 1
        return f"{self.first} and {more} more service ports" if more else self.first


@dataclass(frozen=True, slots=True)
class _Client:
    """Who connects."""

    name: str
    hook: Hook
    source: Ranges


class Refusals:
    """Looks at one dump; with `beside`, at the rules of the other backend of the same node."""

    def __init__(self, context: Context, dump: NodeDump, beside: NodeDump | None = None) -> None:
        self._context, self._dump = context, dump
        self._beside = beside
        self._rules = (beside or dump).complete
        self._left = _ALL_WORK
        self._skipped = 0
        self._found: dict[tuple[Refusal, ...], Found] = {}
        self._open: dict[str, None] = {}

    @property
    def open_questions(self) -> tuple[str, ...]:
        """What could not be decided: one example, and how much was not looked at."""
        more = f" (and {len(self._open) - 1} more like it)" if len(self._open) > 1 else ""
        found = [f"{reason}{more}" for reason in list(self._open)[:1]]
        if self._skipped:
            found.append(f"connections to {self._skipped:,} service ports were not followed")
        return tuple(found)

    def found(self) -> list[Found]:
        """Return what refuses connections, each rule once."""
        if not _refuses(self._rules):
            return []
        for key in sorted(self._dump.rules.keys, key=_order):
            if self._left <= 0:
                self._skipped += 1
                continue
            port = self._dump.rules.service_port(key)
            addresses = [
                entry.address
                for entry in port.entry_points
                if entry.kind == "cluster IP" and entry.verdict.startswith("KUBE-")
            ]
            for address in addresses[:1]:
                for client in self._clients:
                    self._look(key, port, address, client)
        return list(self._found.values())

    def _look(self, key: Key, port: ServicePort, address: str, client: _Client) -> None:
        if self._beside is None:
            targets = [address]
        else:
            dispatches = [one for one in (port.cluster, port.local) if one]
            targets = list(dict.fromkeys(e.address for one in dispatches for e in one.endpoints))
        for target in targets:
            # A Pod that reaches itself is masqueraded, and so accepted by kube-proxy.
            start = _traffic(self._rules, client, target, key.protocol, without=port)
            outcomes = self._outcomes(start)
            if outcomes is None:
                self._open[f"connections to {key} were not followed: the rules are too many"] = None
                continue
            by_endpoint: defaultdict[str, list[Outcome]] = defaultdict(list)
            for outcome in outcomes:
                if self._possible(outcome, client):
                    by_endpoint[outcome.destination].append(outcome)
            for endpoint, some in by_endpoint.items():
                to = endpoint if self._beside is None else target
                self._judge(key, client, address, to, some)

    def _judge(
        self, key: Key, client: _Client, address: str, endpoint: str, outcomes: Sequence[Outcome]
    ) -> None:
        refusals = [self._refusal(outcome) for outcome in outcomes]
        by_rule = tuple(dict.fromkeys(one for one in refusals if one))
        if not by_rule:
            return
        translated = f", translated to {endpoint}" if endpoint else ""
        words = f"connections of {client.name} to {key} ({address}{translated})"
        if all(refusals):
            found = self._found.setdefault(by_rule, Found(by_rule, words))
            found.ports[key] = None
            return
        questions = [
            question.spoken()
            for outcome, refusal in zip(outcomes, refusals, strict=True)
            if refusal
            for question, _ in sorted(outcome.answers)
            if all(self._may_be(question, client, answer=answer) for answer in (True, False))
        ]
        reason = questions[0] if questions else "the client's address"
        self._open[f"whether {by_rule[0].words} refuses {words} depends on {reason}"] = None

    def _outcomes(self, start: Traffic) -> list[Outcome] | None:
        """Follow packets, in parts where rules tell them apart; None where it takes too long."""
        waiting = [start]
        found: list[Outcome] = []
        work = Work(min(_WORK, self._left))
        for _ in range(_PARTS):
            if not waiting:
                break
            traffic = waiting.pop()
            try:
                found += follow(self._rules, traffic, Host(), splitting=True, work=work)
            except Split as split:
                waiting += split.parts
            except TooMuchWorkError:
                self._left -= _WORK
                return None
        self._left -= sum(len(outcome.path) + 10 for outcome in found)
        return None if waiting else found

    def _refusal(self, outcome: Outcome) -> Refusal | None:
        """Return what of others refused a packet, None where nothing of theirs did."""
        if outcome.verdict not in ("dropped", "rejected"):
            return None
        verb = "drops" if outcome.verdict == "dropped" else "rejects"
        step = outcome.path[-1] if outcome.path else None
        if step is not None and _is_refusal(step.rule):
            if is_kube_proxy_chain(step.table, step.rule.chain) or not self._counts(step.table):
                return None
            return Refusal(step.table, step.rule.chain, step.rule.line, verb)
        for table, name in reversed(outcome.visited):
            chain = self._rules.chain(table, name)
            if chain is not None and chain.policy == "DROP" and self._counts(table):
                return Refusal(table, name, chain.line, verb, "DROP")
        return None

    def _counts(self, table: str) -> bool:
        """Whether the other backend sees a packet in this table as kube-proxy translated it."""
        return self._beside is None or table in _AFTER_TRANSLATION

    def _possible(self, outcome: Outcome, client: _Client) -> bool:
        """Whether the answers that an outcome holds for can be true of this client's packets."""
        return all(
            self._may_be(question, client, answer=answer) for question, answer in outcome.answers
        )

    def _may_be(self, question: Question, client: _Client, *, answer: bool) -> bool:
        if question.words == _IS_LOCAL:
            known = self._is_local(question.subject)
            return known is None or known is answer
        if not answer:
            return True
        by = question.words.removeprefix("-o ")
        if question.subject == "in":
            return client.hook == "OUTPUT" or not _NOT_OF_PODS.fullmatch(by)
        return not (question.words.startswith("-o ") and _NOT_OF_PODS.fullmatch(by))

    def _is_local(self, address: str) -> bool | None:
        """Whether an address is one of the node's own, None where that is not known."""
        try:
            number = int(ipaddress.ip_address(address))
        except ValueError:
            return None
        if number in self._own:
            return True
        if any(low <= number <= high for low, high in self._pods) or number in self._others:
            return False
        return False if address in self._cluster_ips else None

    # What is known of the node.

    @cached_property
    def _node(self) -> str | None:
        names = [node_name(node) for node in self._context.nodes]
        wanted = self._context.given.node or self._context.config.hostname_override
        return wanted or (names[0] if len(names) == 1 else None)

    @cached_property
    def _own(self) -> frozenset[int]:
        node = self._context.local_node(self._dump.family, self._node)
        return frozenset(int(ipaddress.ip_address(one)) for one in node.addresses)

    @cached_property
    def _others(self) -> frozenset[int]:
        """The addresses of other Nodes."""
        if self._node is None:
            return frozenset()
        return (
            frozenset(
                int(ipaddress.ip_address(address))
                for node in self._context.nodes
                if node_name(node) != self._node
                for address in self._context.local_node(
                    self._dump.family, node_name(node)
                ).addresses
            )
            - self._own
        )

    @cached_property
    def _cluster_ips(self) -> frozenset[str]:
        return frozenset(
            _parts(entry.address)[0]
            for key in self._dump.rules.keys
            for entry in self._dump.rules.entry_points(key)
            if entry.kind == "cluster IP"
        )

    @cached_property
    def _pods(self) -> Ranges:
        """The network of all Pods, as the node's rules or the configuration have it."""
        network = Surroundings(self._dump.rules).pod_network
        if network is not None and network.mask is None:
            return ((network.low, network.high),)
        return _range(self._context.config.cluster_cidrs.get(self._dump.family))

    @cached_property
    def _clients(self) -> tuple[_Client, ...]:
        whole = everything(self._dump.family, "PREROUTING").source
        node = self._context.local_node(self._dump.family, self._node)
        # Where the network of the Pods is not known, what holds for any address holds for theirs.
        pods = _range(node.pod_cidr) or self._pods or whole
        own = tuple((one, one) for one in sorted(self._own) if not _is_loopback(one))
        return (
            _Client("Pods", "PREROUTING", pods),
            _Client("the node itself", "OUTPUT", own or whole),
        )


def _order(key: Key) -> tuple[bool, Key]:
    """Put first what everything depends on: the API server and the cluster's DNS."""
    return not key.name.startswith(("default/kubernetes", "kube-system/")), key


def _traffic(
    rules: Ruleset, client: _Client, address: str, protocol: str, *, without: ServicePort
) -> Traffic:
    """Return the first packets of connections to an address and port, but for endpoints' own."""
    ip, port = _parts(address)
    number = int(ipaddress.ip_address(ip))
    source = client.source
    for dispatch in (without.cluster, without.local):
        for endpoint in dispatch.endpoints if dispatch else ():
            own = int(ipaddress.ip_address(_parts(endpoint.address)[0]))
            source = cut(source, own, own)[1]
    return Traffic(
        family=rules.family,
        hook=client.hook,
        source=source or client.source,
        destination=((number, number),),
        protocols=protocol_bits([protocol]),
        source_ports=_CLIENT_PORTS,
        destination_ports=((port, port),),
        states=frozenset(("NEW",)),
        lists={},
        flags=frozenset(("SYN",)) if protocol == "tcp" else None,
        source_local=client.hook == "OUTPUT",
    )


def _parts(address: str) -> tuple[str, int]:
    """Split `10.96.0.10:80` or `[fd00::1]:80`."""
    ip, _, port = address.rpartition(":")
    return ip.strip("[]"), int(port)


def _range(cidr: str | None) -> Ranges:
    network = parse_network(cidr) if cidr else None
    if network is None:
        return ()
    assert network_family(network) in (IPV4, IPV6)  # noqa: S101
    return ((int(network.network_address), int(network.broadcast_address)),)


def _is_loopback(number: int) -> bool:
    return number == 1 or number >> 24 == 127


def _is_refusal(rule: Rule) -> bool:
    target = rule.target
    return isinstance(target, Reject) or (isinstance(target, Verdict) and target.name == "DROP")


def _refuses(rules: Ruleset) -> bool:
    """Whether a rule or policy of others refuses anything."""
    return any(
        (chain.policy == "DROP" and name in BUILTIN_CHAINS.get(table, ()))
        or (
            not is_kube_proxy_chain(table, name)
            and any(" -j DROP" in text or "-j REJECT" in text for text in _texts(chain.texts()))
        )
        for table, chains in rules.tables.items()
        for name, chain in chains.items()
    )


def _texts(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield f" {text}"
