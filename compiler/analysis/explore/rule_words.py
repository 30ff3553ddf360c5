"""A rule word by word: what each of its matches asks, and what its target does, by their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from compiler.analysis.names import Endpoint, Entry, Names
from compiler.kube_rules.chain_kinds import CHAINS
from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.endpoints import recent_of
from compiler.kube_rules.rule_line import chain_group
from compiler.manifests.schema import Node
from compiler.netfilter.header import Header, Interface, Network
from compiler.netfilter.match import Match
from compiler.netfilter.matches.addrtype import AddressType
from compiler.netfilter.matches.conntrack import Conntrack
from compiler.netfilter.matches.inert import Accounting, Comment
from compiler.netfilter.matches.mark import Mark
from compiler.netfilter.matches.ports import Multiport, PortMatch
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.matches.statistic import Statistic
from compiler.netfilter.rule import Rule
from compiler.netfilter.target import Jump, Reject, Target, Verdict
from compiler.netfilter.targets.mark import SetMark
from compiler.netfilter.targets.nat import Dnat, Snat

Words = tuple[str, str]
"""Words of a rule, and what they do; empty where nothing is known of them."""

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = (
    *("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"),
    *("ninth", "tenth"),
)
_ROUNDING = Fraction(1, 10**6)
_STATES = {
    "NEW": "the first packet of a connection",
    "ESTABLISHED": "a later packet of a connection",
    "RELATED": "of a connection that belongs to another one (an ICMP error, say)",
    "INVALID": "of no connection that conntrack knows or could begin",
    "UNTRACKED": "not tracked",
    "DNAT": "of a connection whose destination was translated",
    "SNAT": "of a connection whose source was translated",
}


@dataclass(frozen=True)
class Context:
    """What is known of where a rule is.

    `rules` are all of its chain, `names` what addresses and chains mean, `pods` and `pod_interface`
    by what rules recognize Pods, and `mark` is the one for masquerading.
    """

    rules: Sequence[Rule] = ()
    names: Names = field(default_factory=Names)
    pods: Network | None = None
    pod_interface: str = ""
    mark: int | None = None

    def address(self, address: str) -> str:
        """Say what an address is, empty where that is not known."""
        entries = self.names.addresses.get(address, ())
        said = list(dict.fromkeys(_what(entry) for entry in entries))
        more = f" and {len(said) - 1} more" if len(said) > 1 else ""
        return f", {said[0]}{more}" if said else ""

    def chain(self, chain: str) -> str:
        """Say what the chain of an endpoint is, empty where that is not known."""
        endpoint = self.names.endpoints.get(chain)
        return f"the chain of endpoint {endpoint.address}" if endpoint else ""


def _what(entry: Entry) -> str:
    if isinstance(entry.of, Node):
        return f"an address of Node {entry.of.metadata.name if entry.of.metadata else ''}"
    if isinstance(entry.of, Endpoint):
        return f"endpoint {entry.of.address} of {entry.of.port}"
    return f"the {entry.what} of {entry.of.name.partition(':')[0]}"


def rule_words(rule: Rule, context: Context) -> list[Words]:
    """Explain a rule's words, in their order; joined by single spaces they are the rule."""
    found: list[Words] = [(f"-A {rule.chain}", _chain(rule.chain, context))]
    header = rule.header
    singles = (
        Header(source=header.source),
        Header(destination=header.destination),
        Header(in_interface=header.in_interface),
        Header(out_interface=header.out_interface),
        Header(protocol=header.protocol),
        Header(fragment=header.fragment),
    )
    for one in singles:
        found += [(words, _asked(one, rule, context)) for words in one.words()]
    found += [(str(match), _match(match, rule, context)) for match in rule.matches]
    if rule.target is not None:
        found.append((str(rule.target), _target(rule.target, context)))
    whole = str(rule)
    if " ".join(words for words, _ in found) == whole:
        return found
    # printed in an order of its own: explained where the words are found
    return _in_order(whole, found)


def _in_order(whole: str, found: Sequence[Words]) -> list[Words]:
    placed = sorted((whole.find(words), words, said) for words, said in found)
    result: list[Words] = []
    at = 0
    for place, words, said in placed:
        if place < at:
            return [(whole, "")]
        if between := whole[at:place].strip():
            result.append((between, ""))
        result.append((words, said))
        at = place + len(words)
    if rest := whole[at:].strip():
        result.append((rest, ""))
    return result


def _chain(chain: str, context: Context) -> str:
    if said := context.chain(chain):
        return f"a rule of {said}"
    kind = CHAINS.get(chain)
    if kind is not None:
        return f"a rule of this chain: {kind.does}"
    if chain in _BUILT_IN:
        return f"a rule of the built-in chain for {_BUILT_IN[chain]}"
    return _group(chain, "a rule of ")


_BUILT_IN = {
    "PREROUTING": "packets as they come in by an interface",
    "INPUT": "packets to the node itself",
    "FORWARD": "packets that come in and go on to others",
    "OUTPUT": "packets of the node's own processes",
    "POSTROUTING": "packets as they leave",
}
_GROUPS = {
    "KUBE-SVC": "the chain that distributes connections among endpoints on any node",
    "KUBE-SVL": "the chain that distributes connections among endpoints on this node",
    "KUBE-EXT": "the chain for node ports, external and load-balancer IPs",
    "KUBE-FW": "the chain of source ranges",
    "KUBE-SEP": "the chain of one endpoint",
}


def _group(chain: str, before: str) -> str:
    if said := _GROUPS.get(chain_group(chain)):
        return before + said
    return f"{before}a chain that kube-proxy does not fill"


def _asked(one: Header, rule: Rule, context: Context) -> str:
    if one.source is not None:
        return _source(one.source, rule, context)
    if one.destination is not None:
        to = one.destination
        negated = "that do not go" if to.negated else "that go"
        return f"asks for packets {negated} to {_plain(to)}{context.address(_plain(to))}"
    if one.in_interface is not None:
        return _interface(one.in_interface, "come in", context)
    if one.out_interface is not None:
        return _interface(one.out_interface, "leave", context)
    if one.protocol is not None:
        negated = "not of" if one.protocol.negated else "of"
        return f"asks for packets {negated} the protocol {one.protocol.name}"
    return "asks for fragments behind the first" if one.fragment == "-f" else "asks for no such"


def _source(source: Network, rule: Rule, context: Context) -> str:
    pods = context.pods is not None and context.pods.printed == source.printed
    plain = _plain(source)
    if source.negated:
        who = ", the network of Pods: from anyone but a Pod" if pods else ""
        return f"asks for packets whose source is not in {plain}{who}"
    if pods:
        return f"asks for packets from {plain}, the network of Pods"
    if rule.chain.startswith(ENDPOINT_PREFIX):
        return f"asks for packets from {plain}: from this endpoint itself"
    if rule.chain.startswith("KUBE-FW-"):
        return f"asks for packets from {plain}, which the source ranges let in"
    return f"asks for packets from {plain}{context.address(plain)}"


def _plain(network: Network) -> str:
    return network.printed.partition("/")[0] if network.low == network.high else network.printed


def _interface(one: Interface, verb: str, context: Context) -> str:
    name = one.printed
    which = f"an interface whose name starts with {name[:-1]}" if name.endswith("+") else name
    mine = ", by which Pods are recognized" if name == context.pod_interface else ""
    negated = " not" if one.negated else ""
    return f"asks for packets that{' do' if negated else ''}{negated} {verb} by {which}{mine}"


def _match(match: Match, rule: Rule, context: Context) -> str:
    if isinstance(match, Statistic):
        return _chance(match, rule, context)
    if isinstance(match, Mark):
        return _mark(match, context)
    for kind, explain in _MATCHES:
        if isinstance(match, kind):
            return explain(match)
    return ""


def _chance(match: Statistic, rule: Rule, context: Context) -> str:
    share = match.probability
    part = _one_in(share)
    words = f"chance: takes {part} of the connections that reach this rule"
    dispatched = [
        one
        for one in context.rules
        if one.jumps_to.startswith(ENDPOINT_PREFIX) and not recent_of(one)
    ]
    place = next((at for at, one in enumerate(dispatched) if one.text == rule.text), None)
    if place is None:
        return words
    count = len(dispatched)
    left = count - place
    words += f": the {_ordinal(place + 1)} of {_number(count)} endpoints"
    if place and abs(share - Fraction(1, left)) < _ROUNDING:
        before = "rule before it has" if place == 1 else f"{_number(place)} rules before it have"
        words += f". The {before} taken {_number(place)} in {_number(count)} already"
        words += f", so this is one in {_number(count)} of all"
    return words


def _one_in(share: Fraction) -> str:
    if share and abs(share - Fraction(1, round(1 / share))) < _ROUNDING:
        return f"one in {_number(round(1 / share))}" if share < 1 else "all"
    return f"{float(share) * 100:.3g} %"


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _ordinal(place: int) -> str:
    if place < len(_ORDINALS):
        return _ORDINALS[place]
    ending = (
        "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    )
    return f"{place}{ending}"


def _recent(match: Recent) -> str:
    own = match.list_name.startswith(ENDPOINT_PREFIX)
    name = "this endpoint's list" if own else f"the list {match.list_name}"
    side = "client's address" if match.side == "source" else "destination address"
    if match.mode == "set":
        return f"puts the {side} on {name}, with the time: the client is remembered"
    if match.mode == "remove":
        return f"removes the {side} from {name}"
    negated = "is not" if match.negated else "is"
    within = f", seen in the last {match.seconds} s" if match.seconds else ""
    reap = "; older entries are removed" if match.reap else ""
    update = "; the time is updated" if match.mode == "update" else ""
    return f"asks whether the {side} {negated} on {name}{within}{reap}{update}"


def _mark(match: Mark, context: Context) -> str:
    if context.mark is not None and match.value == match.mask == context.mark:
        negated = "not " if match.negated else ""
        return f"asks for packets that are {negated}marked for masquerading (bit {match.value:#x})"
    negated = "not " if match.negated else ""
    covered = f"whose mark, as far as {match.mask:#x} covers it,"
    return f"asks for packets {covered} is {negated}{match.value:#x}"


def _address_type(match: AddressType) -> str:
    said = []
    for side, wanted in (("source", match.source), ("destination", match.destination)):
        if wanted is not None:
            kind = (
                "an address of this node" if wanted.value == "LOCAL" else f"of type {wanted.value}"
            )
            said.append(f"whose {side} is {'not ' if wanted.negated else ''}{kind}")
    return f"asks for packets {' and '.join(said)}"


def _states(match: Conntrack) -> str:
    if not match.states or match.other:
        return "asks conntrack what it knows of the connection"
    named = [f"{state} ({_STATES.get(state, '')})" for state in sorted(match.states)]
    verb = "is none of" if match.negated else "is"
    joined = " or ".join(named) if not match.negated else ", ".join(named)
    return f"asks for packets whose state in conntrack {verb} {joined}"


def _ports(match: PortMatch) -> str:
    said = []
    for side, ports, negated in (
        ("source", match.source_ports, match.source_negated),
        ("destination", match.destination_ports, match.destination_negated),
    ):
        if ports is not None:
            low, high = ports
            which = str(low) if low == high else f"{low} to {high}"
            said.append(f"{'other than ' if negated else ''}{side} port {which}")
    if match.flags or match.other:
        said.append("more of the header")
    return f"asks for {match.name.upper()} packets" + (f", {' and '.join(said)}" if said else "")


def _target(target: Target, context: Context) -> str:
    if isinstance(target, Jump):
        return _jump(target, context)
    if isinstance(target, SetMark):
        return _set_mark(target, context)
    for kind, explain in _TARGETS:
        if isinstance(target, kind):
            return explain(target)
    return ""


def _jump(target: Jump, context: Context) -> str:
    back = "" if target.goto else "; what is not decided there comes back to the next rule"
    if said := context.chain(target.name):
        return f"goes to {said}"
    if target.name == "KUBE-MARK-MASQ":
        return (
            "marks the packet for masquerading: its source becomes an address of this node when it "
            "leaves, so that the answer comes back through this node"
        )
    kind = CHAINS.get(target.name)
    if kind is not None:
        return f"goes to this chain: {kind.does}{back}"
    return _group(target.name, "goes to ") + back


def _set_mark(target: SetMark, context: Context) -> str:
    if target.value == context.mark == target.mask:
        return f"marks the packet for masquerading (bit {target.value:#x})"
    if target.value == context.mark and target.mask == 0:
        return f"removes the mark for masquerading (bit {target.value:#x}), so that it is done once"
    return (
        f"changes the packet's mark: bits {target.mask:#x} are cleared, {target.value:#x} flipped"
    )


def _translation(target: Dnat) -> str:
    return f"translates the destination to {target.to}; the packet goes on to the next table"


def _new_source(target: Snat) -> str:
    to = target.to or "an address of the interface that the packet leaves by"
    fully = "; the source port is chosen at random" if target.random_fully else ""
    return f"rewrites the source to {to}{fully}"


def _multiport(match: Multiport) -> str:
    return f"asks for packets {'not ' if match.negated else ''}of one of these ports"


_VERDICTS = {
    "DROP": "drops the packet: its sender gets no answer",
    "ACCEPT": "accepts the packet in this table: it goes on to the next one",
    "RETURN": "leaves this chain: on with the rule behind the jump to it",
}
_MATCHES: tuple[tuple[type[Match], Callable[[Any], str]], ...] = (
    (Comment, lambda _: "a comment for people; it asks nothing of packets"),
    (Accounting, lambda one: f"counts packets and bytes in the nfacct counter {one.counter}"),
    (Recent, _recent),
    (AddressType, _address_type),
    (Conntrack, _states),
    (PortMatch, _ports),
    (Multiport, _multiport),
)
_TARGETS: tuple[tuple[type[Target], Callable[[Any], str]], ...] = (
    (Dnat, _translation),
    (Snat, _new_source),
    (Reject, lambda one: f"rejects the packet: its sender gets {one.answer}"),
    (Verdict, lambda one: _VERDICTS.get(one.name, "")),
)
