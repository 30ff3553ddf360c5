"""Answers of `who` as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from compiler.analysis.who import Answer, Meaning
from compiler.manifests.origins import Origin

# How many meanings (of port 80, say) and chains of one are shown without -v.
MOST_MEANINGS, MOST_CHAINS = 20, 30


def as_text(answer: Answer, *, verbose: bool) -> Iterator[str]:
    """Write an answer for people: what it is, from where, why, and what is not known."""
    meanings = answer.meanings if verbose else answer.meanings[:MOST_MEANINGS]
    for meaning in meanings:
        yield from _meaning(meaning, verbose=verbose)
    if left := len(answer.meanings) - len(meanings):
        yield f"... and {left} more; -v shows all"
    yield from answer.unknown


def _meaning(meaning: Meaning, *, verbose: bool) -> Iterator[str]:
    yield f"{meaning.subject}: {meaning.text}"
    for cause in meaning.causes:
        yield f"  {'from' if cause.identity else 'because of'} {cause.origin}"
    chains = meaning.chains if verbose else meaning.chains[:MOST_CHAINS]
    for name, does in chains:
        yield f"  {name}  {does}"
    if left := len(meaning.chains) - len(chains):
        yield f"  ... and {left} more chains; -v shows all"
    for note in meaning.notes:
        yield f"  {note}"


def as_json(answer: Answer) -> str:
    """Write an answer for programs."""
    value = {
        "asked": answer.asked.text,
        "kind": answer.asked.kind,
        "found": answer.found,
        "meanings": [_as_value(meaning) for meaning in answer.meanings],
        "unknown": list(answer.unknown),
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _as_value(meaning: Meaning) -> dict[str, object]:
    return {
        "subject": meaning.subject,
        "text": meaning.text,
        "servicePort": meaning.service_port,
        "from": [_origin(cause.origin) for cause in meaning.causes if cause.identity],
        "becauseOf": [_origin(cause.origin) for cause in meaning.causes if not cause.identity],
        "chains": [{"name": name, "text": does} for name, does in meaning.chains],
        "notes": list(meaning.notes),
    }


def _origin(origin: Origin) -> dict[str, object]:
    return {
        "file": origin.file or None,
        "line": origin.line,
        "column": origin.column,
        "object": origin.subject,
        "field": origin.field,
        "value": origin.value,
    }
