"""Changes of many nodes as a value for JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compiler.snapshots.changes import Changes, Placed, PortChanges, Where


def changes_value(
    changes: Changes, more: Callable[[PortChanges], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return the value; `more` gives further fields of a service port."""
    return {
        "same": changes.same,
        "servicePorts": [
            {
                "name": port.key.name,
                "protocol": port.key.protocol,
                "change": port.kind,
                "changes": [_placed(one) for one in port.changes],
                "where": _where(port.where),
                **(more(port) if more else {}),
            }
            for port in changes.ports
        ],
        "node": [_placed(one) for one in changes.node],
        "mayDiffer": [_words(one) for one in changes.may_differ],
        "notCompared": [_words(one) for one in changes.not_compared],
        "textOnly": _where(changes.silent),
        "renamed": [
            {"old": str(one.old), "new": str(one.new), "where": _where(one.where)}
            for one in changes.renamed
        ],
    }


def _placed(placed: Placed) -> dict[str, Any]:
    change = placed.change
    return {
        "what": change.what,
        "item": change.item,
        "before": change.before,
        "after": change.after,
        "where": _where(placed.where),
    }


def _words(placed: Placed) -> dict[str, Any]:
    return {"reason": placed.change.what, "where": _where(placed.where)}


def _where(where: Sequence[Where]) -> list[dict[str, Any]]:
    return [
        {"snapshot": one.snapshot, "family": one.family.value, "nodes": list(one.nodes)}
        for one in where
    ]
