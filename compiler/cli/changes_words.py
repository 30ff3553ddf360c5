"""Changes of many nodes in words: what they are of, from what to what, and where."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.analysis.diff_words import PACKETS, Change
from compiler.cli.colour import shown
from compiler.family import Family
from compiler.snapshots.changes import Changes, Placed, PortChanges, Where, joined

NOTHING = "none"
# Nodes, and snapshots, that are named one by one.
_NAMED = 3
# Of more nodes than these it matters how many are meant.
_FEW = 10
_ENDPOINTS = ("endpoint", "endpoints")
ENTRY_POINTS = frozenset(
    ("cluster IP", "external IP", "load-balancer IP", "node port", "health-check node port")
)


def subject(change: Change) -> str:
    """Say what changes: `session affinity`, `traffic to node port 30080`."""
    if change.what == PACKETS:
        return shown(change.item)
    item = change.item
    if change.what == "traffic to" and item.isdecimal():
        item = f"node port {item}"
    return shown(f"{change.what} {item}".strip())


def table_subject(change: Change) -> str:
    """Say what a table's columns are about: of an endpoint its share."""
    return f"share of {subject(change)}" if _is_endpoint(change) else subject(change)


def value(side: str | None) -> str:
    """Say what it is on one side."""
    if side is None:
        return NOTHING
    if side.endswith(" from outside"):
        return f"{side.removesuffix(' from outside')} if it comes from outside the cluster"
    return shown(side)


def sentence(change: Change) -> str:
    """Say a change in one line."""
    before, after = change.before, change.after
    if before is None and after is None:
        return subject(change)
    connections = " of new connections" if _is_endpoint(change) else ""
    if (before is None or after is None) and (connections or change.what in ENTRY_POINTS):
        side, verb = (after, "added") if before is None else (before, "removed")
        if connections:
            was = "was " if after is None else ""
            return f"{subject(change)} {verb}: {was}{value(side)}{connections}"
        return f"{subject(change)} {value(side)} {verb}"
    return f"{subject(change)}: {value(before)} → {value(after)}{connections}"


def sign(change: Change) -> str:
    """Return `+` for what is new, `-` for what is gone, else a blank."""
    if change.what in ENTRY_POINTS or _is_endpoint(change):
        if change.before is None:
            return "+"
        if change.after is None:
            return "-"
    return " "


def _is_endpoint(change: Change) -> bool:
    return change.what.endswith(_ENDPOINTS)


def summary(port: PortChanges, changes: Changes) -> list[str]:
    """Sum up the changes of a service port: properties in full, endpoints by their number."""
    if port.kind in {"added", "removed"}:
        return [f"service port {port.kind}{_entry_points(port)}"]
    found = []
    for placed in port.changes:
        if not _is_endpoint(placed.change):
            where = elsewhere(placed, port, changes)
            found.append(sentence(placed.change) + (f" ({where})" if where else ""))
    endpoints = [one for one in port.changes if _of_kind(one.change, "endpoint")]
    found += _endpoints_by_place(endpoints, port, changes)
    local = [one for one in port.changes if _of_kind(one.change, "local endpoint")]
    return [*found, *_local_endpoints(local, changes)] or [f"service port {port.kind}"]


def _entry_points(port: PortChanges) -> str:
    """Say where a service port is or was served, and by how many endpoints."""
    changes = [one.change for one in port.changes]
    served = dict.fromkeys(
        shown(f"{one.what} {one.after or one.before}")
        for one in changes
        if one.what in ENTRY_POINTS
    )
    verdicts = dict.fromkeys(
        value(one.after or one.before) for one in changes if one.what == "traffic to"
    )
    number = sum(_count(one) for one in changes if _of_kind(one, "endpoint"))
    endpoints = f"{number} endpoint{'s' if number != 1 else ''}" if number else "no endpoints"
    refused = f" (traffic is {' or '.join(verdicts)})" if verdicts else ""
    return ": " + ", ".join([*served, endpoints]) + refused


def _endpoints_by_place(placed: Sequence[Placed], port: PortChanges, changes: Changes) -> list[str]:
    """Sum up each node's endpoints, and say once what is the same on several nodes."""
    by_node: dict[Where, list[Change]] = {}
    for one in placed:
        for where in one.where:
            for node in where.nodes or ("",):
                at = Where(where.snapshot, where.family, (node,) if node else ())
                by_node.setdefault(at, []).append(one.change)
    places: dict[str, list[Where]] = {}
    for at, some in by_node.items():
        places.setdefault(_endpoints(some), []).append(at)
    if len(places) > _NAMED:
        return [f"endpoints change ({where_words(joined(by_node), changes)})"]
    found = [(words, joined(where)) for words, where in places.items()]
    return [
        words if where == port.where else f"{words} ({where_words(where, changes)})"
        for words, where in found
    ]


def _endpoints(changes: Sequence[Change]) -> str:
    """Say how many endpoints there were and are, and what share each has.

    Where a share changes, every endpoint is among the changes: the shares add up to 1. Where none
    does, endpoints were replaced, or all of them are new or gone.
    """
    come = [one for one in changes if one.before is None]
    gone = [one for one in changes if one.after is None]
    kept = [one for one in changes if one.before is not None and one.after is not None]
    numbers = [sum(map(_count, some)) for some in (come, gone, kept)]
    if not kept and come and gone:
        return f"endpoints: {numbers[0]} added, {numbers[1]} removed"
    before, after = (number + numbers[2] for number in (numbers[1], numbers[0]))
    words = [f"endpoints: {before or NOTHING} → {after or NOTHING}"] if come or gone else []
    shares = dict.fromkeys((one.before, one.after) for one in kept)
    if len(shares) == 1:
        ((was, now),) = shares
        alike = {one.after for one in come} <= {now} and {one.before for one in gone} <= {was}
        words.append(f"share of each{'' if alike else ' of the others'}: {was} → {now}")
    elif shares:
        words.append("shares of endpoints change")
    return ", ".join(words)


def _local_endpoints(placed: Sequence[Placed], changes: Changes) -> list[str]:
    """Say where local endpoints come and go: every node has its own."""
    words = []
    for verb, some in (
        ("added", [one for one in placed if one.change.before is None]),
        ("removed", [one for one in placed if one.change.after is None]),
    ):
        if some:
            where = joined(place for one in some for place in one.where)
            words.append(f"local endpoints {verb} ({where_words(where, changes)})")
    rest = [one for one in placed if one.change.before is not None and one.change.after is not None]
    return words or (["shares of local endpoints change"] if rest else [])


def _of_kind(change: Change, kind: str) -> bool:
    """Say whether a change is of one endpoint of a kind, or of several: `5 endpoints`."""
    number, _, rest = change.what.partition(" ")
    return change.what == kind or (number.isdecimal() and rest == f"{kind}s")


def _count(change: Change) -> int:
    number = change.what.partition(" ")[0]
    return int(number) if number.isdecimal() else 1


def where_words(where: Sequence[Where], changes: Changes) -> str:
    """Say on which nodes something is: `all 3 nodes`, `shop: worker-1, worker-2`.

    Empty for changes of no snapshot, such as those between two files.
    """
    if not changes.snapshots:
        return ""
    snapshots = dict.fromkeys(one.snapshot for one in where)
    several = changes.snapshots > 1
    words = []
    for snapshot in list(snapshots)[:_NAMED] if len(snapshots) > _NAMED + 1 else snapshots:
        here = _nodes_of_snapshot([one for one in where if one.snapshot == snapshot], changes)
        words.append(f"{snapshot}: {here}" if several else here)
    if len(words) < len(snapshots):
        words.append(f"{len(snapshots) - len(words)} more snapshots")
    return shown("; ".join(words))


def _nodes_of_snapshot(where: Sequence[Where], changes: Changes) -> str:
    """Say which nodes of one snapshot are meant, and in which family where that matters."""
    words = {one.family: _nodes(one, changes) for one in where}
    families = [f for f in Family if (where[0].snapshot, f) in changes.nodes]
    if len(families) == 1 or (len(words) == len(families) and len(set(words.values())) == 1):
        return next(iter(words.values()))
    return "; ".join(f"{one}, {family.api_name}" for family, one in words.items())


def _nodes(where: Where, changes: Changes) -> str:
    every = changes.nodes.get((where.snapshot, where.family), where.nodes)
    if not where.nodes:
        return "every node"
    if len(every) > 1 and set(where.nodes) == set(every):
        return "both nodes" if len(every) == 2 else f"all {len(every)} nodes"
    names = where.nodes
    if len(every) > _FEW and len(names) > 1:
        listed = ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
        return f"{len(names)} of {len(every)} nodes: {listed}"
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more nodes"


def elsewhere(placed: Placed, port: PortChanges, changes: Changes) -> str:
    """Say where a change is if it is not wherever its service port changes; else empty."""
    return "" if placed.where == port.where else where_words(placed.where, changes)


def counts(changes: Changes) -> str:
    """Sum up: `2 service ports change on 3 nodes`."""
    if changes.same:
        return "No change for traffic"
    parts = []
    if changes.ports:
        number = len(changes.ports)
        parts.append(f"{number} service port{'s change' if number > 1 else ' changes'}")
    if changes.node:
        number = len(changes.node)
        parts.append(f"{number} change{'s' if number > 1 else ''} of rules of the whole node")
    if changes.may_differ:
        number = len(changes.may_differ)
        parts.append(f"{number} possible difference{'s' if number > 1 else ''}")
    return "; ".join(parts)
