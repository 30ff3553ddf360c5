"""Arguments of `compile` as the options that the command line makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from compiler.cli.options import CompileOptions, compile_options, manifests_argument


@click.command()
@manifests_argument
@compile_options
def _parse(
    manifests: tuple[str, ...], options: CompileOptions
) -> tuple[tuple[str, ...], CompileOptions]:
    return manifests, options


def options_of(arguments: Sequence[str]) -> tuple[tuple[str, ...], CompileOptions]:
    """Return the manifests and the options."""
    found: Any = _parse.main(list(arguments), standalone_mode=False)
    manifests, options = found
    assert isinstance(options, CompileOptions)
    return manifests, options
