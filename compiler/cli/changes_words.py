"""Changes of many nodes in words: what they are of, from what to what, and where."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.analysis.diff_words import PACKETS, Change
from compiler.cli.colour import shown
from compiler.family import Family
from compiler.snapshots.changes import Changes, Placed, PortChanges, Where

NOTHING = "none"
# Nodes, and snapshots, that are named one by one.
_NAMED = 3
_ENDPOINTS = ("endpoint", "endpoints")


def subject(change: Change) -> str:
    """Say what changes: `session affinity`, `traffic to node port 30080`."""
    if change.what == PACKETS:
        return shown(change.item)
    item = change.item
    if change.what == "traffic to" and item.isdecimal():
        item = f"node port {item}"
    return shown(f"{change.what} {item}".strip())


def value(change: Change, side: str | None) -> str:
    """Say what it is on one side."""
    if side is None:
        return NOTHING
    if change.what.endswith(_ENDPOINTS):
        return f"{side} of new connections"
    if side.endswith(" from outside"):
        return f"{side.removesuffix(' from outside')} if it comes from outside the cluster"
    return shown(side)


def sentence(change: Change) -> str:
    """Say a change in one line."""
    if change.before is None and change.after is None:
        return subject(change)
    if change.before is None and (change.what.endswith(_ENDPOINTS) or not change.item):
        return f"{subject(change)} added: {value(change, change.after)}"
    if change.after is None and (change.what.endswith(_ENDPOINTS) or not change.item):
        return f"{subject(change)} removed (was {value(change, change.before)})"
    return f"{subject(change)}: {value(change, change.before)} → {value(change, change.after)}"


def summary(port: PortChanges) -> list[str]:
    """Sum up the changes of a service port: properties in full, endpoints by their number."""
    if port.kind in {"added", "removed"}:
        return [f"service port {port.kind}{_entry_points(port)}"]
    found = []
    for kind in ("endpoint", "local endpoint"):
        found += _endpoints(kind, [one.change for one in port.changes])
    rest = [
        property_words(one.change)
        for one in port.changes
        if not one.change.what.endswith(_ENDPOINTS)
    ]
    return [*dict.fromkeys(rest), *found] or [f"service port {port.kind}"]


def _entry_points(port: PortChanges) -> str:
    """Say where a service port is or was served, and by how many endpoints."""
    changes = [one.change for one in port.changes]
    kinds = ("cluster IP", "external IP", "load-balancer IP", "node port")
    served = dict.fromkeys(
        shown(f"{one.what} {one.after or one.before}") for one in changes if one.what in kinds
    )
    refused = dict.fromkeys(
        f"{subject(one)}: {value(one, one.after or one.before)}"
        for one in changes
        if one.what == "traffic to"
    )
    endpoints = sum(
        _count(one) for one in changes if one.what == "endpoint" or _is_several(one, "endpoint")
    )
    number = [f"{endpoints} endpoint{'s' if endpoints != 1 else ''}"]
    return ": " + ", ".join([*served, *refused, *number])


def property_words(change: Change) -> str:
    """Say a change of a property: `session affinity: none → ClientIP, 30 s`."""
    if change.before is None and change.after is None:
        return subject(change)
    before, after = (value(change, side) for side in (change.before, change.after))
    return f"{subject(change)}: {before} → {after}"


def _endpoints(kind: str, changes: Sequence[Change]) -> list[str]:
    """Count the endpoints that came and went, and say what share the others have now."""
    some = [one for one in changes if one.what in {kind, f"{kind}s"} or _is_several(one, kind)]
    come = sum(_count(one) for one in some if one.before is None)
    gone = sum(_count(one) for one in some if one.after is None)
    kept = [one for one in some if one.before is not None and one.after is not None]
    words = [
        f"{number} {kind}{'s' if number > 1 else ''} {what}"
        for number, what in ((come, "added"), (gone, "removed"))
        if number
    ]
    shares = dict.fromkeys((one.before, one.after) for one in kept)
    if len(shares) == 1:
        ((before, after),) = shares
        each = "the other" if sum(map(_count, kept)) == 1 else "each of the others"
        who = each if words else f"{kind}s"
        words.append(f"share of {who}: {before} → {after}")
    elif shares:
        words.append(f"shares of {kind}s change")
    return words


def _is_several(change: Change, kind: str) -> bool:
    """Say whether a change is of several endpoints of a kind: `5 endpoints`."""
    number, _, rest = change.what.partition(" ")
    return number.isdecimal() and rest == f"{kind}s"


def _count(change: Change) -> int:
    number = change.what.partition(" ")[0]
    return int(number) if number.isdecimal() else 1


def where_words(where: Sequence[Where], changes: Changes) -> str:
    """Say on which nodes something is: `all 3 nodes`, `shop: worker-1, worker-2`."""
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
    return ", ".join(f"{one} ({family.api_name})" for family, one in words.items())


def _nodes(where: Where, changes: Changes) -> str:
    every = changes.nodes.get((where.snapshot, where.family), where.nodes)
    if not where.nodes:
        return "every node"
    if len(every) > 1 and set(where.nodes) == set(every):
        return f"all {len(every)} nodes"
    names = where.nodes
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
