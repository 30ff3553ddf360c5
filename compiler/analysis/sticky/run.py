"""The whole question: from objects, clients and events to what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from msgspec.structs import replace as changed

from compiler.analysis.sticky.errors import StickyError
from compiler.analysis.sticky.events import Event
from compiler.analysis.sticky.load import Load
from compiler.analysis.sticky.node import UNLIMITED
from compiler.analysis.sticky.play import Moment, NodeRules, Played, Settings, play
from compiler.analysis.sticky.table import Table, named_lists, tables
from compiler.analysis.sticky.timeline import Step
from compiler.family import IPV4
from compiler.kube_rules.node_rules import NodeRules as Reading
from compiler.kube_rules.service_port import Key, Kind
from compiler.manifests.convert import shorten
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host
from compiler.netfilter.ruleset import Ruleset
from compiler.netfilter.traffic import Ranges, Traffic

# How clients reach the Service, by the option's word.
ENTRIES: dict[str, Kind] = {
    "cluster-ip": "cluster IP",
    "external-ip": "external IP",
    "load-balancer": "load-balancer IP",
    "node-port": "node port",
}
# Of Linux, `ip_local_port_range`.
_CLIENT_PORTS: Ranges = ((32768, 60999),)
_UPLINK = "uplink"


@dataclass(frozen=True)
class NodeState:
    """One node's rules, with the built-in chains, and its addresses (None where not known)."""

    ruleset: Ruleset
    addresses: frozenset[str] | None = None


States = Callable[[Step], tuple[NodeState, ...]]
"""Compiles or reads the rules of all nodes in a step."""


@dataclass(frozen=True)
class Question:
    """What to play: the steps, how to get their rules, the Service port, the clients.

    `service` names the Service port (`web`, `default/web:http`), empty where there is one only.
    `via` is one of `ENTRIES`. `lag` are the seconds that rules are behind the objects, `nodes` the
    names of those that clients come in by, as far as they are known.
    """

    steps: tuple[Step, ...]
    states: States
    load: Load
    settings: Settings
    service: str = ""
    via: str = "cluster-ip"
    lag: float = 1.0
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StickyAnswer:
    """What happened, and of what.

    `entry` is the address that clients call, `timeout` the seconds of session affinity (None
    without), `endpoints` those in use at the beginning.
    """

    key: Key
    via: str
    entry: str
    nodes: int
    timeout: int | None
    endpoints: tuple[str, ...]
    load: Load
    settings: Settings
    lag: float
    played: Played


def answer(question: Question) -> StickyAnswer:
    """Play a question through. Raises StickyError where it can't be."""
    first = question.states(question.steps[0])
    key = choose_service(first[0].ruleset, question.service)
    entries = [_entry(state, key, question.via) for state in first]
    moments: list[Moment] = []
    for step in question.steps:
        states = first if not moments else None
        if states is None and (step.source is not None or step.path):
            states = question.states(step)
        rules = None
        if states is not None:
            rules = tuple(
                _node_rules(state, key, entry, question.via, question.load, question.settings)
                for state, entry in zip(states, entries, strict=True)
            )
        lag = question.lag if moments else 0.0
        moments += _moments(step, rules, lag, _rebooted(step, question.nodes, len(first)))
    begin = moments[0].rules or ()
    return StickyAnswer(
        key,
        question.via,
        entries[0][0] if len(set(entries)) == 1 else str(entries[0][2]),
        len(first),
        _timeout(begin),
        _endpoints(begin),
        question.load,
        question.settings,
        question.lag,
        play(question.load, moments, question.settings),
    )


def _moments(
    step: Step, rules: tuple[NodeRules, ...] | None, lag: float, emptied: frozenset[int]
) -> list[Moment]:
    """Return a step's moments: what happens at once, and the rules that follow."""
    if not lag or rules is None:
        return [Moment(step.at, step.label, rules, step.gone, emptied)]
    at_once = [Moment(step.at, step.label, None, step.gone, emptied)]
    if not (step.label or step.gone is not None or emptied):
        at_once = []
    return [*at_once, Moment(step.at + lag, "", rules)]


def _rebooted(step: Step, names: Sequence[str], count: int) -> frozenset[int]:
    """Return the places of the nodes that lose their lists."""
    if step.rebooted in ("", "*"):
        return frozenset(range(count)) if step.rebooted else frozenset()
    if step.rebooted not in names:
        known = f"clients come in by {', '.join(names)}" if names else "give --nodes"
        raise StickyError(f"no client comes in by the node {shorten(step.rebooted)}", known)
    return frozenset((names.index(step.rebooted),))


def choose_service(ruleset: Ruleset, name: str) -> Key:
    """Return the Service port of a name, or the only one (with session affinity).

    Raises StickyError where none or several fit.
    """
    reading = Reading(ruleset)
    if name:
        found = [key for key in reading.keys if name in _names(key)]
    else:
        found = [key for key in reading.keys if _has_affinity(reading, key)] or list(reading.keys)
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"no Service port {shorten(name)} in the rules" if name else "no Service port"
        known = ", ".join(map(str, reading.keys[:5]))
        raise StickyError(message, f"there are {known}" if known else "")
    listed = ", ".join(map(str, found[:5]))
    raise StickyError(f"{len(found)} Service ports could be meant", f"name one of {listed}")


def _names(key: Key) -> set[str]:
    """Return all that a Service port may be called: with or without namespace, port, protocol."""
    service, _, port = key.name.partition(":")
    whole = {service, key.name, str(key), f"{service}:{port}" if port else service}
    return whole | {name.partition("/")[2] for name in whole}


def _has_affinity(reading: Reading, key: Key) -> bool:
    port = reading.service_port(key)
    return any(
        endpoint.affinity is not None
        for dispatch in (port.cluster, port.local)
        if dispatch is not None
        for endpoint in dispatch.endpoints
    )


Entry = tuple[str, str, int]
"""An entry point as written, its address and its port."""


def _entry(state: NodeState, key: Key, via: str) -> Entry:
    """Return the entry point of a Service port on a node. Raises StickyError without one."""
    wanted = ENTRIES[via]
    points = Reading(state.ruleset).entry_points(key)
    for point in points:
        external = point.kind == "external address" and via in ("external-ip", "load-balancer")
        if point.kind != wanted and not external:
            continue
        if wanted != "node port":
            host, _, port = point.address.rpartition(":")
            return point.address, host.strip("[]"), int(port)
        version = 4 if state.ruleset.family == IPV4 else 6
        own = sorted(one for one in state.addresses or () if ip_address(one).version == version)
        if not own:
            message = "the address of the node is not known, so its node port can't be called"
            raise StickyError(message, "add its Node to the manifests, or give --node-address")
        return f"{own[0]}:{point.address}", own[0], int(point.address)
    kinds = {word for word, kind in ENTRIES.items() if any(kind == one.kind for one in points)}
    hint = f"it has {', '.join(sorted(kinds))}" if kinds else ""
    raise StickyError(f"{key} has no {wanted}", hint)


def _node_rules(
    state: NodeState, key: Key, entry: Entry, via: str, load: Load, settings: Settings
) -> NodeRules:
    """Make the tables of one node for all clients."""
    addresses = [settings.masqueraded] if settings.masqueraded else load.addresses
    _, destination, port = entry
    packet = Packet(
        source=destination,
        destination=destination,
        protocol=key.protocol,
        destination_port=port,
        # who calls from outside does not come by a Pod's interface
        interface=None if via == "cluster-ip" else _UPLINK,
    )
    traffic: Traffic = changed(
        packet.traffic(), source=_ranges(addresses), source_ports=_CLIENT_PORTS, lists=None
    )
    found = tables(state.ruleset, traffic, Host(addresses=state.addresses))
    kinds: dict[Table, list[tuple[int, int]]] = {}
    for ranges, table in found:
        kinds.setdefault(table, []).extend(ranges)
    merged = tuple((tuple(sorted(ranges)), table) for table, ranges in kinds.items())
    return NodeRules(merged, named_lists(state.ruleset))


def _ranges(addresses: Sequence[int]) -> Ranges:
    """Return addresses as ranges."""
    found: list[tuple[int, int]] = []
    for number in sorted(addresses):
        if found and number <= found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def _timeout(rules: Sequence[NodeRules]) -> int | None:
    """Return the seconds of the first check."""
    for one in rules:
        for _, table in one.tables:
            for check in table.checks:
                return check.seconds
    return None


def _endpoints(rules: Sequence[NodeRules]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            endpoint for one in rules for _, table in one.tables for endpoint in table.endpoints
        )
    )


def needed_length(question: Question) -> int:
    """Return the length that lists need so that no client is pushed out within its timeout."""
    settings = replace(question.settings, limit=UNLIMITED, samples=1)
    return answer(replace(question, settings=settings)).played.peak


def rules_steps(events: Sequence[Event], end: float) -> tuple[Step, ...]:
    """Return the steps of rules that were read: other rules, restarts and reboots.

    Raises StickyError for an event that needs manifests, or comes after the end.
    """
    steps = [Step(0.0, path="-", gone=frozenset())]
    for event in sorted(events, key=lambda one: one.at):
        if event.kind not in ("manifests", "restart", "reboot"):
            message = f"{event.kind} needs manifests: rules don't show what would change"
            raise StickyError(message, "give manifests, or the rules after the change as TIME=FILE")
        if event.at > end:
            raise StickyError(f"{event.kind} comes at {event.at:g} s, after the end ({end:g} s)")
        path = event.target if event.kind == "manifests" else ""
        rebooted = (event.target or "*") if event.kind == "reboot" else ""
        steps.append(Step(event.at, event.label, path=path, rebooted=rebooted))
    return tuple(steps)
