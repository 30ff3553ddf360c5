"""What a chain, a rule, an address or a port on a node means, and which field it is due to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from compiler.analysis.asked import Asked, read_asked
from compiler.analysis.causes import Cause, Causes
from compiler.analysis.names import Endpoint, Entry, Names, Port
from compiler.analysis.on_node import OnNode
from compiler.analysis.rule_facts import Facts, facts_of, said
from compiler.kube_rules.chain_kinds import CHAINS
from compiler.kube_rules.rule_kinds import kind_of
from compiler.kube_rules.rule_line import GROUPS, RuleLine, chain_group
from compiler.manifests.schema import Node
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.single import same_rules

_BUILT_IN = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
_UNKNOWN_CHAINS = {
    "KUBE-SEP": "the chain of one endpoint",
    "KUBE-SVC": "the chain of a service port: its endpoints on any node",
    "KUBE-SVL": "the chain of a service port: its endpoints on this node",
    "KUBE-EXT": "the chain of a service port: its node ports, external and load-balancer IPs",
    "KUBE-FW": "the chain of a service port: its source ranges",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one thing is.

    `subject` is the thing, `text` what it is or does. `service_port` names the service port that it
    belongs to (`default/web:http`, with `/udp` or `/sctp`), empty for the whole node. `causes` are
    the fields that it is due to, `chains` the chains of a service port with what each does, and
    `notes` what else a reader must know: that this node lacks it, say.
    """

    subject: str
    text: str
    service_port: str = ""
    causes: tuple[Cause, ...] = ()
    chains: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked and what it means; `unknown` says what of it was found nowhere."""

    asked: Asked
    meanings: tuple[Meaning, ...]
    unknown: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether all of it was found."""
        return bool(self.meanings) and not self.unknown


@dataclass
class Known:
    """What a question is answered from.

    `searched` says it in words, empty where nothing was given. `rules` are the rules of the node,
    parsed or compiled when they are first needed; `rules_name` is what they are called.
    """

    names: Names = field(default_factory=Names)
    causes: Causes = field(default_factory=lambda: Causes(None, None, {}))
    on_node: OnNode | None = None
    searched: str = ""
    rules: Callable[[], Ruleset] | None = None
    rules_name: str = ""


def answer(asked: Asked, known: Known) -> Answer:
    """Answer one question."""
    return _Answers(known).answer(asked)


class _Answers:
    def __init__(self, known: Known) -> None:
        self._known = known
        self._names = known.names

    def answer(self, asked: Asked) -> Answer:
        if asked.kind == "text":
            return self._text(asked)
        finders: dict[str, Callable[[Asked], Iterator[Meaning]]] = {
            "chain": self._chain,
            "hash": self._hash,
            "rule": self._rule,
            "address": self._address,
            "port": self._port,
            "service": self._service,
        }
        self._unknown: list[str] = []
        meanings = tuple(finders[asked.kind](asked))
        if not meanings and not self._unknown:
            self._miss(asked.text)
        return Answer(asked, meanings, tuple(self._unknown))

    def _miss(self, subject: str, what: str = "") -> None:
        where = self._known.searched
        of = f": {what}" if what else ""
        if where:
            self._unknown.append(f"{subject}{of}: not found in {where}")
        else:
            self._unknown.append(f"{subject}{of}: give manifests or rules to find out which")

    def _text(self, asked: Asked) -> Answer:
        """Explain every name in a line of other text."""
        from compiler.analysis.annotate import names_on

        answers = [self.answer(read_asked(name)) for name in names_on(asked.text)]
        meanings = tuple(dict.fromkeys(m for one in answers for m in one.meanings))
        missed = tuple(dict.fromkeys(u for one in answers for u in one.unknown))
        if not answers:
            missed = (f"no chain, address or port in it: {asked.text}",)
        # other text has addresses of anything; a chain of kube-proxy's that is unknown matters
        matters = tuple(one for one in missed if one.startswith("KUBE-")) if meanings else missed
        return Answer(asked, meanings, matters)

    def _chain(self, asked: Asked) -> Iterator[Meaning]:
        group = chain_group(asked.name)
        if group in GROUPS:
            facts = self._facts_of_chain(asked.name)
            if facts.port is None:
                self._miss(asked.name, _UNKNOWN_CHAINS[group])
                return
            yield self._meaning(asked.name, asked.name, facts)
        elif asked.name in CHAINS:
            kind = CHAINS[asked.name]
            yield Meaning(asked.name, kind.does, causes=self._causes(kind.causes, Facts()))
        elif asked.name in _BUILT_IN:
            yield Meaning(
                asked.name, "a built-in chain; kube-proxy adds jumps to its own at the top"
            )
        else:
            self._unknown.append(f"{asked.name}: not one of kube-proxy's or kubelet's chains")

    def _hash(self, asked: Asked) -> Iterator[Meaning]:
        if port := self._names.ports.get(asked.name):
            yield self._port_meaning(asked.name, port)
        elif f"KUBE-SEP-{asked.name}" in self._names.endpoints:
            yield from self._chain(replace(asked, name=f"KUBE-SEP-{asked.name}"))
        else:
            self._miss(asked.name, "the hash of a service port or an endpoint")

    def _facts_of_chain(self, chain: str) -> Facts:
        if endpoint := self._names.endpoints.get(chain):
            return Facts(endpoint.port, endpoint)
        return Facts(self._names.ports.get(chain[-16:]))

    def _meaning(self, subject: str, chain: str, facts: Facts) -> Meaning:
        """Explain a chain of a service port or an endpoint."""
        kind = CHAINS[chain_group(chain)]
        assert facts.port is not None  # noqa: S101  # the caller found it
        return Meaning(
            subject,
            said(kind.does, facts),
            str(facts.port),
            self._causes(kind.causes, facts),
            notes=self._absence(chain, facts),
        )

    def _absence(self, chain: str, facts: Facts) -> tuple[str, ...]:
        node = self._known.on_node
        if node is None or facts.port is None or chain_group(chain) == chain:
            return ()
        note = node.absence(chain, facts.port, facts.endpoint)
        return (note,) if note else ()

    def _causes(self, causes: tuple[str, ...], facts: Facts) -> tuple[Cause, ...]:
        found = self._known.causes.find(causes, facts.port, facts.endpoint, facts.address)
        return tuple(dict.fromkeys(found))

    def _rule(self, asked: Asked) -> Iterator[Meaning]:
        rule = asked.rule
        assert rule is not None  # noqa: S101  # what makes it a rule
        kind = kind_of(rule)
        subject = f"a rule of {rule.chain}"
        if kind is None:
            self._unknown.append(f"{subject}: not one that kube-proxy writes: {asked.text}")
            return
        facts, notes = facts_of(rule, self._names)
        if "{port}" in kind.does and facts.port is None:
            named = next((n for n in (rule.chain, rule.target) if chain_group(n) in GROUPS), "")
            self._miss(named or subject, _UNKNOWN_CHAINS.get(chain_group(named), ""))
            facts = facts._replace(port=Port("an unknown Service", ""))
        yield Meaning(
            subject,
            said(kind.does, facts, rule),
            str(facts.port or "") if "{port}" in kind.does else "",
            self._causes(kind.causes, facts),
            notes=(*notes, *self._absence(rule.chain, facts), *self._whether_there(asked, rule)),
        )

    def _whether_there(self, asked: Asked, rule: RuleLine) -> Iterator[str]:
        """Say whether the rules that were given have this very rule."""
        if self._known.rules is None or (self._known.on_node and self._absent(rule.chain)):
            return
        if not same_rules(self._known.rules(), rule.chain, asked.text):
            yield f"{self._known.rules_name} do not have this very rule in {rule.chain}"

    def _absent(self, chain: str) -> bool:
        node = self._known.on_node
        return node is not None and chain_group(chain) in GROUPS and not node.has(chain)

    def _address(self, asked: Asked) -> Iterator[Meaning]:
        entries = self._names.addresses.get(asked.address, [])
        of_node = any(isinstance(entry.of, Node) for entry in entries)
        port = int(asked.port or 0)
        fitting = [e for e in entries if _fits(e, port, asked.protocol)]
        if of_node and port:
            fitting += [
                e for e in self._names.numbers.get(port, ()) if _fits(e, port, asked.protocol)
            ]
        for entry in fitting:
            yield self._entry(asked.text, entry)
        if not fitting and entries:
            first = _what(entries[0])
            self._unknown.append(f"{asked.text}: {asked.address} is {first}; not with this port")

    def _port(self, asked: Asked) -> Iterator[Meaning]:
        number = int(asked.port)
        rest = (entry for some in self._names.addresses.values() for entry in some)
        for entry in (*self._names.numbers.get(number, ()), *rest):
            if entry.number == number and _fits(entry, number, asked.protocol):
                yield self._entry(asked.text, entry)

    def _entry(self, subject: str, entry: Entry) -> Meaning:
        """Explain an address or a port of a service port, an endpoint or a node."""
        if isinstance(entry.of, Node):
            origin = self._known.causes.field(entry.of, entry.path)
            name = entry.of.metadata.name if entry.of.metadata else ""
            return Meaning(subject, f"an address of Node {name}", causes=(Cause(origin, True),))
        if isinstance(entry.of, Endpoint):
            chain = self._sep_of(entry.of)
            made = self._meaning(subject, chain, Facts(entry.of.port, entry.of))
            return replace(made, chains=((chain, "its chain"),))
        made = self._port_meaning(subject, entry.of)
        causes = list(made.causes)
        if entry.of.service is not None and entry.path:
            causes.insert(0, Cause(self._known.causes.field(entry.of.service, entry.path), True))
        return replace(made, text=_what(entry), causes=tuple(dict.fromkeys(causes)))

    def _sep_of(self, endpoint: Endpoint) -> str:
        from compiler.proxy.chain_name import chain_names

        key = f"{endpoint.port.name}{endpoint.port.protocol}{endpoint.address}"
        (computed,) = chain_names("KUBE-SEP-", [key])
        chains = self._names.chains_of.get(endpoint.port[:2], [])
        return next((c for c in chains if self._names.endpoints[c] is endpoint), computed)

    def _service(self, asked: Asked) -> Iterator[Meaning]:
        for port in self._names.ports.values():
            name, _, port_name = port.name.partition(":")
            if name != asked.name or asked.protocol not in {"", port.protocol}:
                continue
            if asked.port in {"", port_name, _number(port)}:
                yield self._port_meaning(str(port), port)

    def _shown_chains(self, hashed: str) -> list[str]:
        """Return the chains of a service port that rules show."""
        shown = self._names.chains
        names = [f"{group}-{hashed}" for group in ("KUBE-SVC", "KUBE-SVL", "KUBE-EXT", "KUBE-FW")]
        return names[:1] if shown is None else [name for name in names if name in shown]

    def _port_meaning(self, subject: str, port: Port) -> Meaning:
        """Explain a service port with all its chains."""
        hashed = self._names.hashes.get(port[:2], "")
        node = self._known.on_node
        own = node.chains_with(hashed) if node else self._shown_chains(hashed)
        chains = [(name, said(CHAINS[chain_group(name)].does, Facts(port))) for name in own]
        chains += [
            (name, f"endpoint {self._names.endpoints[name].address}")
            for name in self._names.chains_of.get(port[:2], [])
            if node is None or node.has(name)
        ]
        notes: tuple[str, ...] = ()
        if node is not None and not own:
            note = node.absence(f"KUBE-SVC-{hashed}", port, None)
            notes = (note.replace("not on", "no chains on", 1),)
        causes = self._causes(("ports.port", "spec.clusterIP"), Facts(port))
        return Meaning(subject, f"service port {port}", str(port), causes, tuple(chains), notes)


def _number(port: Port) -> str:
    spec = port.service.spec if port.service else None
    return str(spec.ports[port.place].port or "") if spec and spec.ports else ""


def _fits(entry: Entry, port: int, protocol: str) -> bool:
    of = entry.of.port if isinstance(entry.of, Endpoint) else entry.of
    mine = of.protocol if isinstance(of, Port) else ""
    if protocol and mine and mine != protocol:
        return False
    return not port or entry.number == port or isinstance(entry.of, Node)


def _what(entry: Entry) -> str:
    """Say what an address or port is: `the cluster IP of default/web:http, port 80`."""
    if isinstance(entry.of, Node):
        return f"an address of Node {entry.of.metadata.name if entry.of.metadata else ''}"
    if isinstance(entry.of, Endpoint):
        return f"endpoint {entry.of.address} of {entry.of.port}"
    if "port" in entry.what:
        return f"the {entry.what} of {entry.of}"
    article = "the" if entry.what == "cluster IP" else "a" if entry.what[0] == "l" else "an"
    return f"{article} {entry.what} of {entry.of}" + (f", port {entry.number}" * bool(entry.number))
