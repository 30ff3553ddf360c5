"""The answer of Prometheus' HTTP API to an instant query (`/api/v1/query`), as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from compiler.errors import Problem
from compiler.manifests.convert import shorten
from compiler.manifests.source import Source
from compiler.node_metrics.names import LOOKBACK_SECONDS, WANTED
from compiler.node_metrics.sample import Sample, Scrape

_HINT = "give the answer of /api/v1/query, as it is"


class _Series(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType")
    result: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


def looks_like_json(text: bytes) -> bool:
    """Say whether a text may be an answer of the API; no line of Prometheus' text begins so."""
    return text.lstrip()[:1] in (b"{", b"[")


def read_api_answer(source: Source) -> Scrape:
    """Read an answer; its problems are those of the whole, and of single series."""
    # The time of an instant query's samples is that of the query, not that of their reading.
    scrape = Scrape(source.name, slack=LOOKBACK_SECONDS)

    def reject(message: str, hint: str = _HINT) -> Scrape:
        scrape.problems.append(Problem(source.name, message, hint))
        return scrape

    try:
        answer = msgspec.json.decode(source.text, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return reject(f"not an answer of Prometheus' API: {error}")
    if answer.status != "success" or answer.data is None:
        return reject(f"Prometheus answered {answer.status}: {answer.error or 'no data'}")
    if answer.data.result_type != "vector":
        kind = shorten(answer.data.result_type)
        return reject(f"resultType is {kind}", 'use an instant query, whose resultType is "vector"')
    for number, raw in enumerate(answer.data.result):
        _read_series(raw, number, scrape)
    return scrape


def _read_series(raw: msgspec.Raw, number: int, scrape: Scrape) -> None:
    try:
        series = msgspec.json.decode(raw, type=_Series)
        at, value = series.value[0], float(series.value[1])
    except (msgspec.DecodeError, ValueError) as error:
        field = f"data.result[{number}]"
        scrape.problems.append(Problem(scrape.file, f"not a sample: {error}", field=field))
        return
    labels: dict[str, Any] = series.metric
    name = labels.pop("__name__", "")
    if name in WANTED:
        scrape.samples.append(Sample(name, labels, value, at, scrape.file, None))
