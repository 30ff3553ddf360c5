"""`proxyrules diff --format mermaid`: each service port before and after, as one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from compiler.analysis.diff import PortDiff, RulesDiff
from compiler.analysis.graph.changes import compare_graphs
from compiler.analysis.graph.draw import draw
from compiler.analysis.graph.folding import folded
from compiler.analysis.graph.model import Graph
from compiler.analysis.names import words_of_endpoints
from compiler.analysis.node_view import Column, NodeView
from compiler.cli.diff_formats import code, summary, together
from compiler.cli.graph_input import nodes_by_key
from compiler.cli.graph_mermaid import as_mermaid
from compiler.cli.options import CompileOptions
from compiler.cli.rules_input import Rules
from compiler.cli.trace_input import node_facts
from compiler.kube_rules.service_port import Key

# More pictures than this make a comment that nobody reads.
_MOST = 20
LEGEND = (
    "In the pictures **+** and thick lines are added, **\N{MINUS SIGN}** and dotted lines are "
    "removed; a thick line with → has changed from the value before it to the value behind it."
)


class Side:
    """One side of the difference, whose service ports are drawn."""

    def __init__(self, rules: Rules, options: CompileOptions) -> None:
        addresses, pod_cidr = node_facts(rules.compilation, options)
        name = options.node or rules.name
        self._view = NodeView(Column(name, rules.ruleset, addresses, pod_cidr=pod_cidr))
        self._compilation = rules.compilation

    def graph(self, key: Key) -> Graph | None:
        """Draw a service port, None where this side has not got it."""
        if key not in self._view.rules:
            return None
        names: Mapping[str, str] = {}
        if self._compilation is not None:
            slices = self._compilation.manifests.endpoint_slices
            names = words_of_endpoints({}, nodes_by_key([key], slices)[key])
        return draw(self._view, key, names)


def as_mermaid_markdown(diff: RulesDiff, old: Side, new: Side) -> Iterator[str]:
    """Give the lines of a pull-request comment with a picture for each changed service port."""
    yield "### What changes for traffic"
    yield ""
    yield summary(diff)
    for port in diff.ports[:_MOST]:
        yield ""
        yield f"#### {code(str(port.key))}"
        yield ""
        yield from _port(port, compare_graphs(old.graph(port.key), new.graph(port.key)))
    if len(diff.ports) > _MOST:
        yield ""
        yield f"Not drawn: {len(diff.ports) - _MOST} more service ports; --format markdown has all."
    if diff.ports:
        yield ""
        yield LEGEND
    yield from _rest(diff)


def _port(port: PortDiff, graph: Graph) -> Iterator[str]:
    if graph.changes:
        yield "```mermaid"
        yield from as_mermaid([replace(folded(graph), notes=())], chains=False)
        yield "```"
        if graph.notes:
            yield ""
        yield from (f"- {code(note)}" for note in graph.notes)
    else:
        yield "No picture shows what changes."
    if port.changes:
        yield ""
        yield "<details><summary>In words</summary>"
        yield ""
        for change in together(port.changes, rules=False):
            item = f" {code(change.item)}" if change.item else ""
            yield f"- {change.what}{item}: {_values(change.before, change.after)}"
        yield ""
        yield "</details>"


def _values(before: str | None, after: str | None) -> str:
    return f"{code(before) or 'none'} → {code(after) or 'none'}"


def _rest(diff: RulesDiff) -> Iterator[str]:
    """Give what is not about one service port."""
    changes = [("whole node", one) for one in diff.node]
    changes += [("outside kube-proxy's chains", one) for one in diff.outside]
    lines = [
        f"- {where}: {one.what} {code(one.item)}: {_values(one.before, one.after)}"
        for where, one in changes
    ]
    lines += [f"- may differ: {code(words)}" for words in diff.may_differ]
    lines += [f"- not compared: {code(words)}" for words in diff.not_compared]
    lines += [f"- information: {code(words)}" for words in diff.information]
    if lines:
        yield ""
        yield from lines
