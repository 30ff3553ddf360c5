"""Prometheus' text format. Only the lines of wanted metrics are parsed; all are looked at.

kube-proxy serves some 600 lines, of which a dozen matter: the parser takes 5 ms for all of them.
"""

from __future__ import annotations

import re

from compiler.errors import Problem
from compiler.manifests.convert import shorten
from compiler.manifests.source import Source
from compiler.node_metrics.names import WANTED
from compiler.node_metrics.sample import Sample, Scrape

# A line of the format, but for what is inside braces. Exemplars are OpenMetrics', as is `# EOF`.
_LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{.*\})?\s*"
    r"[-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|[Ii]nf|[Nn]a[Nn])(?:\s+-?[0-9.]+)?(?:\s+#.*)?\s*"
)
# What `proxyrules collect` writes at the top of a text.
COLLECTED = re.compile(r"# proxyrules: collected at ([0-9]{9,12})\s*")

_HINT = "give what kube-proxy serves at /metrics, port 10249"


def read_text(source: Source) -> Scrape:
    """Read a text. What is no sample is a problem of the result: one for all such lines."""
    scrape = Scrape(source.name)
    text = source.text.decode("utf-8", "replace").replace("\r\n", "\n")
    broken: list[int] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            if match := COLLECTED.fullmatch(line):
                scrape.collected = float(match[1])
            continue
        match = _LINE.fullmatch(line)
        # A number that ends where the text does may lack its last digits.
        whole = match is not None and number < len(lines)
        wanted = match is not None and match["name"] in WANTED
        if not whole or (wanted and not _read_line(line, number, scrape)):
            broken.append(number)
    if broken:
        scrape.problems.append(_problem(source.name, lines, broken))
    return scrape


def _read_line(line: str, number: int, scrape: Scrape) -> bool:
    # Imported here: no other command waits for it.
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(line + "\n"))
    except ValueError:
        return False
    for family in families:
        for one in family.samples:
            at = None if one.timestamp is None else float(one.timestamp)
            sample = Sample(one.name, one.labels, float(one.value), at, scrape.file, number)
            scrape.samples.append(sample)
    return True


def _problem(name: str, lines: list[str], broken: list[int]) -> Problem:
    first = broken[0]
    if first == len(lines):
        message, hint = f"the text ends in the middle of a line: {shorten(lines[-1])}", ""
    else:
        more = f" (and {len(broken) - 1:,} more lines)" if len(broken) > 1 else ""
        message, hint = f"not Prometheus text: {shorten(lines[first - 1])}{more}", _HINT
    return Problem(name, message, hint, line=first)
