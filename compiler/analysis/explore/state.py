"""One service port on one node as a value: its rules, graph, ways and cells."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address

from msgspec.structs import replace

from compiler.analysis.diff_words import port_changes
from compiler.analysis.explore.cells import (
    SOURCE_PORT,
    STATE_ORDER,
    Cell,
    Cutter,
    TooManyCellsError,
)
from compiler.analysis.explore.knowledge import Knowledge
from compiler.analysis.explore.rule_table import RuleTable
from compiler.analysis.explore.values import MAX_ENDPOINTS, Value, graph_value, share_value
from compiler.analysis.graph.changes import compare_graphs
from compiler.analysis.graph.draw import draw
from compiler.analysis.graph.model import Graph, Node
from compiler.analysis.names import nodes_of_endpoints, words_of_endpoints
from compiler.analysis.node_view import Entry, EntryKind, NodeView
from compiler.analysis.packet_words import answers_of
from compiler.analysis.trace import Way
from compiler.analysis.trace_words import details, headline
from compiler.kube_rules.chain_kinds import CHAINS
from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.endpoints import recent_of
from compiler.kube_rules.entry_points import address_of
from compiler.kube_rules.rule_line import chain_group
from compiler.kube_rules.senders import Sender
from compiler.kube_rules.service_port import Key
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.outcome import Step
from compiler.netfilter.rule import Rule

_KINDS: Mapping[EntryKind, str] = {
    "cluster-ip": "cluster IP",
    "node-port": "node port",
    "external-ip": "external IP",
    "load-balancer": "load balancer",
    "external-address": "external address",
    "localhost": "localhost",
}
_CHAINS = {
    "KUBE-SVC": "endpoints of the cluster",
    "KUBE-SVL": "endpoints on this node",
    "KUBE-EXT": "external traffic",
    "KUBE-FW": "load-balancer source ranges",
}


class StateMaker:
    """Makes the states of one node's service ports."""

    def __init__(self, view: NodeView, knowledge: Knowledge) -> None:
        self.view, self.knowledge = view, knowledge
        self._cutter = Cutter(view)
        self._rules = RuleTable(view, knowledge)
        self._ways: dict[str, int] = {}
        self._values: list[Value] = []
        self._seen: dict[tuple[int, str, bool], int] = {}
        self.names: Mapping[str, str] = {}

    def graph(self, key: Key) -> Graph | None:
        """Draw a service port, None where this node has not got it."""
        return draw(self.view, key, self._names(key)) if key in self.view.rules else None

    def state(self, key: Key, before: StateMaker | None = None) -> Value:
        """Return everything about a service port on this node.

        `before` is the same node on the old side: what has changed since is marked in the graph.
        """
        self._rules.start()
        self._ways, self._values = {}, []
        self.names = self._names(key)
        chains = list(self._chains(key))
        graph = draw(self.view, key, self.names)
        if before is not None:
            graph = compare_graphs(before.graph(key), graph)
        entries = list(self._entries(key))
        return {
            "summary": self.summary(key),
            "origin": self._origin(key),
            "chains": chains,
            "graph": graph_value(graph, self._edge_rules(key, graph)),
            "ways": self._values,
            "entries": entries,
            "rules": self._rules.values,
        }

    def forget(self, key: Key) -> None:
        """Drop what was read of a service port."""
        for rules in (self._cutter.rules, self.view.rules):
            rules.forget(key)

    def endpoints(self, key: Key) -> set[str]:
        """Return the addresses with ports of a service port's endpoints."""
        port = self.view.rules.service_port(key)
        return {
            one.address for some in (port.cluster, port.local) if some for one in some.endpoints
        }

    def policies(self, key: Key) -> tuple[str, str]:
        """Return the internal and the external traffic policy, as far as they are known."""
        service = self.knowledge.service(key)
        shown = dict(self.summary(key))
        internal = shown.get("internal traffic policy", "")
        external = shown.get("external traffic policy", "")
        if service is not None and service.spec is not None:
            internal = service.spec.internal_traffic_policy or "Cluster"
            external = external and (service.spec.external_traffic_policy or external)
        return internal, external

    def _names(self, key: Key) -> Mapping[str, str]:
        """Return the Pod and node of each endpoint (`web-1 on worker-1`), as far as known."""
        service = key.name.partition(":")[0]
        hosts = {address.rpartition(":")[0].strip("[]") for address in self.endpoints(key)}
        pods, nodes = (
            self.knowledge.pods,
            nodes_of_endpoints(self.knowledge.slices.get(service, ())),
        )
        return words_of_endpoints(
            {host: pods[service, host] for host in hosts if (service, host) in pods},
            {host: node for host, node in nodes.items() if host in hosts},
        )

    def affinity(self, key: Key) -> int:
        """Return the seconds of session affinity, 0 without."""
        port = self.view.rules.service_port(key)
        return max(
            (
                one.affinity or 0
                for some in (port.cluster, port.local)
                if some
                for one in some.endpoints
                if one.remembers
            ),
            default=0,
        )

    def summary(self, key: Key) -> list[list[str]]:
        """Return the properties of a service port, each with its value."""
        service = self.knowledge.service(key)
        found: list[list[str]] = []
        if service is not None and service.spec is not None:
            found.append(["type", service.spec.type or "ClusterIP"])
        counts: dict[str, int] = {}
        for change in port_changes(None, self.view.rules.service_port(key)):
            if change.what.endswith("endpoint"):
                counts[f"{change.what}s"] = counts.get(f"{change.what}s", 0) + 1
            elif change.after is not None:
                found.append([f"{change.what} {change.item}".strip(), change.after])
        return [*found, *([what, str(count)] for what, count in counts.items())]

    def _origin(self, key: Key) -> list[Value]:
        return [{"what": what, "place": place} for what, place in self.knowledge.objects(key)]

    def _chains(self, key: Key) -> Iterator[Value]:
        """Give the chains of a service port with their rules, top-level ones first."""
        found: dict[tuple[str, str], list[int]] = {}
        for located in self.view.rules.rules(key):
            place = self._rules.place(located.table, located.rule)
            found.setdefault((located.table, located.rule.chain), []).append(place)
        for (table, chain), places in found.items():
            yield {"table": table, "chain": chain, "words": self._chain(chain), "rules": places}

    def _chain(self, chain: str) -> str:
        if chain.startswith(ENDPOINT_PREFIX):
            address = self.view.rules.endpoint_address(chain)
            name = self.names.get(address.rpartition(":")[0].strip("[]"), "")
            return f"endpoint {address}" + (f" ({name})" if name else "")
        if words := _CHAINS.get(chain_group(chain)):
            return words
        return CHAINS[chain].does if chain in CHAINS else ""

    def _entries(self, key: Key) -> Iterator[Value]:
        found: dict[str, Value] = {}
        for entry in self.view.entries([key]):
            if entry.via == "localhost" and not self.view.listens_at_localhost:
                continue
            addresses = self.view.destinations(entry)
            if not addresses:
                yield self._entry(entry, [], "the node's address is not known (--node-address)")
            for address in addresses:
                value = self._answered(entry, address)
                same = json.dumps({**value, "to": [], "words": ""})
                if same in found:
                    first = found[same]["to"]
                    assert isinstance(first, list)  # noqa: S101  # made below
                    first.append(address)
                    continue
                found[same] = value
                yield value

    def _entry(self, entry: Entry, cells: list[Value], not_looked: str = "") -> Value:
        at = str(entry.port) if entry.via in ("node-port", "localhost") else ""
        host = f"[{entry.address}]" if ":" in entry.address else entry.address
        return {
            "via": "external-ip" if entry.via == "external-address" else entry.via,
            "words": f"via {_KINDS[entry.via]} {at or f'{host}:{entry.port}'}",
            "to": [],
            "port": entry.port,
            "protocol": entry.key.protocol,
            "cells": cells,
            "notLooked": not_looked,
        }

    def _answered(self, entry: Entry, address: str) -> Value:
        """Return an entry point with all of its cells."""
        endpoints = {
            int(ip_address(one.rpartition(":")[0].strip("[]"))) for one in self.endpoints(entry.key)
        }
        many = len(endpoints) > MAX_ENDPOINTS
        left_out: Collection[int] = endpoints if many else ()
        aim = Packet(
            source=address,
            destination=address,
            protocol=entry.key.protocol,
            source_port=SOURCE_PORT,
            destination_port=entry.port,
        )
        try:
            cells = list(self._cells(entry, aim, left_out))
        except TooManyCellsError:
            words = "the rules tell too many packets apart: see proxyrules trace"
            return {**self._entry(entry, [], words), "to": [address]}
        words = ""
        if many:
            words = (
                f"packets from the service port's own endpoints (more than {MAX_ENDPOINTS}): see "
                "proxyrules trace"
            )
        return {**self._entry(entry, cells, words), "to": [address]}

    def _cells(self, entry: Entry, aim: Packet, left_out: Collection[int]) -> Iterator[Value]:
        local = replace(aim, local=True)
        yield from self._values_of(self._cutter.cells(local), local)
        if entry.via == "localhost":
            return  # the kernel drops what comes in from elsewhere to loopback addresses
        cells = self._cutter.cells(aim, left_out)
        yield from self._values_of(cells, aim)
        if self._cutter.asks_interface(cells):
            for interface in self._interfaces():
                by = replace(aim, interface=interface)
                yield from self._values_of(self._cutter.cells(by, left_out), by)

    def _interfaces(self) -> list[str]:
        senders = [one for one in self.view.senders.values() if isinstance(one, Sender)]
        return list(dict.fromkeys(one.interface for one in senders if one.interface))

    def _values_of(self, cells: Sequence[Cell], aim: Packet) -> Iterator[Value]:
        """Give cells as values, those with the same answers as one."""
        self._seen = {}
        by_sources: dict[tuple[object, str], tuple[list[str], Cell, Value]] = {}
        for cell in cells:
            answers = self._answers(cell)
            states, _, _ = by_sources.setdefault(
                (cell.sources, json.dumps(answers)), ([], cell, answers)
            )
            states += cell.states
        found: dict[str, Value] = {}
        for states, cell, answers in by_sources.values():
            ordered = [state for state in STATE_ORDER if state in states]
            value: Value = {
                "local": aim.local,
                "interface": aim.interface,
                "sources": [],
                "states": ordered,
                **answers,
            }
            first = found.setdefault(json.dumps(value), value)
            sources = first["sources"]
            assert isinstance(sources, list)  # noqa: S101  # made above
            sources += [[self._hex(low), self._hex(high)] for low, high in cell.sources]
        for value in found.values():
            value["sources"] = _joined(value["sources"])
            yield value

    def _hex(self, number: int) -> str:
        return f"{number:08x}" if self.view.family == "ipv4" else f"{number:032x}"

    def _answers(self, cell: Cell) -> Value:
        cases: list[Value] = []
        listed: list[list[object]] = []
        for case, pins in cell.cases:
            ways = [[self._way(way, cell.packet), *share_value(way.share)] for way in case.ways]
            pinned: list[object] = [
                [way.pinned.list_name, way.pinned.seconds, self._way(way, cell.packet)]
                for way in pins
                if way.pinned is not None
            ]
            cases.append({"if": answers_of(case.given), "ways": ways})
            listed.append(pinned)
        if any(one != listed[0] for one in listed):
            cases = [{**case, "pins": pins} for case, pins in zip(cases, listed, strict=True)]
        return {"cases": cases, "pins": listed[0]}

    def _way(self, way: Way, packet: Packet) -> int:
        """Return the place of a way, which is added where it is new."""
        outcome, host = way.outcome, way.destination.rpartition(":")[0].strip("[]")
        # all that words take from the packet; outcomes live as long as their cells
        key = id(outcome), packet.state, packet.source == host
        if (seen := self._seen.get(key)) is None:
            seen = self._seen[key] = self._add_way(way, packet, host)
        return seen

    def _add_way(self, way: Way, packet: Packet, host: str) -> int:
        outcome = way.outcome
        words = headline(way, packet)
        if (name := self.names.get(host)) and way.verdict == "accepted":
            words = words.replace(way.destination, f"{way.destination} ({name})", 1)
        value: Value = {
            "outcome": way.outcome_name,
            "words": words,
            "verdict": way.verdict,
            "answer": way.answer,
            "translatedTo": way.destination,
            "source": way.source,
            "delivered": way.delivery == "input",
            "policy": way.policy,
            "decidedBy": self._step(way.decided_by),
            "masqueradedBy": self._step(way.masquerade),
            # the rule of `masqueradedBy` is its reason
            "reasons": list(details(way, packet, self._cutter.rules, masquerade=False)),
            "path": [self._rules.place(step.table, step.rule) for step in outcome.path],
            "stamps": [one[1:] for one in outcome.lists if one.startswith(f"+{ENDPOINT_PREFIX}")],
        }
        key = json.dumps(value)
        if (found := self._ways.get(key)) is None:
            found = self._ways[key] = len(self._values)
            self._values.append(value)
        return found

    def _step(self, step: Step | None) -> int | None:
        return None if step is None else self._rules.place(step.table, step.rule)

    def _edge_rules(self, key: Key, graph: Graph) -> list[list[int]]:
        """Return the rules that each edge of a graph is made of."""
        jumps: dict[str, list[tuple[str, Rule]]] = {}
        for table, rule in self.view.rules.rules(key):
            jumps.setdefault(rule.jumps_to, []).append((table, rule))
        nodes = {node.key: node for node in graph.nodes}
        return [
            [
                self._rules.place(table, rule)
                for table, rule in jumps.get(nodes[edge.target].chain, ())
                if nodes[edge.target].chain
                and edge.change != "removed"
                and _leaves(nodes[edge.source], rule)
                and (recent_of(rule) is not None) is (edge.kind == "return")
            ]
            for edge in graph.edges
        ]


def _leaves(node: Node, rule: Rule) -> bool:
    """Say whether a rule leads away from a node of a graph."""
    if node.kind == "entry":
        return node.key.endswith(f":{address_of(rule)}") and bool(address_of(rule))
    return rule.chain == node.chain


def _joined(ranges: object) -> list[list[str]]:
    """Put ranges in order, those in a row as one."""
    assert isinstance(ranges, list)  # noqa: S101  # made by the caller
    found: list[list[str]] = []
    for low, high in sorted(ranges):
        if found and int(found[-1][1], 16) + 1 == int(low, 16):
            found[-1][1] = high
        else:
            found.append([low, high])
    return found
