"""The evaluator against the kernel: rules are loaded, packets sent, and both answers compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from compiler.family import Family
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import BUILTIN_CHAINS, Ruleset
from compiler.netfilter.targets.other import GoesOn
from tests.kernel.wire import GONE, HOST, NODE, NODE6, Fate, Wire, lists_of, program

_FOREIGN = Path(__file__).parent / "foreign"
_ANSWERING = ("OUTPUT", "POSTROUTING", "PREROUTING", "INPUT")
_SEEN_AS = {"input": "deliver", "forward": "forward"}

Place = tuple[str, str, int]
"""A rule by its table, its chain and its place there."""


def foreign_names(family: Family) -> list[str]:
    """Return the names of what others load beside kube-proxy's rules."""
    return sorted(path.stem for path in _FOREIGN.glob(f"*.{family}"))


def foreign_text(name: str, family: Family) -> str:
    return (_FOREIGN / f"{name}.{family}").read_text()


def agrees(outcome: Outcome, packet: Packet, fate: Fate) -> bool:
    """Say whether what the kernel did is what an outcome says."""
    if outcome.verdict == "dropped":
        return fate == GONE
    if outcome.verdict == "rejected":
        # what was masqueraded on its way to the node itself is answered to nobody
        lost = packet.local and outcome.source != "" and fate == GONE
        return lost or (fate.kind, fate.answer) == ("answer", outcome.answer)
    address, port = packet.destination, packet.destination_port
    if outcome.destination:
        address, _, printed = outcome.destination.rpartition(":")
        address, port = address.strip("[]"), int(printed)
    return (
        outcome.verdict == "accepted"
        and fate.kind == _SEEN_AS[outcome.delivery]
        and (fate.destination, fate.destination_port) == (address, port)
        and _has_source(outcome, packet, fate)
    )


def _has_source(outcome: Outcome, packet: Packet, fate: Fate) -> bool:
    """Say whether a packet came with the source that an outcome says."""
    same = (fate.source, fate.source_port) == (packet.source, packet.source_port)
    if not outcome.source:
        return same
    if outcome.source != "masquerade":
        return fate.source == outcome.source
    # where the address is the one that it would be made, only another port shows it
    hidden = packet.source in (*NODE, *NODE6, "::1") and "--random-fully" not in outcome.options
    return fate.source in (*NODE, *NODE6, "::1") and (not same or hidden)


@dataclass
class Loaded:
    """Rules in the kernel and as values, and how often each was passed: at least, and at most."""

    wire: Wire
    program: str
    ruleset: Ruleset
    least: dict[Place, int] = field(default_factory=dict)
    most: dict[Place, int] = field(default_factory=dict)
    answers: int = 0
    resets: int = 0
    places: dict[int, Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = {
            id(rule): (table, name, place)
            for table, chains in self.ruleset.tables.items()
            for name, chain in chains.items()
            for place, rule in enumerate(chain.rules)
        }

    @property
    def remembers(self) -> bool:
        """Whether one packet's way depends on earlier ones from the same address."""
        return any(
            "-m recent" in text
            for chains in self.ruleset.tables.values()
            for chain in chains.values()
            for text in chain.texts()
        )

    def try_packets(
        self, packets: Sequence[Packet]
    ) -> list[tuple[Packet, tuple[Outcome, ...], Fate]]:
        """Send packets and return what was said of each and what became of it.

        Where rules remember addresses, no two of a round have the same one.
        """
        rounds = _rounds(packets) if self.remembers else [list(packets)]
        found = []
        for some in rounds:
            listed = self.wire.listed() if self.remembers else {}
            asked = [_with_lists(packet, listed) for packet in some]
            said = [evaluate(self.ruleset, packet, HOST) for packet in asked]
            seen = [any(o.verdict != "dropped" for o in outcomes) for outcomes in said]
            fates = self.wire.send(asked, seen.__getitem__)
            found += list(zip(asked, said, fates, strict=True))
        for packet, outcomes, fate in found:
            self._count(packet, outcomes, fate)
        return found

    def fits(self, outcome: Outcome, packet: Packet, fate: Fate) -> bool:
        """Say whether what the kernel did is what an outcome says, as far as it could be seen.

        What the node answers is lost where a policy drops it on its way.
        """
        silent = self._drops("OUTPUT", "POSTROUTING")
        # what the node answers itself comes in again
        silent = silent or (packet.local and self._drops("PREROUTING", "INPUT"))
        lost = silent and outcome.verdict == "rejected" and fate == GONE
        return lost or agrees(outcome, packet, fate)

    def _drops(self, *hooks: str) -> bool:
        """Say whether the policy of one of these chains drops packets."""
        return any(
            chain.policy == "DROP"
            for chains in self.ruleset.tables.values()
            for name, chain in chains.items()
            if name in hooks
        )

    def _count(self, packet: Packet, outcomes: Iterable[Outcome], fate: Fate) -> None:
        """Note the rules that the packet has passed, by the outcomes that fit what was seen."""
        fitting = [outcome for outcome in outcomes if self.fits(outcome, packet, fate)]
        passed = [[self.places[id(step.rule)] for step in outcome.path] for outcome in fitting]
        for place in {place for path in passed for place in path}:
            counts = [path.count(place) for path in passed]
            self.least[place] = self.least.get(place, 0) + min(counts)
            self.most[place] = self.most.get(place, 0) + max(counts)
        rejected = any(outcome.verdict == "rejected" for outcome in fitting)
        self.answers += rejected or fate.kind in ("answer", "deliver")
        self.resets += fate.answer == "tcp-reset"

    def miscounted(self) -> list[str]:
        """Return the rules whose counter in the kernel is not what the evaluator's paths add up to.

        What the node itself answers passes OUTPUT as well, and where it goes to the node, INPUT;
        a reset of REJECT belongs to a connection that no nat rule has seen on its way out
        (IP_CT_RELATED in `nf_nat_inet_fn`).
        """
        counted = _counters(self.wire.shell(f"{self.program}-save -c"))
        answered = self._reached([(t, h) for t in ("raw", "mangle", "filter") for h in _ANSWERING])
        reset = self._reached([("nat", "POSTROUTING")])
        found = []
        for table, chains in self.ruleset.tables.items():
            for name, chain in chains.items():
                # an answer over loopback that is not tracked may be rejected, and answered, in turn
                noise = 2 * self.answers if (table, name) in answered else 0
                noise += self.resets if (table, name) in reset else 0
                counts = counted.get((table, name), [])
                for place, (rule, packets) in enumerate(zip(chain.rules, counts, strict=True)):
                    if rule.target is None or isinstance(rule.target, GoesOn):
                        continue
                    least = self.least.get((table, name, place), 0)
                    most = self.most.get((table, name, place), 0) + noise
                    if not least <= packets <= most:
                        found.append(f"{table}: {rule}: {least} to {most} said, {packets} counted")
        return found

    def _reached(self, waiting: list[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the chains that some lead to, and these."""
        found = set()
        while waiting:
            table, name = waiting.pop()
            if (table, name) not in found:
                found.add((table, name))
                rules = self.ruleset.rules(table, name)
                waiting += [(table, rule.jumps_to) for rule in rules if rule.jumps_to]
        return found


def _counters(saved: str) -> dict[tuple[str, str], list[int]]:
    """Return the packets that each rule has counted, by table and chain."""
    found: dict[tuple[str, str], list[int]] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("["):
            counts, _, chain, _ = line.split(" ", 3)
            found.setdefault((table, chain), []).append(int(counts[1:].partition(":")[0]))
    return found


def _with_lists(packet: Packet, listed: Mapping[str, Mapping[str, int]]) -> Packet:
    return replace(packet, lists=lists_of(listed, packet.source))


def _rounds(packets: Sequence[Packet]) -> list[list[Packet]]:
    rounds: list[list[Packet]] = []
    for packet in packets:
        for some in rounds:
            if all(packet.source != other.source for other in some):
                some.append(packet)
                break
        else:
            rounds.append([packet])
    return rounds


def load(
    wire: Wire,
    backend: str,
    family: Family,
    text: str,
    foreign: str = "",
    like: Ruleset | None = None,
) -> Loaded:
    """Put rules into the kernel in place of all others, and then what others load beside them.

    `like` are rules that most of them equal (`parse_rules`).
    """
    name = program(backend, family)
    ruleset = parse_rules(text, family=family, like=like)
    emptied = _EMPTY if foreign or name in wire.foreign else ""
    wire.shell(f"{name}-restore", text + emptied)
    wire.foreign.discard(name)
    if foreign:
        wire.foreign.add(name)
        wire.shell(f"{name}-restore --noflush", foreign)
        ruleset = parse_rules(foreign, onto=ruleset)
    return Loaded(wire, name, ruleset)


# Tables that kube-proxy does not write to.
_EMPTY = "".join(
    f"*{table}\n"
    + "".join(f":{hook} ACCEPT [0:0]\n" for hook in BUILTIN_CHAINS[table])
    + "COMMIT\n"
    for table in ("raw", "mangle")
)


def chi_squared(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Return how often shares give counts that are as far from them as these, or farther.

    The tail of the chi-squared distribution (Abramowitz and Stegun, 26.4.4 and 26.4.5).
    """
    total = sum(counts.values())
    if set(counts) - set(shares):
        return 0.0
    x = sum((counts.get(n, 0) - total * s) ** 2 / (total * s) for n, s in shares.items())
    freedom = len(shares) - 1
    if freedom == 0:
        return 1.0
    if freedom % 2 == 0:
        terms = ((x / 2) ** k / math.factorial(k) for k in range(freedom // 2))
        return math.exp(-x / 2) * sum(terms)
    tail = math.erfc(math.sqrt(x / 2))
    term = math.sqrt(2 * x / math.pi) * math.exp(-x / 2)
    for k in range(1, (freedom - 1) // 2 + 1):
        tail += term
        term *= x / (2 * k + 1)
    return tail
