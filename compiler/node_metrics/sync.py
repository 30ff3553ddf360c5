"""What of a node's metrics beside the numbers of rules shows that its rules are old."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.family import Family
from compiler.node_metrics.names import (
    ENDPOINTS_PENDING,
    LAST_QUEUED,
    LAST_SYNC,
    LONGEST_PAUSE_SECONDS,
    OVERDUE_SECONDS,
    PARTIAL_FAILURES,
    RESTORE_FAILURES,
    RULES,
    SERVICES_PENDING,
)
from compiler.node_metrics.report import MetricFinding
from compiler.node_metrics.values import Values

# Prometheus notes the time before the node answers, and clocks differ by as much.
_CLOCK_SECONDS = 5

_NEVER = "rules were never synced since kube-proxy started"


def seconds_since_sync(values: Values, now: float | None) -> float | None:
    """Return how long ago the family that waits longest was synced; None if that is unknown."""
    synced = [
        sample.value
        for family in values.families(LAST_SYNC)
        if (sample := values.get(LAST_SYNC, family)) and sample.value
    ]
    return max(0.0, now - min(synced)) if synced and now is not None else None


def sync_findings(values: Values, now: float | None, slack: float) -> Iterator[MetricFinding]:
    """Report syncs that wait or never were, failures, and pending changes.

    The metrics may have been read up to `slack` seconds before `now`.
    """
    synced, counted = values.families(LAST_SYNC), values.families(RULES)
    if counted and not synced:
        message = f"no {LAST_SYNC}: when rules were synced is not known"
        yield MetricFinding("missing-metric", message, values.file)
    elif counted:
        # A series with labels is not there before it is set.
        for family in counted:
            if family not in synced:
                yield MetricFinding("sync-overdue", _of(family) + _NEVER, values.file)
    for family in synced:
        yield from _times(values, family, now, slack)
    for name, what in (
        (RESTORE_FAILURES, "iptables-restore failed"),
        (PARTIAL_FAILURES, "partial syncs failed"),
    ):
        for family in values.families(name):
            sample = values.get(name, family)
            if sample and sample.value:
                message = f"{what} {_times_in_words(sample.value)} since kube-proxy started"
                message = _of(family) + message
                yield MetricFinding("restore-failures", message, sample.file, sample.line or 0)
    for name, what in ((ENDPOINTS_PENDING, "endpoint"), (SERVICES_PENDING, "Service")):
        for family in values.families(name):
            sample = values.get(name, family)
            if sample and sample.value:
                message = f"{_of(family)}{sample.value:,.0f} {what} changes are not synced yet"
                yield MetricFinding("pending-changes", message, sample.file, sample.line or 0)


def _times(
    values: Values, family: Family | None, now: float | None, slack: float
) -> Iterator[MetricFinding]:
    synced, queued = values.get(LAST_SYNC, family), values.get(LAST_QUEUED, family)
    if synced is None:
        return
    place = synced.file, synced.line or 0
    if not synced.value:
        yield MetricFinding("sync-overdue", _of(family) + _NEVER, *place)
        return
    if now is None:
        return
    ahead = max(synced.value, queued.value if queued else 0) - now
    if ahead > _CLOCK_SECONDS:
        message = f"the node's clock is at least {duration(ahead)} ahead of the metrics' time"
        yield MetricFinding("clock", _of(family) + message, *place)
    age = now - synced.value
    waiting = now - queued.value if queued and queued.value > synced.value else 0
    if waiting > OVERDUE_SECONDS + slack:
        message = f"a sync has been waiting for {duration(waiting)}, the last was {duration(age)}"
        yield MetricFinding("sync-overdue", f"{_of(family)}{message} ago", *place)
    elif age > LONGEST_PAUSE_SECONDS + OVERDUE_SECONDS + slack:
        message = f"the last sync was {duration(age)} ago; kube-proxy syncs every hour"
        yield MetricFinding("sync-overdue", _of(family) + message, *place)


def _of(family: Family | None) -> str:
    return f"{family.api_name}: " if family else ""


def _times_in_words(count: float) -> str:
    return "once" if count == 1 else f"{count:,.0f} times"


def duration(seconds: float) -> str:
    """Write a duration as kubectl does: its largest unit, or two of them where that is small."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600, whole // 60
    if days >= 2:
        return f"{days}d"
    if hours >= 3:
        return f"{hours}h"
    if minutes >= 10:
        return f"{minutes}m"
    if minutes >= 2:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    return f"{whole}s"
