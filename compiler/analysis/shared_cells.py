"""One answer for the packets of several nodes, where no rule tells these nodes apart.

The packets of a cell's row differ in few things from node to node: the sender's address, and for
node ports the node's own. They are followed as one set through the rules of one node. Where a rule
tells members of the set apart, or the answer depends on more than that, there is none. It then
holds for every node on which all that was asked of the first node's rules has the same answer: the
same chains with the same rules for the addresses in question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from msgspec.structs import replace

from compiler.analysis.cells import Asked, decided
from compiler.kube_rules.senders import Sender
from compiler.netfilter.chain import Chain
from compiler.netfilter.evaluate import Packet, follow
from compiler.netfilter.host import Host
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import Ranges, Split
from compiler.netfilter.work import TooMuchWorkError, Work

Place = tuple[str, str]
"""A chain by its table and its name."""
_WORK = 100_000


class WatchedRules:
    """A ruleset that notes what is asked of it: chains, and which rules of them."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.plain = ruleset
        self.asked: dict[Place, dict[tuple[int | None, int | None], Sequence[Rule]]] = {}
        tables = {name: _WatchedTable(self, name) for name in _TABLES}
        self.ruleset = replace(ruleset, tables=tables)
        self._same: dict[tuple[int, Place], bool] = {}

    def agrees(self, other: WatchedRules) -> bool:
        """Say whether another ruleset answers all that was asked of this one as this one did."""
        return all(
            self._equal(other, place) or self._alike(other, place, asked)
            for place, asked in self.asked.items()
        )

    def _equal(self, other: WatchedRules, place: Place) -> bool:
        key = (id(other), place)
        if (known := self._same.get(key)) is None:
            mine, theirs = self.plain.chain(*place), other.plain.chain(*place)
            if mine is None or theirs is None:
                known = mine is theirs
            else:
                known = mine.policy == theirs.policy and mine.same_rules(theirs)
            self._same[key] = known
        return known

    def _alike(
        self,
        other: WatchedRules,
        place: Place,
        asked: Mapping[tuple[int | None, int | None], Sequence[Rule]],
    ) -> bool:
        mine, theirs = self.plain.chain(*place), other.plain.chain(*place)
        if mine is None or theirs is None or mine.policy != theirs.policy:
            return False
        return all(
            _for_it(rules, *address) == _for_it(theirs.asking(*address), *address)
            for address, rules in asked.items()
        )


def _for_it(rules: Sequence[Rule], address: int | None, port: int | None) -> list[str]:
    """Return the texts of the rules that are not surely for another address or port."""
    return [rule.text for rule in rules if not _of_another(rule, address, port)]


def _of_another(rule: Rule, address: int | None, port: int | None) -> bool:
    there = rule.header.destination
    if (
        address is not None
        and there is not None
        and (there.low <= address <= there.high) is there.negated
    ):
        return True
    return port is not None and any(
        (match.destination_ports[0] <= port <= match.destination_ports[1])
        is match.destination_negated
        for match in rule.matches
        if isinstance(match, PortMatch) and match.destination_ports is not None
    )


class _WatchedTable(Mapping[str, Chain]):
    def __init__(self, watched: WatchedRules, name: str) -> None:
        self._watched, self._name = watched, name
        self._plain = watched.plain.table(name)
        self._made: dict[str, Chain] = {}

    def get(self, name: str, default: object = None) -> Chain | None:  # type: ignore[override]
        del default
        asked = self._watched.asked.setdefault((self._name, name), {})
        found = self._made.get(name)
        if found is None:
            if (plain := self._plain.get(name)) is None:
                return None
            found = self._made[name] = _WatchedChain(plain)
        assert isinstance(found, _WatchedChain)  # noqa: S101  # no other is put there
        found.asked = asked
        return found

    def __getitem__(self, name: str) -> Chain:
        if (found := self.get(name)) is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)


class _WatchedChain(Chain):
    __slots__ = ("asked", "plain")

    def __init__(self, plain: Chain) -> None:
        super().__init__(plain.name, plain.content, policy=plain.policy)
        self.plain = plain
        self.asked: dict[tuple[int | None, int | None], Sequence[Rule]] = {}

    def asking(self, destination: int | None, port: int | None) -> Sequence[Rule]:
        found = self.asked.get((destination, port))
        if found is None:
            found = self.asked[destination, port] = self.plain.asking(destination, port)
        return found


# All that packets pass.
_TABLES = ("raw", "mangle", "nat", "filter", "security")


def follow_set(
    watched: WatchedRules,
    packet: Packet,
    senders: Sequence[Sender],
    destinations: Sequence[str],
    host: Host,
) -> Asked | None:
    """Say what becomes of the packets of several nodes; None where there is no one answer.

    `senders` are those of all nodes, all by one interface. `host` has the addresses of all nodes,
    or none where the destinations are the nodes' own.
    """
    watched.asked = {}
    traffic = replace(
        packet.traffic(),
        source=_ranges(sender.address for sender in senders),
        destination=_ranges(destinations),
        source_local=packet.local,
    )
    # only where the nodes' addresses are not given there is something to ask
    splitting = host.addresses is None
    try:
        outcomes = follow(watched.ruleset, traffic, host, splitting=splitting, work=Work(_WORK))
    except (Split, TooMuchWorkError):
        return None
    # what goes to one of the nodes is delivered there, and forwarded by the others
    reached = {outcome.destination.rpartition(":")[0].strip("[]") for outcome in outcomes}
    reached.update(outcome.source for outcome in outcomes)
    if host.addresses and not host.addresses.isdisjoint({*reached, *destinations}):
        return None
    own = {*destinations, "destination"}
    cell = decided(outcomes, lambda address: True if address in own else None)
    if any(result.kind == "undecided" for result in cell):
        return None
    remembers = any(name.startswith("+") for outcome in outcomes for name in outcome.lists)
    return Asked(cell, remembers)


def _ranges(addresses: Iterator[str] | Sequence[str]) -> Ranges:
    """Return addresses as ranges, in order, those in a row as one."""
    found: list[tuple[int, int]] = []
    for number in sorted({int(ip_address(address)) for address in addresses}):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
