"""Whose metrics were read: by the name of a file, or by a label that Prometheus added."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from compiler.errors import ARGUMENT, InputError, Problem
from compiler.manifests.convert import shorten
from compiler.manifests.schema import Node
from compiler.manifests.source import Source, read_source
from compiler.node_metrics.prometheus_api import looks_like_json, read_api_answer
from compiler.node_metrics.sample import Sample, Scrape
from compiler.node_metrics.text import read_text
from compiler.proxy.node import list_nodes, node_name

SUFFIXES = (".prom", ".metrics", ".txt")
_COMPRESSED = ".gz"
# Dumps of rules, which `proxyrules collect` writes beside the metrics.
_OTHERS = (".save",)

# Labels that name the node, the first one that a series has; `instance` is every target's address.
LABELS = ("node", "nodename", "kubernetes_node", "kubernetes_io_hostname", "instance")


@dataclass(frozen=True)
class KnownNodes:
    """The nodes of the manifests; none where these have no Node.

    `meant` leads from each name and each address of a node to its name.
    """

    names: tuple[str, ...]
    meant: Mapping[str, str]

    @classmethod
    def of(cls, nodes: Sequence[Node]) -> Self:
        """Gather the nodes of manifests."""
        names = tuple(map(node_name, nodes))
        meant = {
            one.address: node_name(node)
            for node in nodes
            for one in (node.status.addresses if node.status else None) or ()
            if one.address
        }
        return cls(names, {**meant, **{name: name for name in names}})

    def named(self, text: str) -> str:
        """Return the node that a label's value means: by name or address, with a port or without.

        What means no node is returned without its port.
        """
        host, colon, port = text.rpartition(":")
        bare = host.strip("[]") if colon and port.isdecimal() and host else text
        return self.meant.get(text) or self.meant.get(bare) or bare


@dataclass
class NodeMetrics:
    """A node's samples. `file` is where they are; `collected` and `slack` are those of `Scrape`."""

    node: str
    file: str
    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    collected: float | None = None
    slack: float = 0.0


@dataclass
class Metrics:
    """The metrics of all nodes, by name, and the problems that are no single node's.

    `not_read` are files whose name is no node's.
    """

    nodes: dict[str, NodeMetrics] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)


def read_metrics(
    source: Source | str | os.PathLike[str],
    known: KnownNodes,
    *,
    node: str | None = None,
    label: str | None = None,
    fallback: str | None = None,
) -> Metrics:
    """Read a folder with a file for each node, or one text of one node or of many.

    `node` is the only one that is wanted. A text that names none is this one's, else that of
    `fallback`, else of the only one that is known. `label` is the label
    that names nodes, by default the first of `LABELS`. Raises `InputError` where nothing can be
    read, or where nothing says whose it is.
    """
    metrics = Metrics()
    if not isinstance(source, Source) and not os.fspath(source):
        # a shell's unset variable; Python would take it for the current folder
        raise InputError(Problem("''", "an empty path", "name a folder or a file"))
    if not isinstance(source, Source) and Path(source).is_dir():
        _read_folder(Path(source), metrics, known, label)
    else:
        text = source if isinstance(source, Source) else read_source(source)
        scrape = _read(text)
        if not scrape.samples and scrape.problems:
            raise InputError(scrape.problems)
        if any(_label(sample, label) for sample in scrape.samples):
            _add_labelled(scrape, metrics, known, label)
        else:
            _add(scrape, node or fallback or _only_node(text.name, known, label), metrics)
    if node is not None:
        metrics.nodes = {name: one for name, one in metrics.nodes.items() if name == node}
    return metrics


def _read(source: Source) -> Scrape:
    return read_api_answer(source) if looks_like_json(source.text) else read_text(source)


def _only_node(file: str, known: KnownNodes, label: str | None) -> str:
    if label:
        message = f"no series has the label {shorten(label)}"
        raise InputError(Problem(file, message, "name the label that has the node"))
    if len(known.names) == 1:
        return known.names[0]
    message = f"the metrics name no node, so {ARGUMENT} is required"
    raise InputError(Problem(file, message, list_nodes(known.names), argument="node"))


def _read_folder(folder: Path, metrics: Metrics, known: KnownNodes, label: str | None) -> None:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        message = f"can't be read: {(error.strerror or str(error)).lower()}"
        raise InputError(Problem(str(folder), message)) from error
    for name in names:
        base = name.removesuffix(_COMPRESSED)
        path = folder / name
        if not base.endswith(SUFFIXES) or not path.is_file():
            if not base.endswith(_OTHERS):
                metrics.not_read.append(str(path))
            continue
        _read_file(path, Path(base).stem, metrics, known, label)
    if not metrics.nodes:
        wanted = ", ".join(f"NODE{suffix}" for suffix in SUFFIXES)
        problem = Problem(str(folder), "no metrics in this folder", f"name files {wanted}")
        raise InputError([*metrics.problems, problem])


def _read_file(
    path: Path, node: str, metrics: Metrics, known: KnownNodes, label: str | None
) -> None:
    try:
        scrape = _read(read_source(path))
    except InputError as error:
        scrape = Scrape(str(path), problems=list(error.problems))
    if any(_label(sample, label) for sample in scrape.samples):
        _add_labelled(scrape, metrics, known, label)
    else:
        _add(scrape, node, metrics)


def _add(scrape: Scrape, node: str, metrics: Metrics) -> None:
    if (first := metrics.nodes.get(node)) is not None:
        message = f"metrics of the same node are in {first.file}; not read"
        first.problems.append(Problem(scrape.file, message, "remove one of the files"))
        return
    metrics.nodes[node] = NodeMetrics(
        node, scrape.file, scrape.samples, scrape.problems, scrape.collected
    )


def _add_labelled(scrape: Scrape, metrics: Metrics, known: KnownNodes, label: str | None) -> None:
    metrics.problems += scrape.problems
    nameless: list[Sample] = []
    for sample in scrape.samples:
        value = _label(sample, label)
        if not value:
            nameless.append(sample)
            continue
        name = known.named(value)
        found = metrics.nodes.setdefault(name, NodeMetrics(name, scrape.file, slack=scrape.slack))
        found.samples.append(sample)
    if nameless:
        first = nameless[0]
        message = f"{first.name} has no label that names a node"
        more = f" (nor have {len(nameless) - 1:,} more series)" if len(nameless) > 1 else ""
        metrics.problems.append(Problem(scrape.file, message + more, line=first.line))


def _label(sample: Sample, label: str | None) -> str:
    names: Iterable[str] = (label,) if label else LABELS
    return next((sample.labels[name] for name in names if sample.labels.get(name)), "")
