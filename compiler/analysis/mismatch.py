"""Differences between a node and its manifests that have one cause: told once, as that cause.

A dump that is older or newer than the manifests knows other endpoints or service ports. Each shows
in a dozen rules (every probability of a chain changes with one endpoint), and a reader wants to see
the endpoint, not the rules. An explanation is only given where it explains all of a chain: what is
left of the chain must be what kube-proxy writes for the other set of endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from compiler.analysis.findings import Finding
from compiler.analysis.portals import Key, Portals, read_portals, service_names
from compiler.analysis.rule_diff import uncommented, uncounted
from compiler.netfilter import values
from compiler.netfilter.canonical import parse_rule
from compiler.netfilter.rule import Chain, Ruleset

# How many endpoints a message lists.
_LISTED = 5

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
class _Side:
    """One ruleset with what belongs to which service port."""

    ruleset: Ruleset
    portals: Portals
    chains: dict[Key, list[str]]

    def places(self, key: Key) -> set[Place]:
        """Return the rules of top-level chains that belong to a service port."""
        found = self.portals.rules.get(key, ())
        return {(table, rule.chain, rule.text) for table, rule in found}

    def dispatching(self, key: Key) -> list[str]:
        """Return the SVC and SVL chains of a service port."""
        return [
            name for name in self.chains.get(key, ()) if name.startswith(("KUBE-SVC-", "KUBE-SVL-"))
        ]

    def endpoint(self, chain: str) -> str:
        """Return the address that an endpoint's chain sends to, empty where it sends nowhere."""
        for rule in self.ruleset.rules("nat", chain):
            if rule.target == "DNAT":
                spec = parse_rule(rule, self.ruleset.family)
                return spec.target_option("--to-destination") or ""
        return ""


def explain_services(
    expected: Ruleset,
    found: Ruleset,
    portals: Portals,
    different: dict[str, list[str]],
    missing: dict[str, list[str]],
    extra: list[str],
) -> Explained:
    """Explain differences by service ports and endpoints that only one side knows."""
    explained = Explained()
    if "nat" not in found.tables or "nat" not in expected.tables:
        return explained
    wanted = _side(expected, portals)
    there = _side(found, read_portals(found))
    touched = {*different.get("nat", ()), *missing.get("nat", ()), *extra}
    for key in sorted({*wanted.portals.rules, *there.portals.rules}):
        if key not in wanted.portals.rules:
            _unknown_service(key, there, explained)
        elif key not in there.portals.rules:
            _missing_service(key, wanted, there, explained)
        elif not touched.isdisjoint((*wanted.chains.get(key, ()), *there.chains.get(key, ()))):
            _endpoints(key, wanted, there, explained)
    return explained


def _side(ruleset: Ruleset, portals: Portals) -> _Side:
    chains: dict[Key, list[str]] = {}
    for chain, key in service_names(ruleset, portals).items():
        chains.setdefault(key, []).append(chain)
    return _Side(ruleset, portals, chains)


def _unknown_service(key: Key, there: _Side, explained: Explained) -> None:
    places = there.places(key)
    chains = there.chains.get(key, [])
    if len(places) + len(chains) < 2:
        return
    rules = len(places) + sum(len(there.ruleset.rules("nat", name)) for name in chains)
    message = f"on the node ({rules} rules), not in the manifests: the dump is older or newer"
    line = min(rule.line for _, rule in there.portals.rules[key])
    explained.findings.append(Finding("unknown-service", message, service=str(key), line=line))
    explained.extra |= places
    explained.chains.update(chains)


def _missing_service(key: Key, wanted: _Side, there: _Side, explained: Explained) -> None:
    places = wanted.places(key)
    chains = wanted.chains.get(key, [])
    if len(places) + len(chains) < 2 or any(there.ruleset.chain("nat", name) for name in chains):
        return
    # without its top-level chains the node lacks more than this service port
    if any(not there.ruleset.rules(table, chain) for table, chain, _ in places):
        return
    rules = len(places) + sum(len(wanted.ruleset.rules("nat", name)) for name in chains)
    message = f"in the manifests ({rules} rules), not on the node: the dump is older or newer"
    explained.findings.append(Finding("missing-service", message, service=str(key)))
    explained.missing |= places
    explained.chains.update(chains)


def _endpoints(key: Key, wanted: _Side, there: _Side, explained: Explained) -> None:
    """Explain a service port whose endpoints differ."""
    ours, theirs = wanted.dispatching(key), there.dispatching(key)
    if bool(ours) != bool(theirs):
        _all_endpoints(key, wanted, there, explained)
        return
    told: dict[tuple[str, str], None] = {}
    for name in ours:
        chain = there.ruleset.chain("nat", name)
        if chain is None or not chain.rules:
            continue
        before = wanted.ruleset.table("nat")[name]
        had, has = _targets(before), _targets(chain)
        unknown = [sep for sep in has if sep not in had]
        gone = [sep for sep in had if sep not in has]
        if not (unknown or gone) or not _consistent(before, chain, has):
            continue
        large = "-m comment" not in before.rules[-1].text
        left = [sep for sep in gone if there.ruleset.chain("nat", sep) is not None]
        if (left and not large) or not all(there.endpoint(sep) for sep in unknown):
            continue
        told |= {("unknown-endpoint", there.endpoint(sep)): None for sep in unknown}
        told |= {("missing-endpoint", wanted.endpoint(sep)): None for sep in gone}
        explained.chains.update((name, *unknown, *gone))
    for kind, address in told:
        sides = ("on the node", "in the manifests")
        first, second = sides if kind == "unknown-endpoint" else sides[::-1]
        message = f"endpoint {address} is {first}, not {second}: the dump is older or newer"
        explained.findings.append(Finding(kind, message, "nat", service=str(key)))


def _all_endpoints(key: Key, wanted: _Side, there: _Side, explained: Explained) -> None:
    """Explain a service port that has endpoints on one side alone."""
    side, kind = (
        (wanted, "missing-endpoint") if wanted.dispatching(key) else (there, "unknown-endpoint")
    )
    if kind == "missing-endpoint" and any(
        there.ruleset.chain("nat", name) for name in wanted.chains.get(key, ())
    ):
        return
    addresses = {side.endpoint(name) for name in side.chains[key] if name.startswith("KUBE-SEP-")}
    listed = _listed(sorted(addresses))
    if kind == "missing-endpoint":
        message = f"the node has no endpoints for it, the manifests have {listed}"
    else:
        message = f"the manifests have no endpoints for it, the node has {listed}"
    explained.findings.append(Finding(kind, message, service=str(key)))
    explained.missing |= wanted.places(key)
    explained.extra |= there.places(key)
    explained.chains.update(side.chains[key])


def _listed(addresses: list[str]) -> str:
    more = len(addresses) - _LISTED
    return ", ".join(addresses[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _targets(chain: Chain) -> list[str]:
    """Return the endpoints' chains that a chain dispatches to, in order."""
    return list(
        dict.fromkeys(rule.target for rule in chain.rules if rule.target.startswith("KUBE-SEP-"))
    )


def _consistent(expected: Chain, found: Chain, endpoints: list[str]) -> bool:
    """Say whether a chain is what kube-proxy writes for its endpoints, all else as expected."""
    rest = [
        [uncounted(rule.text) for rule in chain.rules if not rule.target.startswith("KUBE-SEP-")]
        for chain in (expected, found)
    ]
    if rest[0] != rest[1]:
        return False
    affinity = next(
        (uncommented(rule.text) for rule in expected.rules if "--rcheck" in rule.text), ""
    )
    dispatch = [
        uncommented(rule.text) for rule in found.rules if rule.target.startswith("KUBE-SEP-")
    ]
    return dispatch == list(_dispatch(endpoints, affinity))


def _dispatch(endpoints: list[str], affinity: str) -> Iterable[str]:
    """Give the rules of a dispatching chain; `affinity` is one such rule of any endpoint."""
    if affinity:
        sample = affinity.rsplit(" ", 1)[-1]
        for endpoint in endpoints:
            yield affinity.replace(sample, endpoint)
    for place, endpoint in enumerate(endpoints):
        left = len(endpoints) - place
        if left > 1:
            part = values.probability(f"{1 / left:.10f}", "ipv4")
            yield f"-m statistic --mode random --probability {part} -j {endpoint}"
        else:
            yield f"-j {endpoint}"
