"""Where boxes and lines of a picture are: by graphviz where it is installed, else by layers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]
Size = tuple[float, float]
Line = tuple[str, str]

# Distances between boxes of a layer, and between layers, in pixels.
_APART, _BETWEEN = 14.0, 40.0
_PIXELS = 72.0
# graphviz takes longer than a reader waits for pictures with thousands of boxes.
_BOXES, _SECONDS = 600, 30
_SWEEPS = 6


@dataclass
class Layout:
    """Centres of boxes, and the points of each line: a start, then three for each curve."""

    width: float = 0.0
    height: float = 0.0
    centres: dict[str, Point] = field(default_factory=dict)
    lines: dict[Line, list[Point]] = field(default_factory=dict)


def lay_out(boxes: Mapping[str, Size], lines: Sequence[Line]) -> Layout:
    """Place boxes of these sizes (pixels) from left to right along the lines between them."""
    if (program := shutil.which("dot")) and len(boxes) <= _BOXES:
        try:
            return _by_graphviz(program, boxes, lines)
        except (OSError, subprocess.SubprocessError, ValueError):
            pass  # what graphviz can't do is done in layers
    return by_layers(boxes, lines)


def _by_graphviz(program: str, boxes: Mapping[str, Size], lines: Sequence[Line]) -> Layout:
    text = ["digraph { rankdir=LR; nodesep=0.16; ranksep=0.3; node [shape=box, fixedsize=true]"]
    text += [
        f'"{name}" [label="", width={width / _PIXELS:.4f}, height={height / _PIXELS:.4f}]'
        for name, (width, height) in boxes.items()
    ]
    text += [f'"{source}" -> "{target}" [arrowsize=0.01]' for source, target in lines]
    done = subprocess.run(  # noqa: S603  # nothing of the input is in its arguments
        [program, "-Tplain"],
        input="\n".join([*text, "}"]),
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=True,
    )
    made = Layout()
    for row in done.stdout.splitlines():
        words = row.split()
        if words[0] == "graph":
            made.width, made.height = (float(word) * _PIXELS for word in words[2:4])
        elif words[0] == "node":
            made.centres[words[1].strip('"')] = _point(words[2], words[3], made.height)
        elif words[0] == "edge":
            count = int(words[3])
            numbers = words[4 : 4 + 2 * count]
            points = [
                _point(numbers[place], numbers[place + 1], made.height)
                for place in range(0, 2 * count, 2)
            ]
            made.lines[words[1].strip('"'), words[2].strip('"')] = points
    if made.centres.keys() != boxes.keys() or made.lines.keys() != set(lines):
        raise ValueError("graphviz left something out")
    return made


def _point(x: str, y: str, height: float) -> Point:
    return float(x) * _PIXELS, height - float(y) * _PIXELS


def by_layers(boxes: Mapping[str, Size], lines: Sequence[Line]) -> Layout:
    """Place boxes in layers: each behind all that lead to it, near those that it is linked to."""
    layers, chains = _layers(boxes, lines)
    sizes = {name: boxes.get(name, (0.0, 4.0)) for layer in layers for name in layer}
    made = Layout()
    heights = [sum(sizes[name][1] + _APART for name in layer) - _APART for layer in layers]
    made.height = max(heights, default=0.0)
    left = 0.0
    for layer, height in zip(layers, heights, strict=True):
        width = max(sizes[name][0] for name in layer)
        top = (made.height - height) / 2
        for name in layer:
            made.centres[name] = (left + width / 2, top + sizes[name][1] / 2)
            top += sizes[name][1] + _APART
        left += width + _BETWEEN
    made.width = max(0.0, left - _BETWEEN)
    for line, chain in chains.items():
        made.lines[line] = _curve(chain, made.centres, sizes)
    made.centres = {name: made.centres[name] for name in boxes}
    return made


def _layers(
    boxes: Mapping[str, Size], lines: Sequence[Line]
) -> tuple[list[list[str]], dict[Line, list[str]]]:
    """Return the layers in order, and for each line the boxes and bends that it passes."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(boxes)
    for source, target in lines:
        # a line that would close a circle is drawn against the order of the layers
        if target == source or (target in graph and nx.has_path(graph, target, source)):
            continue
        graph.add_edge(source, target)
    place: dict[str, int] = {}
    for number, generation in enumerate(nx.topological_generations(graph)):
        place |= dict.fromkeys(generation, number)
    for name in reversed(list(nx.topological_sort(graph))):
        if following := [place[one] for one in graph.successors(name)]:
            place[name] = min(following) - 1
    layers: list[list[str]] = [[] for _ in range(max(place.values(), default=-1) + 1)]
    for name in boxes:
        layers[place[name]].append(name)
    chains: dict[Line, list[str]] = {}
    for number, (source, target) in enumerate(lines):
        step = 1 if place[target] >= place[source] else -1
        bends = [f"bend{number}:{at}" for at in range(place[source] + step, place[target], step)]
        for at, name in zip(range(place[source] + step, place[target], step), bends, strict=True):
            layers[at].append(name)
        chains[source, target] = [source, *bends, target]
    return _ordered([one for one in layers if one], list(chains.values())), chains


def _ordered(layers: list[list[str]], chains: Sequence[Sequence[str]]) -> list[list[str]]:
    """Order each layer by where its neighbours are, so that few lines cross."""
    near: dict[str, list[str]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            near.setdefault(one, []).append(other)
            near.setdefault(other, []).append(one)
    where = {name: place / len(layer) for layer in layers for place, name in enumerate(layer)}
    last = len(layers) - 1
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for at in range(1, last + 1) if forward else range(last - 1, -1, -1):
            beside = set(layers[at - 1 if forward else at + 1])
            middles = {}
            for name in layers[at]:
                some = [where[one] for one in near.get(name, ()) if one in beside]
                middles[name] = sum(some) / len(some) if some else where[name]
            layers[at] = sorted(layers[at], key=middles.__getitem__)
            count = len(layers[at])
            where |= {name: (place + 0.5) / count for place, name in enumerate(layers[at])}
    return layers


def _curve(
    chain: Sequence[str], centres: Mapping[str, Point], sizes: Mapping[str, Size]
) -> list[Point]:
    """Return a smooth line from the side of one box to the side of another."""
    first, last = chain[0], chain[-1]
    side = 1 if centres[last][0] >= centres[first][0] else -1
    stops = [(centres[first][0] + side * sizes[first][0] / 2, centres[first][1])]
    stops += [centres[name] for name in chain[1:-1]]
    stops.append((centres[last][0] - side * sizes[last][0] / 2, centres[last][1]))
    points = [stops[0]]
    for (x, y), (to_x, to_y) in pairwise(stops):
        half = (to_x - x) / 2
        points += [(x + half, y), (to_x - half, to_y), (to_x, to_y)]
    return points
