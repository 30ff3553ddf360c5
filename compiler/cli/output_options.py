"""The options of `compile` that choose what is written, and whether it is tested first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compiler.cli.help import Section
from compiler.cli.options import flag

if TYPE_CHECKING:
    from compiler.compilation import Compilation

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class OutputOptions:
    """Which text is wanted, and of which objects."""

    standalone: bool = False
    cleanup: bool = False
    check: bool = False
    print_objects: bool = False

    def chunks_of(self, compilation: Compilation) -> Iterable[str]:
        """Return the text that is wanted, in chunks."""
        if self.cleanup:
            return [compilation.cleanup]
        return [compilation.standalone] if self.standalone else compilation.chunks()


def output_options(command: F) -> F:
    """Give a command these options, as one argument `wanted` (an `OutputOptions`)."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        wanted = OutputOptions(
            **{name: kwargs.pop(name) for name in OutputOptions.__dataclass_fields__}
        )
        if wanted.cleanup and (wanted.standalone or wanted.check):
            raise click.UsageError("--cleanup can't be combined with --standalone or --check")
        return command(*args, wanted=wanted, **kwargs)

    decorated: Any = with_options
    for name, section, text in reversed(_FLAGS):
        decorated = flag(name, section=section, text=text)(decorated)
    result: F = decorated
    return result


_FLAGS = (
    (
        "--standalone",
        Section.OWN,
        "Add the jumps from the built-in chains, for a machine without kube-proxy.",
    ),
    ("--cleanup", Section.OWN, "Print the text that removes the rules of --standalone."),
    ("--check", Section.OWN, "Test the text with this machine's iptables-restore first."),
    (
        "--print-objects",
        Section.OWN,
        "Print the objects that --from-workloads compiles, not the rules.",
    ),
)
