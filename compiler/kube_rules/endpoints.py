"""A service port's own chains, read as endpoints, shares, source ranges and masquerading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.service_port import (
    Condition,
    Dispatch,
    Endpoint,
    EntryPoint,
    ExternalStep,
    Key,
    ServicePort,
    condition,
)
from compiler.netfilter.matches.ports import PortMatch
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.matches.statistic import Statistic
from compiler.netfilter.rule import Rule
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.targets.nat import Dnat

_MASQUERADE = "KUBE-MARK-MASQ"


def read_service_port(
    ruleset: Ruleset, key: Key, entry_points: Sequence[EntryPoint], hashes: Iterable[str]
) -> ServicePort:
    """Read the chains that end with a service port's hashes, and those of its endpoints."""
    reader = _Reader(ruleset)
    for hashed in hashes:
        reader.read(hashed)
    return ServicePort(
        key,
        tuple(entry_points),
        reader.dispatch.get("SVC"),
        reader.dispatch.get("SVL"),
        tuple(reader.external),
        tuple(reader.source_ranges) if reader.source_ranges is not None else None,
        tuple(reader.other),
    )


def translated_to(rules: Iterable[Rule]) -> str:
    """Return the address that an endpoint's chain translates to, empty where it does not."""
    return next((rule.target.to for rule in rules if isinstance(rule.target, Dnat)), "")


def recent_of(rule: Rule) -> Recent | None:
    """Return a rule's first question to an `xt_recent` list."""
    return next((match for match in rule.matches if isinstance(match, Recent)), None)


class _Reader:
    """Gathers what the chains of one service port hold."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.dispatch: dict[str, Dispatch] = {}
        self.external: list[ExternalStep] = []
        self.source_ranges: list[Condition] | None = None
        self.other: list[Rule] = []

    def read(self, hashed: str) -> None:
        """Read the chains that end with this hash."""
        for kind in ("SVC", "SVL"):
            if chain := self.ruleset.chain("nat", f"KUBE-{kind}-{hashed}"):
                self.dispatch[kind] = self._dispatch(chain.rules)
        for rule in self.ruleset.rules("nat", f"KUBE-EXT-{hashed}"):
            if rule.jumps_to:
                name = rule.jumps_to
                action = "masquerade" if name == _MASQUERADE else name[:8]
                self.external.append(ExternalStep(condition(rule), action))
            else:
                self.other.append(rule)
        if chain := self.ruleset.chain("nat", f"KUBE-FW-{hashed}"):
            self.source_ranges = []
            for rule in chain.rules:
                if rule.jumps_to == f"KUBE-EXT-{hashed}":
                    self.source_ranges.append(condition(rule))
                elif rule.target or rule.asking:
                    self.other.append(rule)

    def _dispatch(self, rules: Sequence[Rule]) -> Dispatch:
        """Follow an SVC or SVL chain: the rules take their share of what is left, in order."""
        left = Fraction(1)
        affinity: dict[str, int] = {}
        endpoints: list[Endpoint] = []
        masquerade: list[Condition] = []
        for rule in rules:
            target, asked = rule.jumps_to, condition(rule)
            if target == _MASQUERADE:
                masquerade.append(asked)
            elif (
                not target.startswith(ENDPOINT_PREFIX)
                or len(asked.matches) > 1
                or _asks_where(rule)
            ):
                self.other.append(rule)
            elif (recent := recent_of(rule)) and recent.mode == "rcheck":
                affinity[target] = recent.seconds
            elif (part := _part(asked)) is None:
                self.other.append(rule)
            elif self._returns(target):
                continue
            else:
                endpoints.append(self._endpoint(rule, left * part, affinity.get(target)))
                left -= left * part
        return Dispatch(tuple(endpoints), tuple(masquerade))

    def _returns(self, chain: str) -> bool:
        """Say whether an endpoint's chain has lost its translation.

        Its packets come back then, and the rules after the jump deal them out.
        """
        rules = self.ruleset.rules("nat", chain)
        return bool(rules) and not any(isinstance(rule.target, Dnat) for rule in rules)

    def _endpoint(self, jump: Rule, share: Fraction, affinity: int | None) -> Endpoint:
        """Read an endpoint's own chain; its address is where DNAT sends to."""
        hairpin = remembers = False
        chain = jump.jumps_to
        rules = self.ruleset.rules("nat", chain)
        for rule in rules:
            if rule.jumps_to == _MASQUERADE and rule.header.source:
                hairpin = True
            elif isinstance(rule.target, Dnat):
                recent = recent_of(rule)
                remembers = recent is not None and recent.mode == "set"
            else:
                self.other.append(rule)
        address = translated_to(rules) or jump.comment.partition(" -> ")[2] or chain
        return Endpoint(address, share, chain, affinity, hairpin, remembers)


def _asks_where(rule: Rule) -> bool:
    """Say whether a rule asks for an address or port, which `condition` leaves out."""
    ports = any(isinstance(match, PortMatch) for match in rule.asking)
    return ports or rule.header.destination is not None


def _part(asked: Condition) -> Fraction | None:
    """Return the part of a dispatching chain's packets that a jump takes, None where unclear."""
    if asked == Condition():
        return Fraction(1)
    if asked == Condition(matches=asked.matches) and isinstance(asked.matches[0], Statistic):
        return asked.matches[0].probability
    return None
