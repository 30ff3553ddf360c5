"""A graph as SVG: text that can be selected, a title and a description, light and dark."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from compiler.analysis.graph.model import Graph
from compiler.cli.colour import shown
from compiler.cli.graph_ids import STYLES, TEXT, numbered, style_of
from compiler.cli.graph_layout import Layout, Line, Point, Size, lay_out
from compiler.cli.graph_words import description, edge_words, node_words

_SIZE, _SMALL, _LEADING = 13, 11, 1.35
# The widths of characters of DejaVu Sans, the widest of the fonts, in parts of the font's size.
_NARROW, _NARROW_WIDTH, _LOWER, _UPPER, _FULL = ".,:;|!'()[]/iIjlft ", 0.37, 0.62, 0.72, 1.1
_PADDING, _MARGIN = 10.0, 16.0
_DARK = {
    "sender": "#2B2B2B",
    "entry": "#0B2A3E",
    "chain": "#3A2C0A",
    "endpoint": "#0A2F25",
    "stop": "#3F1D0B",
    "unclear": "#3A2031",
}
_FONT = "system-ui, 'DejaVu Sans', Verdana, Arial, sans-serif"


@dataclass(frozen=True)
class _Box:
    """A box with its lines of text; one without a kind is the label of a line."""

    lines: tuple[str, ...]
    kind: str = ""

    @property
    def size(self) -> Size:
        font = _SIZE if self.kind else _SMALL
        width = max(map(_ems, self.lines), default=0) * font
        height = len(self.lines) * font * _LEADING
        if not self.kind:
            return width + 6, height + 2
        extra = height if self.kind in ("stop", "sender") else 0
        return width + 2 * _PADDING + extra, height + 1.4 * _PADDING


@dataclass(frozen=True)
class _Step:
    """A line between two boxes, and whether it ends at one (and not at the middle label)."""

    line: Line
    look: str
    arrow: bool


def _ems(text: str) -> float:
    """Return the width of a text, in parts of the font's size."""
    return sum(map(_em, text))


def _em(char: str) -> float:
    if char in _NARROW:
        return _NARROW_WIDTH
    if unicodedata.east_asian_width(char) in "WF":
        return _FULL
    return _UPPER if char.isupper() or not char.isascii() else _LOWER


def as_svg(graphs: Sequence[Graph], *, chains: bool) -> Iterator[str]:
    """Give the lines of one picture; several service ports are one below the other."""
    drawn = [_Drawing(graph, place, chains=chains) for place, graph in numbered(graphs)]
    width = max(one.width for one in drawn) + 2 * _MARGIN
    height = sum(one.height for one in drawn) + _MARGIN * (len(drawn) + 1)
    title = _text("; ".join(graph.title for graph in graphs))
    about = _text(" ".join(map(description, graphs)))
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-labelledby="title desc">'
    )
    yield f'<title id="title">{title}</title>'
    yield f'<desc id="desc">{about}</desc>'
    yield from _style_sheet()
    yield '<rect class="page" width="100%" height="100%"/>'
    top = _MARGIN
    for one in drawn:
        yield f'<g transform="translate({_MARGIN:.0f} {top:.1f})">'
        yield from one.elements()
        yield "</g>"
        top += one.height + _MARGIN
    yield "</svg>"


def _style_sheet() -> Iterator[str]:
    yield "<defs>"
    yield (
        '<marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path class="head" d="M0 0 8 4 0 8z"/></marker>'
    )
    yield "</defs>"
    yield "<style>"
    yield f"text {{ font-family: {_FONT}; font-size: {_SIZE}px; fill: {TEXT}; }}"
    yield f".label text, .note {{ font-size: {_SMALL}px; }}"
    yield ".heading { font-size: 15px; font-weight: bold; }"
    yield ".page, .label rect { fill: #FFFFFF; }"
    yield ".line { fill: none; stroke: #5A5A5A; stroke-width: 1.3; }"
    yield ".head { fill: #5A5A5A; }"
    yield ".dashed { stroke-dasharray: 5 4; }"
    for name, style in STYLES.items():
        yield f".{name} .shape {{ fill: {style.fill}; stroke: {style.stroke}; stroke-width: 1.5; }}"
    yield "@media (prefers-color-scheme: dark) {"
    yield "text { fill: #F0F0F0; }"
    yield ".page, .label rect { fill: #0D1117; }"
    yield ".line { stroke: #A8A8A8; }"
    yield ".head { fill: #A8A8A8; }"
    for name, fill in _DARK.items():
        yield f".{name} .shape {{ fill: {fill}; }}"
    yield "}"
    yield "</style>"


class _Drawing:
    """One service port: its boxes are placed when it is made."""

    def __init__(self, graph: Graph, place: int, *, chains: bool) -> None:
        self.graph, self.place = graph, place
        self.boxes: dict[str, _Box] = {}
        self.steps: list[_Step] = []
        names = {node.key: f"n{number}" for number, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            words = tuple(map(shown, node_words(node, chains=chains)))
            self.boxes[names[node.key]] = _Box(words, style_of(node.kind))
        for number, edge in enumerate(graph.edges):
            look = "line dashed" if edge.kind == "return" else "line"
            source, target = names[edge.source], names[edge.target]
            words = tuple(map(shown, edge_words(graph, edge)))
            if not words:
                self.steps.append(_Step((source, target), look, arrow=True))
                continue
            label = f"l{number}"
            self.boxes[label] = _Box(words)
            self.steps.append(_Step((source, label), look, arrow=False))
            self.steps.append(_Step((label, target), look, arrow=True))
        sizes = {name: box.size for name, box in self.boxes.items()}
        self.layout: Layout = lay_out(sizes, [step.line for step in self.steps])
        self.head = 26.0
        texts = [(graph.title, 15), *((note, _SMALL) for note in graph.notes)]
        widest = max(_ems(shown(text)) * size for text, size in texts)
        self.width = max(self.layout.width, widest)
        below = len(graph.notes) * _SMALL * _LEADING + 14 if graph.notes else 0
        self.height = self.head + self.layout.height + below

    def elements(self) -> Iterator[str]:
        """Give the elements: lines first, so that boxes and labels lie upon them."""
        yield f'<text class="heading" x="0" y="14">{_text(self.graph.title)}</text>'
        yield f'<g transform="translate(0 {self.head:.0f})">'
        for step in self.steps:
            yield self._path(step)
        for name, box in self.boxes.items():
            yield _drawn(box, self.layout.centres[name])
        for number, note in enumerate(self.graph.notes):
            y = self.layout.height + 22 + number * _SMALL * _LEADING
            yield f'<text class="note" x="0" y="{y:.1f}">{_text(note)}</text>'
        yield "</g>"

    def _path(self, step: _Step) -> str:
        first, *rest = self.layout.lines[step.line]
        # lines lead to the middle of a label, which lies upon them
        if not step.arrow:
            rest[-1] = self.layout.centres[step.line[1]]
        elif not self.boxes[step.line[0]].kind:
            first = self.layout.centres[step.line[0]]
        curves = " ".join(f"{x:.1f} {y:.1f}" for x, y in rest)
        end = ' marker-end="url(#arrow)"' if step.arrow else ""
        return f'<path class="{step.look}" d="M{first[0]:.1f} {first[1]:.1f} C{curves}"{end}/>'


def _drawn(box: _Box, centre: Point) -> str:
    width, height = box.size
    left, top = centre[0] - width / 2, centre[1] - height / 2
    font = _SIZE if box.kind else _SMALL
    first = centre[1] - (len(box.lines) - 1) * font * _LEADING / 2 + font * 0.35
    spans = "".join(
        f'<tspan x="{centre[0]:.1f}" y="{first + number * font * _LEADING:.1f}">{_text(line)}'
        "</tspan>"
        for number, line in enumerate(box.lines)
    )
    words = f'<text text-anchor="middle">{spans}</text>'
    return (
        f'<g class="{box.kind or "label"}">{_shape(box.kind, left, top, width, height)}{words}</g>'
    )


def _shape(kind: str, left: float, top: float, width: float, height: float) -> str:
    right, bottom, middle, slope = left + width, top + height, top + height / 2, height / 3
    points: list[Point] = []
    if kind == "stop":
        points = [(left, middle), (left + slope, top), (right - slope, top), (right, middle)]
        points += [(right - slope, bottom), (left + slope, bottom)]
    elif kind == "sender":
        points = [(left + slope, top), (right, top), (right - slope, bottom), (left, bottom)]
    elif kind == "unclear":
        fold = 9.0
        points = [(left, top), (right - fold, top), (right, top + fold), (right, bottom)]
        points += [(left, bottom)]
    if points:
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polygon class="shape" points="{listed}"/>'
    radius = {"entry": height / 2, "endpoint": 6.0}.get(kind, 0.0)
    corners = f' rx="{radius:.1f}"' if radius else ""
    shape = ' class="shape"' if kind else ""
    place = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f"<rect{shape} {place}{corners}/>"


def _text(words: str) -> str:
    """Write a text for XML, which has no control characters."""
    return escape(shown(words))
