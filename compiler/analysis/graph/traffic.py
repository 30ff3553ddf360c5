"""Packets that are sent through a graph: where the evaluator says that they go, and where they end.

What the chains of a service port don't show (a rule of another program that drops) is found by
sending packets: one to each entry point from each kind of sender.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from msgspec import structs

from compiler.analysis.decisions import decision, is_target
from compiler.analysis.graph.making import NOT_TRANSLATED, Structure
from compiler.analysis.graph.model import Edge, Node, NodeKind
from compiler.analysis.graph.structure import MASQUERADE
from compiler.analysis.node_view import Entry, EntryKind, NodeView
from compiler.kube_rules.senders import Sender
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.outcome import Outcome

_VIAS: dict[str, EntryKind] = {
    "cluster IP": "cluster-ip",
    "external IP": "external-ip",
    "load-balancer IP": "load-balancer",
    "external address": "external-address",
    "node port": "node-port",
}
ASSUMED = "the node's addresses are not known: no other address is taken for one of them"
_IS_LOCAL = "is an address of the node"


@dataclass(frozen=True, slots=True)
class Way:
    """What became of a part of the packets to an entry point.

    `edges` are the numbers of the edges that it took, `at` the node that it came to last, `end`
    where it ended beyond, None for an end that the graph has. `masqueraded` are the places in
    `edges` where its source was marked to be rewritten, if it was: only `accepted` packets come to
    where that is done.
    """

    share: Fraction
    edges: tuple[int, ...]
    at: str
    end: Node | None
    accepted: bool
    masqueraded: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Sent:
    """Packets from a sender to an entry point; `why_not` says why there are none.

    `address` is the sender's, `destination` that of the entry point on the node.
    """

    entry: str
    sender: str
    address: str = ""
    destination: str = ""
    ways: tuple[Way, ...] = ()
    why_not: str = ""


@dataclass
class Traffic:
    """Sends packets through one graph."""

    view: NodeView
    made: Structure
    names: Mapping[str, str]
    notes: dict[str, None] = field(default_factory=dict)

    def every_sender(self) -> Iterator[Sent]:
        """Send packets from every kind of sender."""
        for key in self.made.entries:
            if (entry := self._entry(key)) is None:
                continue
            senders = self.view.senders_to(entry, self.view.source_ranges(entry))
            for kind, sender in senders.items():
                yield from self._send(key, entry, kind.replace("-", " "), sender)
            if entry.via == "node-port" and self.view.listens_at_localhost:
                yield from self._from_localhost(key, entry)

    def one_sender(self, wanted: str, sender: Sender | None) -> Iterator[Sent]:
        """Send packets from a kind of sender, or from `sender` where that is an address."""
        for key in self.made.entries:
            if (entry := self._entry(key)) is None:
                continue
            if wanted == "localhost":
                if entry.via == "node-port":
                    yield from self._from_localhost(key, entry)
                continue
            senders = self.view.senders_to(entry, self.view.source_ranges(entry))
            chosen = sender or {str(kind): one for kind, one in senders.items()}.get(wanted)
            if chosen is not None:
                yield from self._send(key, entry, wanted, chosen)

    def _entry(self, key: str) -> Entry | None:
        """Return an entry point as one that packets can be sent to."""
        point = self.made.entries[key]
        host, _, port = point.address.rpartition(":")
        via = _VIAS.get(point.kind)
        if via is None or not port.isdigit():
            return None  # health checks go to kube-proxy itself
        return Entry(self.made.key, via, host.strip("[]"), int(port))

    def _from_localhost(self, key: str, entry: Entry) -> Iterator[Sent]:
        loopback = entry._replace(via="localhost", address=self.view.family.loopback)
        for sent in self._send(key, loopback, "localhost", self.view.senders["localhost"]):
            # without a rule that serves it there, a node port is none
            if any(way.end is not NOT_TRANSLATED for way in sent.ways):
                yield sent

    def _send(self, key: str, entry: Entry, words: str, sender: Sender | str) -> Iterator[Sent]:
        if isinstance(sender, str):
            yield Sent(key, words, why_not=sender)
            return
        addresses = self.view.destinations(entry)
        if not addresses:
            yield Sent(key, words, why_not="the node's address is not known")
        for address in addresses:
            packet = self.view.packet(entry, sender, address)
            ways = tuple(self._way(key, one, words) for one in self._outcomes(packet))
            yield Sent(key, words, sender.address, address, ways)

    def _outcomes(self, packet: Packet) -> tuple[Outcome, ...]:
        """Return what becomes of a packet; unknown addresses of the node are no endpoint's."""
        host = self.view.around.host_for(packet)
        found = evaluate(self.view.ruleset, packet, host)
        if host.addresses is None and any(_IS_LOCAL in one.undecided_by for one in found):
            self.notes[ASSUMED] = None
            none = structs.replace(host, addresses=frozenset())
            found = evaluate(self.view.ruleset, packet, none)
        return found

    def _way(self, entry: str, outcome: Outcome, sender: str) -> Way:
        made, at = self.made, entry
        edges: list[int] = []
        marked: set[int] = set()
        pending = False
        for step in outcome.path:
            if step.table != "nat":
                continue
            to = step.rule.jumps_to
            if to == MASQUERADE:
                kind = made.nodes[at].kind
                pending = pending or kind in ("external", "firewall", "entry")
                if kind in ("cluster", "local", "endpoint") and edges:
                    marked.add(len(edges) - 1)
            number = made.ways.get((step.rule.chain, step.rule.text))
            if number is None or made.edges[number].source != at:
                if to not in made.chains:
                    continue
                # a rule that is for another entry point took it
                words = f"by a rule of {step.rule.chain}"
                number = made.link(Edge(at, made.chains[to], condition=words))
            edges.append(number)
            if pending:
                marked.add(len(edges) - 1)
                pending = False
            at = made.edges[number].target
        count = len(edges)
        end = self._end(outcome, at, edges)
        if len(edges) > count:
            at = made.edges[edges[-1]].target
        self._check_source(outcome, sender)
        rewritten = frozenset(marked) if outcome.source else frozenset()
        if outcome.source and not rewritten and edges:
            rewritten = frozenset({len(edges) - 1})
        accepted = outcome.verdict == "accepted"
        return Way(outcome.share, tuple(edges), at, end, accepted, rewritten)

    def _check_source(self, outcome: Outcome, sender: str) -> None:
        """Note where a source is rewritten without kube-proxy's mark, or is not in spite of it."""
        if outcome.verdict != "accepted":
            return
        marked = any(step.rule.jumps_to == MASQUERADE for step in outcome.path)
        if outcome.source and not marked:
            names = ("MASQUERADE", "SNAT")
            rules = [s.rule for s in outcome.path if any(is_target(s.rule, n) for n in names)]
            self.notes[f"from {sender}: source rewritten by {rules[-1]}"] = None
        if marked and not outcome.source:
            self.notes[f"from {sender}: marked for masquerading, but not masqueraded"] = None

    def _end(self, outcome: Outcome, at: str, edges: list[int]) -> Node | None:
        """Return where a packet ends beyond the last node, None for what the graph shows."""
        if outcome.verdict == "accepted":
            return self._accepted(outcome, at, edges)
        if outcome.verdict == "undecided":
            by = outcome.undecided_by
            return Node(f"end:undecided:{by}", "undecided", f"undecided: depends on {by}")
        step, policy = decision(outcome)
        if step is None:
            return Node(f"end:dropped:{policy}", "dropped", f"dropped by the policy of {policy}")
        kind: NodeKind = "rejected" if outcome.verdict == "rejected" else "dropped"
        number = self.made.ways.get((step.rule.chain, step.rule.text))
        if number is not None and self.made.edges[number].source == at:
            edges.append(number)
            return None
        own = self.view.rules.owner(step.table, step.rule) == self.made.key
        if self.made.nodes[at].kind == kind or (own and self._ended(at, kind, edges)):
            return None
        rule = f"{step.table}: {step.rule}"
        return Node(f"end:{kind}:{rule}", kind, f"{kind} by a rule of {step.rule.chain}", rule)

    def _accepted(self, outcome: Outcome, at: str, edges: list[int]) -> Node | None:
        node = self.made.nodes[at]
        if not outcome.destination:
            return None if self._ended(at, "passed", edges) else NOT_TRANSLATED
        if node.kind == "endpoint" and node.words == outcome.destination:
            return None
        host = outcome.destination.rpartition(":")[0].strip("[]")
        detail = self.names.get(host, f"no endpoint of {self.made.key}")
        key = f"endpoint:{outcome.destination}"
        return Node(key, "endpoint", outcome.destination, detail)

    def _ended(self, at: str, kind: str, edges: list[int]) -> bool:
        """Say whether the graph has such an end after a node; the way is led there."""
        if self.made.nodes[at].kind == kind:
            return True
        for number in self.made.leaving(at):
            if self.made.nodes[self.made.edges[number].target].kind == kind:
                edges.append(number)
                return True
        return False
