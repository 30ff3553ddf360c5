"""A service port's chains as a graph, read from the values of its rules.

Every rule of the chains is an edge: those of kube-proxy in words, others in their own. Where a
packet really ends is for `traffic` to say, which asks the evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address

from compiler.analysis.graph.making import NOT_TRANSLATED, Structure, end_node, target_node
from compiler.analysis.graph.model import OTHERS, Edge, Node, NodeKind
from compiler.analysis.graph.words import condition_words, host_words, masquerade_words
from compiler.kube_rules.chains import ENDPOINT_PREFIX, PORT_PREFIXES
from compiler.kube_rules.endpoints import recent_of, translated_to
from compiler.kube_rules.entry_points import counts_only
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Dispatch, EntryPoint, Key
from compiler.netfilter.header import Header, Network
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.rule import Rule
from compiler.netfilter.targets.nat import Dnat

MASQUERADE = "KUBE-MARK-MASQ"
_CHAINS: dict[str, tuple[NodeKind, str]] = {
    "KUBE-FW": ("firewall", "load-balancer source ranges"),
    "KUBE-EXT": ("external", "external traffic"),
    "KUBE-SVC": ("cluster", "endpoints of the cluster"),
    "KUBE-SVL": ("local", "endpoints on this node"),
}
_IN_OWN_WORDS = "shares are of the connections that rules in their own words leave"


def read_structure(rules: NodeRules, key: Key, names: Mapping[str, str]) -> Structure:
    """Read a service port's entry points and chains.

    `names` are what is known of endpoints, by address without port.
    """
    reader = _Reader(rules, key, names)
    reader.read()
    return reader.made


class _Reader:
    def __init__(self, rules: NodeRules, key: Key, names: Mapping[str, str]) -> None:
        self.rules = rules
        self.made = Structure(key)
        self.names = names
        self.port = rules.service_port(key)
        self.verdicts: dict[str, list[tuple[EntryPoint, Rule]]] = {}
        self.open: dict[str, bool] = {}
        self.marking: dict[str, list[Rule]] = {}
        self.ranges: dict[tuple[str, str, tuple[str, ...]], int] = {}

    def read(self) -> None:
        """Read the entry points, all chains that they lead to, and those that none leads to."""
        self._enter()
        unreached = [
            chain.name
            for chain in self.rules.chains(self.made.key)
            if chain.name.startswith(PORT_PREFIXES) and chain.name not in self.made.chains
        ]
        for name in unreached:
            self._chain(name)
        self._masquerade()
        self._fall_through()
        if any(name in self.open for name in unreached):
            listed = ", ".join(unreached)
            self.made.notes[f"no entry point leads to {listed}"] = None

    def _enter(self) -> None:
        key = self.made.key
        located = [
            one for one in self.rules.top_level_rules(key) if not _counter(one.table, one.rule)
        ]
        for one, entry in zip(located, self.rules.entry_points(key), strict=True):
            node = self.made.add(self._entry_node(entry))
            self.made.entries.setdefault(node, entry)
            if entry.shadowed_by:
                taken = Node(f"other:{entry.shadowed_by}", "other", f"taken by {entry.shadowed_by}")
                self.made.link(Edge(node, self.made.add(taken)))
            elif one.table == "filter":
                self.verdicts.setdefault(node, []).append((entry, one.rule))
            else:
                asked = condition_words(one.rule, entry=True, to_node=entry.kind == "node port")
                edge = Edge(node, self._chain(one.rule.jumps_to), condition=asked)
                self.made.link(edge, [one.rule])
        for node, verdicts in self.verdicts.items():
            if not self.made.leaving(node):
                for entry, rule in verdicts:
                    self._end(node, entry, rule, "")

    def _entry_node(self, entry: EntryPoint) -> Node:
        protocol = "" if self.made.key.protocol == "tcp" else f"/{self.made.key.protocol}"
        via = "load balancer" if entry.kind == "load-balancer IP" else entry.kind
        detail = ""
        if entry.kind == "node port":
            detail = self._node_port_addresses()
        words = f"via {via} {entry.address}{protocol}"
        return Node(f"entry:{entry.kind}:{entry.address}", "entry", words, detail)

    def _node_port_addresses(self) -> str:
        """Say at which addresses node ports are looked for, empty for all of the node's."""
        jumps = [
            rule
            for rule in self.rules.node.get(("nat", "KUBE-SERVICES"), ())
            if rule.jumps_to == "KUBE-NODEPORTS"
        ]
        if not jumps:
            return "no rule looks for node ports"
        limits = [rule.header.destination for rule in jumps]
        known = [one for one in limits if one is not None]
        if len(known) < len(limits):
            return ""
        return ", ".join(f"{'not ' if one.negated else ''}at {host_words(one)}" for one in known)

    def _chain(self, name: str) -> str:
        """Read a chain of the service port; return its node's key."""
        if name in self.made.chains:
            return self.made.chains[name]
        prefix = next((one[:-1] for one in PORT_PREFIXES if name.startswith(one)), "")
        if name.startswith(ENDPOINT_PREFIX):
            return self._endpoint(name, translated_to(self.rules.ruleset.rules("nat", name)))
        if not prefix or self.rules.ruleset.chain("nat", name) is None:
            kind = "chain" if self.rules.ruleset.chain("nat", name) is not None else "missing chain"
            return self.made.add(Node(f"other:{name}", "other", f"{kind} {name}", chain=name))
        kind_, words = _CHAINS[prefix]
        node = self.made.add(Node(f"chain:{name}", kind_, words, chain=name))
        self.made.chains[name] = node
        if prefix in ("KUBE-SVC", "KUBE-SVL"):
            dispatch = self.port.cluster if prefix == "KUBE-SVC" else self.port.local
            self._dispatch(name, dispatch or Dispatch(()))
        else:
            self._steps(name)
        return node

    def _steps(self, name: str) -> None:
        """Read a chain whose rules send packets on by what they ask: FW and EXT."""
        node, marks = self.made.chains[name], list[str]()
        self.open[name] = True
        for rule in self.rules.ruleset.rules("nat", name):
            asked = condition_words(rule)
            if rule.jumps_to == MASQUERADE:
                marks.append(asked)
                continue
            if not self.open[name] and not rule.idle:
                self.made.notes[f"never reached: {rule}"] = None
            if rule.idle or not self.open[name]:
                continue
            masked = tuple(
                dict.fromkeys(masquerade_words("" if one == asked else one) for one in marks)
            )
            masked = ("masqueraded",) if "masqueraded" in masked else masked
            target = self._target(rule)
            if target is None:
                continue
            words = asked or (OTHERS if self.made.leaving(node) else "")
            self._step(Edge(node, target, condition=words, masquerade=masked), rule)
            # whoever it took is gone
            marks = [one for one in marks if one != asked or not asked]
            self.open[name] = bool(asked)

    def _step(self, edge: Edge, rule: Rule) -> None:
        """Add an edge; ranges of sources that lead to one place are listed in one."""
        source = rule.header.source
        if source is None or source.negated or rule.header != Header(source=source) or rule.asking:
            self.made.link(edge, [rule])
            self.ranges.clear()
            return
        place = edge.source, edge.target, edge.masquerade
        if (number := self.ranges.get(place)) is None:
            # only those in a row: rules between them come first
            self.ranges = {place: self.made.link(edge, [rule])}
            return
        other = self.made.edges[number]
        listed = f"{other.condition}, {edge.condition.removeprefix('from ')}"
        self.made.edges[number] = replace(other, condition=listed)
        self.made.ways[rule.chain, rule.text] = number

    def _target(self, rule: Rule) -> str | None:
        """Return the node that a rule leads to, None for one that leads nowhere."""
        target = rule.target
        if rule.jumps_to:
            return self._chain(rule.jumps_to)
        if target is None:
            self.made.notes[f"also: {rule}"] = None
            return None
        if isinstance(target, Dnat):
            return self._endpoint("", target.to)
        return self.made.add(target_node(target))

    def _endpoint(self, chain: str, address: str) -> str:
        """Add an endpoint, or note another chain that leads to it; return its key."""
        words = address or chain
        key = f"endpoint:{words}"
        host = words.rpartition(":")[0].strip("[]")
        made = Node(key, "endpoint", words, self.names.get(host, ""), chain)
        known = self.made.nodes.get(key)
        if known is not None and chain and chain not in known.chain.split(", "):
            made = replace(known, chain=", ".join(filter(None, [known.chain, chain])))
            self.made.nodes[key] = made
        self.made.add(made)
        if chain:
            self.made.chains[chain] = key
        return key

    def _dispatch(self, name: str, dispatch: Dispatch) -> None:
        """Read a chain that chooses among endpoints: SVC and SVL."""
        node = self.made.chains[name]
        rules = self.rules.ruleset.rules("nat", name)
        self.marking[name] = [rule for rule in rules if rule.jumps_to == MASQUERADE]
        jumping: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.jumps_to.startswith(ENDPOINT_PREFIX):
                jumping.setdefault(rule.jumps_to, []).append(rule)
        own = {rule.text for rule in self.port.other if rule.chain == name}
        for one in dispatch.endpoints:
            key = self._endpoint(one.chain, "" if one.address == one.chain else one.address)
            mine = [r for r in jumping[one.chain] if r.text not in own and recent_of(r) is None]
            self.made.link(Edge(node, key, share=one.share), mine)
            self._affinity(node, key, one.affinity, remembers=one.remembers)
        self._unusual(name, dispatch, jumping)
        left = 1 - sum((one.share for one in dispatch.endpoints), Fraction(0))
        if left and (dispatch.endpoints or not own):
            end = replace(NOT_TRANSLATED, key="end:passed:empty", words="no endpoint: goes on")
            self.made.link(Edge(node, self.made.add(end), share=left))
        for chain in (one.chain for one in dispatch.endpoints):
            for rule in (rule for rule in self.port.other if rule.chain == chain):
                if (target := self._target(rule)) is not None:
                    edge = Edge(self.made.chains[chain], target, condition=condition_words(rule))
                    self.made.link(edge, [rule])

    def _affinity(self, node: str, endpoint: str, seconds: int | None, *, remembers: bool) -> None:
        """Add the way by which clients come back to the endpoint that they had."""
        if seconds is not None and remembers:
            self.made.link(Edge(node, endpoint, "return", affinity=seconds))
        elif seconds is not None:
            words = f"asked for {seconds} s, but never remembered"
            self.made.link(Edge(node, endpoint, "return", words))
        elif remembers:
            self.made.link(Edge(node, endpoint, "return", "remembered, but never asked for"))

    def _unusual(self, name: str, dispatch: Dispatch, jumping: Mapping[str, list[Rule]]) -> None:
        """Add the rules of a dispatching chain that kube-proxy does not write."""
        node = self.made.chains[name]
        own = {rule.text for rule in self.port.other if rule.chain == name}
        closed = False
        for rule in self.rules.ruleset.rules("nat", name):
            asked = condition_words(rule)
            if rule.text in own and not rule.idle:
                if closed:
                    self.made.notes[f"never reached: {rule}"] = None
                elif (target := self._target(rule)) is not None:
                    self.made.link(Edge(node, target, condition=asked or "always"), [rule])
                    if dispatch.endpoints:
                        self.made.notes[_IN_OWN_WORDS] = None
            closed = closed or (not asked and rule.jumps_to in self.made.chains)
        chains = {one.chain for one in dispatch.endpoints}
        for chain, some in jumping.items():
            if chain not in chains and any(rule.text not in own for rule in some):
                shown = translated_to(self.rules.ruleset.rules("nat", chain))
                words = (
                    f"{chain} translates to nothing: its packets come back"
                    if not shown
                    else f"{shown} gets returning clients, and no share of new ones"
                )
                self.made.notes[words] = None

    def _reach(self) -> dict[str, dict[str, EntryPoint]]:
        """Return the entry points whose packets may come to each node."""
        found: dict[str, dict[str, EntryPoint]] = {}
        for start, entry in self.made.entries.items():
            waiting = [start]
            while waiting:
                key = waiting.pop()
                if start in found.setdefault(key, {}):
                    continue
                found[key][start] = entry
                waiting += [self.made.edges[one].target for one in self.made.leaving(key)]
        return found

    def _masquerade(self) -> None:
        """Write what SVC and SVL chains mark for masquerading on the edges that lead to them."""
        reach = self._reach()
        for name, rules in self.marking.items():
            node = self.made.chains[name]
            used = set[str]()
            for number, edge in self.made.edges.items():
                if edge.target != node or edge.kind != "way" or "masqueraded" in edge.masquerade:
                    continue
                entries = reach.get(edge.source, {}).values()
                meeting = [rule for rule in rules if any(_meets(rule, one) for one in entries)]
                used |= {rule.text for rule in meeting}
                words = [masquerade_words(condition_words(rule, entry=True)) for rule in meeting]
                masked = tuple(dict.fromkeys((*edge.masquerade, *words)))
                masked = ("masqueraded",) if "masqueraded" in masked else masked
                self.made.edges[number] = replace(edge, masquerade=masked)

    def _fall_through(self) -> None:
        """Add where packets end that no rule of an FW or EXT chain takes."""
        reach = self._reach()
        for name in [one for one, is_open in self.open.items() if is_open]:
            node = self.made.chains[name]
            entries = reach.get(node, {})
            verdicts = {key: self._verdict(key, self.made.nodes[node].kind) for key in entries}
            before = OTHERS if self.made.leaving(node) else ""
            for key, verdict in verdicts.items():
                same = len({one[1].text if one else "" for one in verdicts.values()}) == 1
                words = before if same or _alike(verdicts.values()) else self.made.nodes[key].words
                if before and words != before:
                    words = f"{before}, {words}"
                if verdict is None:
                    self.made.link(Edge(node, self.made.add(NOT_TRANSLATED), condition=words))
                else:
                    self._end(node, *verdict, words)

    def _verdict(self, entry: str, kind: NodeKind) -> tuple[EntryPoint, Rule] | None:
        """Return what filter does with an entry point's packets that were not translated."""
        found = self.verdicts.get(entry, [])
        if kind != "firewall":
            found = sorted(found, key=lambda one: one[0].verdict == "firewalled")
        else:
            found = sorted(found, key=lambda one: one[0].verdict != "firewalled")
        return found[0] if found else None

    def _end(self, node: str, entry: EntryPoint, rule: Rule, words: str) -> None:
        """Add the end that a rule of filter makes."""
        asked = condition_words(rule, entry=True, to_node=entry.kind == "node port")
        condition = ", ".join(filter(None, [words, asked]))
        target = self.made.add(end_node(entry, rule, self.made.key))
        self.made.link(Edge(node, target, condition=condition), [rule])


def _alike(verdicts: Iterable[tuple[EntryPoint, Rule] | None]) -> bool:
    kinds = {one[0].verdict if one else "" for one in verdicts}
    return len(kinds) == 1


def _counter(table: str, rule: Rule) -> bool:
    return table == "nat" and counts_only(rule)


def _meets(rule: Rule, entry: EntryPoint) -> bool:
    """Say whether packets to an entry point may match a rule's address and port."""
    host, _, port = entry.address.rpartition(":")
    for match in rule.asking:
        if isinstance(match, PortMatch) and match.destination_ports is not None and port.isdigit():
            low, high = match.destination_ports
            if (low <= int(port) <= high) is match.destination_negated:
                return False
    there = rule.header.destination
    return there is None or (_inside(host.strip("[]"), there) is not there.negated)


def _inside(host: str, network: Network) -> bool:
    """Say whether an entry point's address is in a network; a node port's is no Service's."""
    if not host:
        return False
    return network.low <= int(ip_address(host)) <= network.high
