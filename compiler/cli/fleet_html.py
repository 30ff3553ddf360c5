"""A fleet's report as one static HTML page: no script, nothing loaded, light and dark."""

from __future__ import annotations

import html
from collections.abc import Iterator

from compiler.cli.colour import shown
from compiler.cli.fleet_words import (
    counted,
    groups,
    kind_in_words,
    nodes_in_words,
    problem_in_words,
    rows,
    summary,
)
from compiler.cli.html_style import STYLE
from compiler.fleet.report import FleetFinding, FleetReport
from compiler.fleet.results import State

_STYLE = f"""\
{STYLE}pre {{ margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }}
.bad {{ background: light-dark(#fde2e1, #5c1f1c); }}
.stale {{ background: light-dark(#fff3c9, #4d3d00); }}
"""
_BAD = ' class="bad"'
_CLASSES: dict[str, str] = {
    State.CLEAN: "",
    State.NOT_CHECKED: "",
    State.STALE: ' class="stale"',
}
_TITLE = "The rules of a fleet"


def as_html(report: FleetReport) -> Iterator[str]:
    """Give the lines of the page: the nodes, the findings with their nodes, and the input."""
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_TITLE}</title>"
    yield f"<style>\n{_STYLE}</style>"
    yield "</head>"
    yield "<body>"
    yield "<main>"
    yield f"<h1>{_TITLE}</h1>"
    yield f"<p>{_text(report.name)}: {_text(summary(report))}</p>"
    yield from _table(report)
    if report.findings:
        yield "<h2>Findings</h2>"
    for service, findings in groups(report.findings):
        yield f"<h3>{_text(service)}</h3>"
        yield "<ul>"
        for one in findings:
            yield from _finding(one)
        yield "</ul>"
    if report.not_listed:
        yield f"<p>{counted(report.not_listed, 'finding')} more, of dumps with over 100.</p>"
    for title, problems in (("Input", report.problems), ("Notes", report.notes)):
        if problems:
            yield f"<h2>{title}</h2>"
            yield "<ul>"
            yield from (f"<li>{_text(problem_in_words(problem))}</li>" for problem in problems)
            yield "</ul>"
    yield "</main>"
    yield "</body>"
    yield "</html>"


def _table(report: FleetReport) -> Iterator[str]:
    # a region that scrolls must be reached by keyboard, and named
    yield '<div class="wide" role="region" tabindex="0" aria-label="Nodes">'
    yield "<table>"
    yield "<caption>Nodes</caption>"
    yield "<thead>"
    heads = ("Node", "State", "Dump", "Made, in the node's time", "Rules checked")
    yield "<tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr>"
    yield "</thead>"
    yield "<tbody>"
    for row in rows(report):
        result = row.result
        generated = result.generated if result else None
        made = f"{generated:%Y-%m-%d %H:%M:%S}" if generated else ""
        rules = f"{result.rules:,}" if result and result.rules else ""
        # the word is in the cell, too: colour alone says nothing to many readers
        state = f"<td{_CLASSES.get(row.kind, _BAD)}>{_text(row.state)}</td>"
        cells = "".join(f"<td>{cell}</td>" for cell in (_text(row.dump), made, rules))
        yield f'<tr><th scope="row">{_text(row.node)}</th>{state}{cells}</tr>'
    yield "</tbody>"
    yield "</table>"
    yield "</div>"


def _finding(one: FleetFinding) -> Iterator[str]:
    finding = one.finding
    words = f"{kind_in_words(finding)}: {finding.message}"
    yield f"<li>{_text(words)}"
    yield f"<br>{_text(nodes_in_words(one.nodes, all_of_them=True))}"
    for label, rule in (("should be", finding.expected), ("is", finding.found)):
        if rule:
            yield f"<pre>{label.ljust(9)}  {_text(rule)}</pre>"
    yield "</li>"


def _text(text: str) -> str:
    return html.escape(shown(text))
