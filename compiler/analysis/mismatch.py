"""Differences between a node and its manifests that have one cause: reported once, as that cause.

A dump that is older or newer than the manifests knows other endpoints or service ports. Each shows
in a dozen rules (every probability of a chain changes with one endpoint), and a reader wants to see
the endpoint, not the rules. An explanation is only given where it explains all of a chain: what is
left of the chain must be what kube-proxy writes for the other set of endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from compiler.analysis.findings import Finding
from compiler.analysis.rule_diff import uncounted
from compiler.family import IPV4
from compiler.kube_rules.chains import ENDPOINT_PREFIX
from compiler.kube_rules.endpoints import recent_of
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.service_port import Key
from compiler.netfilter.chain import Chain
from compiler.netfilter.matches.recent import Recent
from compiler.netfilter.values import probability

# How many endpoints a message lists.
_LISTED = 5
_DISPATCHING = ("KUBE-SVC-", "KUBE-SVL-")

Place = tuple[str, str, str]


@dataclass(slots=True)
class Explained:
    """Findings on the level of service ports, and the rules and chains that they account for.

    `chains` are nat's; `missing` and `extra` are rules by table, chain and text.
    """

    findings: list[Finding] = field(default_factory=list)
    chains: set[str] = field(default_factory=set)
    missing: set[Place] = field(default_factory=set)
    extra: set[Place] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Survey:
    """Both sides, and the chains of nat that differ, are missing or came on top."""

    wanted: NodeRules
    there: NodeRules
    touched: frozenset[str]


def explain_services(
    wanted: NodeRules, there: NodeRules, touched: Iterable[str], *, names_differ: bool
) -> Explained:
    """Explain differences by service ports and endpoints that only one side knows.

    `touched` are the chains of nat that differ, are missing or came on top; `names_differ` says
    whether either side may have service ports that the other does not have. Nothing of a service
    port is looked at where neither top-level chains nor its own differ.
    """
    explained = Explained()
    if any("nat" not in side.ruleset.tables for side in (wanted, there)):
        return explained
    survey = _Survey(wanted, there, frozenset(touched))
    hashes = {side.hash_of(name) for name in survey.touched for side in (wanted, there)} - {""}
    owners = {hashed: _owner(hashed, survey) for hashed in hashes}
    only_one = {*wanted.keys} ^ {*there.keys} if names_differ else set()
    for key in sorted(only_one | set(owners.values())):
        if not names_differ:
            # the hashes of a service port are the same on both sides, and need not be looked up
            own = [hashed for hashed, owner in owners.items() if owner == key]
            _endpoints(key, (wanted.chains_of(own), there.chains_of(own)), survey, explained)
        elif not wanted.top_level_rules(key):
            if there.top_level_rules(key):
                _unknown_service(key, there, explained)
        elif not there.top_level_rules(key):
            _missing_service(key, survey, explained)
        else:
            _endpoints(key, (wanted.chains(key), there.chains(key)), survey, explained)
    return explained


def _places(side: NodeRules, key: Key) -> set[Place]:
    """Return the rules of top-level chains that belong to a service port."""
    return {(table, rule.chain, rule.text) for table, rule in side.top_level_rules(key)}


def _owner(hashed: str, survey: _Survey) -> Key:
    """Return the service port that a hash belongs to, on the node where only that has it."""
    chain = f"{_DISPATCHING[0]}{hashed}"
    key = survey.wanted.chain_owner(chain) or survey.there.chain_owner(chain)
    return key or Key(chain, "")


def _dispatching(chains: Iterable[Chain]) -> list[Chain]:
    """Return the SVC and SVL chains of a service port."""
    return [chain for chain in chains if chain.name.startswith(_DISPATCHING)]


def _size(side: NodeRules, key: Key) -> int:
    """Count the rules of a service port."""
    return len(side.top_level_rules(key)) + sum(map(len, side.chains(key)))


def _unknown_service(key: Key, there: NodeRules, explained: Explained) -> None:
    places, chains = _places(there, key), there.chains(key)
    if len(places) + len(chains) < 2:
        return
    message = (
        f"on the node ({_size(there, key)} rules), not in the manifests: the dump is older or newer"
    )
    line = min(rule.line for _, rule in there.top_level_rules(key))
    explained.findings.append(Finding("unknown-service", message, service=str(key), line=line))
    explained.extra |= places
    explained.chains.update(chain.name for chain in chains)


def _missing_service(key: Key, survey: _Survey, explained: Explained) -> None:
    wanted, there = survey.wanted, survey.there
    places, chains = _places(wanted, key), wanted.chains(key)
    held = there.ruleset.table("nat")
    if len(places) + len(chains) < 2 or any(chain.name in held for chain in chains):
        return
    # without its top-level chains the node lacks more than this service port
    if any(not there.ruleset.chain(table, chain) for table, chain, _ in places):
        return
    if any(not len(there.ruleset.table(table)[chain]) for table, chain, _ in places):
        return
    message = (
        f"in the manifests ({_size(wanted, key)} rules), not on the node:"
        " the dump is older or newer"
    )
    explained.findings.append(Finding("missing-service", message, service=str(key)))
    explained.missing |= places
    explained.chains.update(chain.name for chain in chains)


def _endpoints(
    key: Key,
    chains: tuple[Sequence[Chain], Sequence[Chain]],
    survey: _Survey,
    explained: Explained,
) -> None:
    """Explain a service port whose endpoints differ."""
    wanted, there = survey.wanted, survey.there
    ours, theirs = map(_dispatching, chains)
    if bool(ours) != bool(theirs):
        _all_endpoints(key, survey, explained)
        return
    reported: dict[tuple[str, str], None] = {}
    held = there.ruleset.table("nat")
    for before in ours:
        after = held.get(before.name)
        if after is None or not len(after):
            continue
        had, has = _targets(before), _targets(after)
        unknown = [name for name in has if name not in had]
        gone = [name for name in had if name not in has]
        if not (unknown or gone) or not _consistent(before, after, has):
            continue
        # large clusters keep chains of endpoints that went until the next full sync
        large = not before.rules[-1].comment
        left = [name for name in gone if name in held]
        if (left and not large) or not all(there.endpoint_address(name) for name in unknown):
            continue
        reported |= {("unknown-endpoint", there.endpoint_address(name)): None for name in unknown}
        reported |= {("missing-endpoint", wanted.endpoint_address(name)): None for name in gone}
        explained.chains.update((before.name, *unknown, *gone))
    for kind, address in reported:
        sides = ("on the node", "in the manifests")
        first, second = sides if kind == "unknown-endpoint" else sides[::-1]
        message = f"endpoint {address} is {first}, not {second}: the dump is older or newer"
        explained.findings.append(Finding(kind, message, "nat", service=str(key)))


def _all_endpoints(key: Key, survey: _Survey, explained: Explained) -> None:
    """Explain a service port that has endpoints on one side alone."""
    wanted, there = survey.wanted, survey.there
    missing = bool(_dispatching(wanted.chains(key)))
    side = wanted if missing else there
    chains = side.chains(key)
    if missing and any(chain.name in there.ruleset.table("nat") for chain in chains):
        return
    endpoints = [chain.name for chain in chains if chain.name.startswith(ENDPOINT_PREFIX)]
    listed = _listed(sorted({side.endpoint_address(name) for name in endpoints}))
    if missing:
        kind = "missing-endpoint"
        message = f"the node has no endpoints for it, the manifests have {listed}"
    else:
        kind = "unknown-endpoint"
        message = f"the manifests have no endpoints for it, the node has {listed}"
    explained.findings.append(Finding(kind, message, service=str(key)))
    explained.missing |= _places(wanted, key)
    explained.extra |= _places(there, key)
    explained.chains.update(chain.name for chain in chains)


def _listed(addresses: list[str]) -> str:
    more = len(addresses) - _LISTED
    return ", ".join(addresses[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _targets(chain: Chain) -> list[str]:
    """Return the endpoints' chains that a chain dispatches to, in order."""
    jumps = (name for name in chain.targets() if name.startswith(ENDPOINT_PREFIX))
    return list(dict.fromkeys(jumps))


def _consistent(expected: Chain, found: Chain, endpoints: list[str]) -> bool:
    """Say whether a chain is what kube-proxy writes for its endpoints, all else as expected."""
    rest = [
        [uncounted(rule) for rule in chain.rules if not rule.jumps_to.startswith(ENDPOINT_PREFIX)]
        for chain in (expected, found)
    ]
    if rest[0] != rest[1]:
        return False
    affinity = next(filter(None, map(recent_of, expected.rules)), None)
    dispatch = [rule.effect for rule in found.rules if rule.jumps_to.startswith(ENDPOINT_PREFIX)]
    return dispatch == list(_dispatch(endpoints, affinity))


def _dispatch(endpoints: list[str], affinity: Recent | None) -> Iterator[str]:
    """Give the rules of a dispatching chain; `affinity` is the question to one of its lists.

    Source: kubernetes `pkg/proxy/iptables/proxier.go`, `writeServiceToEndpointRules`.
    """
    if affinity is not None:
        for endpoint in endpoints:
            words = [f"--name {endpoint}" if w.startswith("--name ") else w for w in affinity.words]
            yield f"-m recent {' '.join(words)} -j {endpoint}"
    for left, endpoint in zip(range(len(endpoints), 0, -1), endpoints, strict=True):
        if left > 1:
            part = probability(f"{1 / left:.10f}", IPV4)
            yield f"-m statistic --mode random --probability {part} -j {endpoint}"
        else:
            yield f"-j {endpoint}"
