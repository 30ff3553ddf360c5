"""A RulesDiff as text, JSON and Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from compiler.analysis.diff import PortDiff, RulesDiff
from compiler.analysis.diff_words import PACKETS, Change, change_lines
from compiler.cli.colour import Paint, shown

_SIGNS = {"added": "+", "removed": "-", "changed": " "}
_COLOURS = {"+": "green", "-": "red", " ": "yellow"}
# Fewer changes of share than this are listed one by one.
_LISTED_TOGETHER = 4


def as_text(diff: RulesDiff, paint: Paint, *, rules: bool) -> Iterator[str]:
    """Give the lines for a reader; with `rules` those behind each service port's changes."""
    for port in diff.ports:
        sign = _SIGNS[port.change]
        head = f"{sign} {port.key}" if sign != " " else str(port.key)
        yield paint(shown(head), "bold")
        yield from _change_lines(together(port.changes, rules=rules), paint)
        if rules:
            yield from (paint(shown(f"    - {rule}"), "red") for rule in port.removed)
            yield from (paint(shown(f"    + {rule}"), "green") for rule in port.added)
    if diff.node:
        yield paint("the whole node", "bold")
        yield from _change_lines(diff.node, paint)
    if diff.outside:
        yield paint("outside kube-proxy's chains", "bold")
        yield from _change_lines(diff.outside, paint)
    yield from (paint(shown(f"may differ: {reason}"), "yellow") for reason in diff.may_differ)
    yield from (shown(f"not compared: {words}") for words in diff.not_compared)
    yield from (shown(f"information: {words}") for words in diff.information)
    yield summary(diff)


def summary(diff: RulesDiff) -> str:
    """Sum a difference up in one line."""
    if diff.same:
        return _same(diff)
    counts = Counter(port.change for port in diff.ports)
    parts = [f"{counts[kind]} {kind}" for kind in ("added", "removed", "changed") if counts[kind]]
    clauses = []
    if parts:
        noun = "service port" if len(diff.ports) == 1 else "service ports"
        kinds = ", ".join(parts) if len(parts) > 1 else parts[0].split(" ")[1]
        clauses.append(f"{len(diff.ports)} {noun}{':' * (len(parts) > 1)} {kinds}")
    if diff.node:
        noun = "change" if len(diff.node) == 1 else "changes"
        clauses.append(f"{len(diff.node)} {noun} for the whole node")
    if diff.outside:
        clauses.append(f"{len(diff.outside)} outside kube-proxy's chains")
    if diff.may_differ:
        noun = "possible difference" if len(diff.may_differ) == 1 else "possible differences"
        clauses.append(f"{len(diff.may_differ)} {noun}")
    return "; ".join(clauses) + "."


def _same(diff: RulesDiff) -> str:
    """Sum up that nothing changes, and what that rests on."""
    where = " in what was compared" if diff.not_compared else ""
    if not diff.silent:
        return f"No difference for traffic{where}."
    rules = "1 rule differs" if diff.silent == 1 else f"{diff.silent} rules differ"
    words = f"No difference for traffic{where}: {rules}, no packet is treated differently"
    classes = "1 packet class" if diff.classes == 1 else f"{diff.classes:,} packet classes"
    return f"{words} ({classes} compared)." if diff.classes else f"{words}."


def together(changes: Iterable[Change], *, rules: bool) -> list[Change]:
    """Put many endpoints that go from one share to another in one line."""
    changes = list(changes)
    if rules:
        return changes
    alike: Counter[tuple[str, str | None, str | None]] = Counter(
        (change.what, change.before, change.after)
        for change in changes
        if change.what.endswith("endpoint") and change.before and change.after
    )
    done: list[Change] = []
    seen: set[tuple[str, str | None, str | None]] = set()
    for change in changes:
        kind = (change.what, change.before, change.after)
        if alike[kind] < _LISTED_TOGETHER:
            done.append(change)
        elif kind not in seen:
            seen.add(kind)
            what = f"{alike[kind]} {change.what}s"
            done.append(Change(what, "", change.before, change.after))
    return done


def _packets(change: Change) -> str:
    """Write a change that is described by its packets, or how many more there are."""
    if change.before is None:
        return f"    and {change.item}"
    return f"    {change.item}: {change.before} → {change.after}"


def _change_lines(changes: Sequence[Change], paint: Paint) -> Iterator[str]:
    yield from (
        paint(shown(_packets(change)), "yellow") for change in changes if change.what == PACKETS
    )
    changes = [change for change in changes if change.what != PACKETS]
    yield from (paint(shown(f"  {line}"), _COLOURS[sign]) for sign, line in change_lines(changes))


def as_json(diff: RulesDiff) -> str:
    """Return the difference as one JSON object."""
    value = {
        "same": diff.same,
        "servicePorts": [
            {
                "name": port.key.name,
                "protocol": port.key.protocol,
                "change": port.change,
                "changes": _json_changes(port.changes),
                "rules": {"removed": list(port.removed), "added": list(port.added)},
            }
            for port in diff.ports
        ],
        "node": _json_changes(diff.node),
        "outside": _json_changes(diff.outside),
        "rulesThatDifferInWordsOnly": diff.silent,
        "packetClasses": diff.classes,
        "mayDiffer": list(diff.may_differ),
        "notCompared": list(diff.not_compared),
        "information": list(diff.information),
    }
    return json.dumps(value, indent=2) + "\n"


def _json_changes(changes: Iterable[Change]) -> list[dict[str, str | None]]:
    return [
        {
            "what": change.what,
            "item": change.item,
            "before": change.before,
            "after": change.after,
        }
        for change in changes
    ]


def as_markdown(diff: RulesDiff) -> Iterator[str]:
    """Give the lines of a pull-request comment."""
    yield "### What changes for traffic"
    yield ""
    yield summary(diff)
    rows = [
        (str(port.key), change)
        for port in diff.ports
        for change in together(port.changes, rules=False) or [Change(port.change, "", None, None)]
    ]
    rows += [("*node*", change) for change in diff.node]
    rows += [("*outside*", change) for change in diff.outside]
    for label, words in (
        ("May differ", diff.may_differ),
        ("Not compared", diff.not_compared),
        ("Information", diff.information),
    ):
        if words:
            yield ""
            yield f"{label}: {'; '.join(map(code, words))}"
    if rows:
        yield ""
        yield "| Service port | What | Before | After |"
        yield "|---|---|---|---|"
    last = ""
    for name, change in rows:
        what = f"{change.what} {code(change.item)}" if change.item else change.what
        cell = name if name.startswith("*") else code(name)
        cells = (cell if name != last else "", what, code(change.before), code(change.after))
        yield f"| {' | '.join(cells)} |"
        last = name
    if any(port.removed or port.added for port in diff.ports):
        yield ""
        yield from _markdown_rules(diff.ports)


def code(text: str | None) -> str:
    """Write a value of a table cell: nothing in it may end the cell or begin markup."""
    if not text:
        return ""
    escaped = shown(text).replace("|", "\\|").replace("`", "'")
    return f"`{escaped}`"


def _markdown_rules(ports: Iterable[PortDiff]) -> Iterator[str]:
    yield "<details><summary>Rules</summary>"
    yield ""
    # five ticks: no rule has as many in a row, and if it had, shown() would not hide them
    yield "`````diff"
    for port in ports:
        yield shown(f"# {port.key}")
        yield from (shown(f"-{rule}").replace("`````", "'''''") for rule in port.removed)
        yield from (shown(f"+{rule}").replace("`````", "'''''") for rule in port.added)
    yield "`````"
    yield ""
    yield "</details>"
