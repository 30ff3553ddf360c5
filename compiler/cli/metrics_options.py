"""The options of `verify --metrics`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from compiler.cli.help import Section, option

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class MetricsOptions:
    """Where kube-proxy's metrics are, and the label that names their node."""

    path: str | None = None
    label: str | None = None


def metrics_options(command: F) -> F:
    """Give a command `--metrics` and what belongs to it, as one argument `metrics`."""

    @option(
        "--metrics",
        metavar="PATH",
        type=click.Path(allow_dash=True),
        section=Section.FLEET,
        help="kube-proxy's metrics instead: a folder with NODE.prom or NODE.metrics files, "
        "Prometheus text, or an answer of Prometheus' API.",
    )
    @option(
        "--node-label",
        metavar="LABEL",
        section=Section.FLEET,
        help="The label that names the node, with --metrics; node or instance by default.",
    )
    @functools.wraps(command)
    def with_metrics(*args: Any, metrics: str | None, node_label: str | None, **kwargs: Any) -> Any:
        return command(*args, metrics=MetricsOptions(metrics, node_label), **kwargs)

    result: F = with_metrics  # type: ignore[assignment]
    return result
